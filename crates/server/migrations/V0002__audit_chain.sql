-- Each audit event carries the hash of the one before it.

alter table audit_events add column chain text;
alter table audit_events add column seq bigint;
-- person, operator or system
alter table audit_events add column actor text;
alter table audit_events add column request_id text;
-- What is personal (address, program, identifier, details) enters the chain as a salted hash, so that one day it can be
-- removed and the chain still be verified.
alter table audit_events add column personal_salt bytea;
alter table audit_events add column personal_hash bytea;
alter table audit_events add column hash bytea;
create unique index audit_events_by_chain on audit_events (chain, seq);

create table audit_chains (
    chain text primary key,
    -- number of the last event
    seq bigint not null,
    -- its hash
    head bytea,
    -- of both, under a key that is not in the database
    mac bytea
);
insert into audit_chains (chain, seq) values ('main', 0);
-- How many events are older than the chain and not covered by it.
insert into audit_chains (chain, seq) select 'before', count(*) from audit_events;
