-- What other services have to know at once, written in the transaction of the fact. Kept for as long as an access token that
-- it concerns can be alive, and a day.
create table revocations (
    id text primary key,
    at bigint not null,
    kind text not null,
    -- no foreign keys: the fact outlives the account and its sessions
    user_id text not null,
    session_id text,
    except_session_id text
);
create index revocations_by_time on revocations (at, id);
