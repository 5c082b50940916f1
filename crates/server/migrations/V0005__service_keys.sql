-- Keys with which other services call; only the digest of the secret is kept.
create table service_keys (
    id text primary key,
    name text not null,
    secret_hash bytea not null unique,
    -- names separated by one space, sorted
    scopes text not null,
    created_at bigint not null,
    expires_at bigint,
    -- give or take a minute
    last_used_at bigint,
    revoked_at bigint
);
