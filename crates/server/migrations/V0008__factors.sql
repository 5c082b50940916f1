-- Second factors, and the state of a sign-in that still needs one.

-- Second factors that are set up, names separated by one space, sorted; kept beside the facts of the tables below, in the same
-- transaction, so that a check of a session need not ask each of them.
alter table users add column factors text not null default '';
-- When a second factor was last proven in the session.
alter table sessions add column factor_at bigint;

-- One for each user; it counts from its confirmation on.
create table totp_secrets (
    user_id text primary key references users (id) on delete cascade,
    id text not null,
    -- sealed under the secret key
    sealed_secret bytea not null,
    created_at bigint not null,
    confirmed_at bigint,
    -- the latest time step whose code was taken (RFC 6238 5.2: a code serves once)
    last_step bigint not null,
    last_used_at bigint
);

create table recovery_codes (
    id text primary key,
    user_id text not null references users (id) on delete cascade,
    code_hash bytea not null,
    created_at bigint not null,
    used_at bigint
);
create unique index recovery_codes_by_code on recovery_codes (user_id, code_hash);

-- Between the first proof of a sign-in and its session. Gone once it has served.
create table sign_in_attempts (
    id text primary key,
    token_hash bytea not null unique,
    -- digest of the mailed link's token, if one was sent
    link_hash bytea unique,
    -- null in decoys, which open nothing
    user_id text references users (id) on delete cascade,
    -- keyed hash of the address that was given, where it may belong to nobody
    identifier_hash text,
    -- digest of the password hash that was verified: another password ends the attempt
    credential bytea,
    -- what was proven (RFC 8176), separated by spaces
    amr text not null,
    -- what is missing: second_factor, email_code or enrolment
    needs text not null,
    -- the mailed code, if one was sent
    code_mac bytea,
    code_expires_at bigint,
    -- codes sent so far
    sends bigint not null,
    failed_tries bigint not null,
    -- which client passed the first step
    network text not null,
    agent text not null,
    delivery text not null,
    device_name text,
    -- failures of the first step before it was passed
    failures bigint not null,
    created_at bigint not null,
    expires_at bigint not null
);
create index sign_in_attempts_by_user on sign_in_attempts (user_id);
create index sign_in_attempts_by_expiry on sign_in_attempts (expires_at);
