-- Devices on which people have signed in. A browser keeps one secret and may sign several people in: one row for each of them.
create table devices (
    id text primary key,
    user_id text not null references users (id) on delete cascade,
    -- digest of the secret that the device keeps
    secret_hash bytea not null,
    -- what the owner calls it
    name text,
    -- of the latest sign-in
    ip text not null,
    user_agent text,
    created_at bigint not null,
    last_sign_in_at bigint not null,
    -- until when a sign-in on it may do without the second factor
    trusted_until bigint,
    unique (secret_hash, user_id)
);
create index devices_by_user on devices (user_id, last_sign_in_at);
create index devices_by_sign_in on devices (last_sign_in_at);

-- On which device a session began. No foreign key: a session may outlive what is known of its device.
alter table sessions add column device_id text;
