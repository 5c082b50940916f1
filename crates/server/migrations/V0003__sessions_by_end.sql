-- A refresh moves expires_at; an index on it cost each refresh two more pages. What cleaning up needs is the absolute end,
-- which never moves.
drop index sessions_by_expiry;
create index sessions_by_end on sessions (absolute_expires_at);
