-- What reports and the application's own statements may join with. Read-only, without secrets; columns are only added, at
-- the end.
create or replace view users_view as
select id::uuid as id, email, email_normalised, to_timestamp(email_verified_at / 1000000.0) as email_verified_at,
    username, name, string_to_array(roles, ' ') as roles, to_timestamp(disabled_at / 1000000.0) as disabled_at,
    to_timestamp(created_at / 1000000.0) as created_at, to_timestamp(updated_at / 1000000.0) as updated_at,
    to_timestamp(last_login_at / 1000000.0) as last_login_at, string_to_array(factors, ' ') as factors
from users;

create or replace view sessions_view as
select id::uuid as id, user_id::uuid as user_id, client_id, amr, to_timestamp(auth_time / 1000000.0) as auth_time, ip,
    user_agent, device_name, to_timestamp(created_at / 1000000.0) as created_at,
    to_timestamp(last_seen_at / 1000000.0) as last_seen_at, to_timestamp(expires_at / 1000000.0) as expires_at,
    to_timestamp(absolute_expires_at / 1000000.0) as absolute_expires_at,
    to_timestamp(revoked_at / 1000000.0) as revoked_at, revoked_reason
from sessions;

create or replace view audit_events_view as
select id::uuid as id, chain, seq, to_timestamp(at / 1000000.0) as at, kind, result, actor, user_id::uuid as user_id,
    session_id::uuid as session_id, request_id, ip, user_agent, detail
from audit_events;
