-- Failures and other costly events, where nodes share their counts in the database. The key is a keyed hash of what is
-- counted; nothing tells whom it is about. No index on what changes:
-- so an update stays on its page.
create table limit_counts (
    key bytea primary key,
    count bigint not null,
    since bigint not null,
    latest bigint not null,
    refused bigint not null
);
