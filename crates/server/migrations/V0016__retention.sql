-- Who does what only one node may do at a time. A node that is gone loses it when its time is over.
create table leases (
    name text primary key,
    -- the process that has it, a random name of its own
    holder text not null,
    until bigint not null
);

-- Accounts that were deleted, whose traces in the audit log are still to be erased. Gone once that is done.
create table erasures (
    user_id text primary key,
    -- keyed hashes of the addresses that the person had, separated by one space
    identifiers text not null,
    due_at bigint not null,
    -- over the others, under the key of the audit log: nobody else has anything erased
    mac bytea not null
);
create index erasures_by_time on erasures (due_at);

-- The later event of the same chain, by number, that says that what was personal in this one was erased.
alter table audit_events add column erased_by bigint;
create index audit_events_by_identifier on audit_events (identifier_hash) where identifier_hash is not null;

-- The last link that was removed from the beginning of a chain: its number and its hash.
alter table audit_chains add column cut_seq bigint;
alter table audit_chains add column cut_head bytea;
