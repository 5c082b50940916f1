-- Accounts and sessions. One text for every engine: text, bigint and bytea only; instants are microseconds since the epoch;
-- a fact has a time, not a boolean. Migrations only add.

create table meta (
    name text primary key,
    value text not null
);

create table users (
    id text primary key,
    email text not null,
    -- lower case, domain in ASCII: what is unique and looked up
    email_normalised text not null unique,
    email_verified_at bigint,
    username text,
    username_normalised text unique,
    name text,
    -- PHC string; null until the owner of the mailbox has chosen one
    password_hash text,
    password_changed_at bigint,
    -- names separated by one space, sorted
    roles text not null,
    disabled_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    last_login_at bigint
);
create index users_by_creation on users (created_at, id);

-- What exists before the mailbox is proven; not a user. Several for one address do not see each other.
create table pending_registrations (
    id text primary key,
    email text not null,
    email_normalised text not null,
    username text,
    name text,
    password_hash text not null,
    -- digest of the link token; null when the address has an account already, so that nothing can complete it
    link_hash bytea unique,
    code_mac bytea not null,
    code_expires_at bigint not null,
    failed_tries bigint not null,
    -- digest of the secret that only the registering client holds
    client_hash bytea not null unique,
    created_at bigint not null,
    expires_at bigint not null
);
create index pending_registrations_by_email on pending_registrations (email_normalised);
create index pending_registrations_by_expiry on pending_registrations (expires_at);

-- One sign-in on one device; it is the refresh-token family.
create table sessions (
    id text primary key,
    user_id text not null references users (id) on delete cascade,
    client_id text not null,
    generation bigint not null,
    current_hash bytea not null,
    previous_hash bytea,
    -- the successor, sealed under its predecessor
    handover bytea,
    rotated_at bigint not null,
    rotated_network text not null,
    rotated_agent text not null,
    confirmed_at bigint,
    late_retry_generation bigint,
    delivery text not null,
    amr text not null,
    auth_time bigint not null,
    ip text not null,
    user_agent text,
    device_name text,
    created_at bigint not null,
    last_seen_at bigint not null,
    expires_at bigint not null,
    absolute_expires_at bigint not null,
    revoked_at bigint,
    revoked_reason text
);
create index sessions_by_user on sessions (user_id, created_at);
create index sessions_by_expiry on sessions (expires_at);

-- Link tokens: hashed, expiring, single use, bound to their purpose.
create table one_time_secrets (
    id text primary key,
    purpose text not null,
    -- null in the decoys that make known and unknown addresses cost the same
    user_id text references users (id) on delete cascade,
    secret_hash bytea not null unique,
    -- digest of the secret that only the asking client holds
    client_hash bytea,
    -- what the secret is about, for example the new address
    subject text,
    code_mac bytea,
    code_expires_at bigint,
    failed_tries bigint not null,
    created_at bigint not null,
    expires_at bigint not null,
    used_at bigint
);
create index one_time_secrets_by_user on one_time_secrets (user_id, purpose);
create index one_time_secrets_by_expiry on one_time_secrets (expires_at);

-- Mails to be sent, written in the transaction of the fact they tell.
create table outbox (
    id text primary key,
    recipient text not null,
    kind text not null,
    -- the rendered mail, sealed: it carries secrets. Removed once an SMTP server has taken it.
    payload bytea,
    attempts bigint not null,
    created_at bigint not null,
    next_attempt_at bigint not null,
    sent_at bigint,
    given_up_at bigint,
    last_error text
);
create index outbox_by_next_attempt on outbox (next_attempt_at);
create index outbox_by_recipient on outbox (recipient, created_at);

-- Who did what, from where, with which result. Append-only.
create table audit_events (
    id text primary key,
    at bigint not null,
    kind text not null,
    result text not null,
    -- whom it is about; no foreign key, since the trail outlives the account
    user_id text,
    session_id text,
    -- keyed hash of an identifier that belongs to nobody
    identifier_hash text,
    ip text,
    user_agent text,
    detail text
);
create index audit_events_by_user on audit_events (user_id, id);

-- Keys that sign access tokens; private parts sealed under the secret key.
create table signing_keys (
    kid text primary key,
    algorithm text not null,
    sealed_private bytea,
    -- null for symmetric keys
    public_jwk text,
    created_at bigint not null,
    signs_from bigint not null,
    -- when its successor took over
    retired_at bigint
);
