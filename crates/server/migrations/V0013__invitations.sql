-- Invitations: by mail, with roles, expiring, single use. One address has at most one that opens an account.
create table invitations (
    id text primary key,
    email text not null,
    email_normalised text not null,
    -- display name, as whoever invites knows it
    name text,
    -- names separated by one space, sorted
    roles text not null,
    -- digest of the mailed link's token; replaced when it is sent again
    link_hash bytea not null unique,
    -- the user who invites, null for an operator; no foreign key, since the invitation outlives the account
    invited_by text,
    created_at bigint not null,
    sent_at bigint not null,
    expires_at bigint not null,
    accepted_at bigint,
    revoked_at bigint
);
create index invitations_by_email on invitations (email_normalised);
create index invitations_by_expiry on invitations (expires_at);
