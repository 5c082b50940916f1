-- Sessions in which an administrator acts as somebody: who, and from which session. No foreign keys: the fact outlives both.
alter table sessions add column impersonator_id text;
alter table sessions add column impersonator_session_id text;
create index sessions_by_impersonator on sessions (impersonator_id) where impersonator_id is not null;

-- What is counted, by the day (microseconds of its first instant, UTC): events by their kind, and how many of something there were.
create table daily_counts (
    day bigint not null,
    name text not null,
    value bigint not null,
    primary key (day, name)
);

-- How far each chain of the audit log was counted.
create table counted_chains (
    chain text primary key,
    seq bigint not null
);

-- Who was counted as active on a day; kept until the day is over.
create table daily_users (
    day bigint not null,
    user_id text not null references users (id) on delete cascade,
    primary key (day, user_id)
);
create index daily_users_by_user on daily_users (user_id);
