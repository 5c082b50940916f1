-- Passkeys (WebAuthn credentials), several for a user.
create table passkeys (
    id text primary key,
    user_id text not null references users (id) on delete cascade,
    -- chosen by the authenticator
    credential_id bytea not null unique,
    -- COSE key, as JSON
    public_key text not null,
    -- signature counter of the latest assertion (WebAuthn Level 3, 6.1.1); 0 in authenticators that have none
    sign_count bigint not null,
    -- bits of the flags of authenticator data (WebAuthn Level 3, 6.1): UV once it counts, BE as enrolled, BS of the latest
    -- assertion
    flags bigint not null,
    -- how the client reaches the authenticator, names separated by one space
    transports text not null,
    name text not null,
    created_at bigint not null,
    last_used_at bigint,
    -- when its counter first did not grow
    suspect_at bigint
);
create index passkeys_by_user on passkeys (user_id, id);

-- Ceremonies that have served, until long after they would have expired. Those under way are with the client, sealed.
create table passkey_ceremonies (
    challenge_hash bytea primary key,
    expires_at bigint not null
);
create index passkey_ceremonies_by_expiry on passkey_ceremonies (expires_at);
