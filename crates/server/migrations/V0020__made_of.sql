-- Of a change of a user or of roles: the state that it led to, as tokens name it. Null in what an older version wrote.
alter table revocations add column as_of bigint;

-- A sign-in asks when all sessions of its user were ended last.
create index revocations_by_user on revocations (user_id, at);
