-- Other systems that are told what happens.
create table webhook_endpoints (
    id text primary key,
    name text not null,
    url text not null,
    -- patterns separated by one space, sorted
    types text not null,
    -- sealed; a former one signs beside it for a while
    secret bytea not null,
    former_secret bytea,
    former_until bigint,
    created_at bigint not null,
    disabled_at bigint,
    disabled_reason text,
    -- since when every attempt failed
    failing_since bigint,
    -- since when so much waits that further events are left out
    full_since bigint
);

-- What an endpoint is told, once each. Nothing personal: ids only, and times. No foreign key: a sign-in must neither wait for an
-- operator who deletes an endpoint, nor fail over it.
create table webhook_deliveries (
    id text primary key,
    endpoint_id text not null,
    type text not null,
    user_id text,
    session_id text,
    reason text,
    happened_at bigint not null,
    attempts bigint not null,
    -- the queue: when it is due, or until when it is claimed; at the end of time once it is settled
    next_attempt_at bigint not null,
    delivered_at bigint,
    -- given up
    dead_at bigint,
    last_attempt_at bigint,
    last_status bigint,
    last_error text
);
create index webhook_deliveries_due on webhook_deliveries (endpoint_id, next_attempt_at);
create index webhook_deliveries_delivered on webhook_deliveries (delivered_at) where delivered_at is not null;
create index webhook_deliveries_dead on webhook_deliveries (endpoint_id, dead_at) where dead_at is not null;
