-- Beginnings by which people are found: address, domain, username, words of the name, in lower case. UTF-8 as bytes, since those
-- have one order on every engine, whatever the collation of its database.
create table user_terms (
    term bytea not null,
    user_id text not null references users (id) on delete cascade,
    primary key (term, user_id)
);
create index user_terms_by_user on user_terms (user_id);

-- What the terms were made from. Whatever else changes a user, such as an older version of the server, leaves it behind, and
-- housekeeping follows; so do the users who were there before this table.
alter table users add column searched_as text not null default '';
create index users_to_index on users (id)
    where searched_as <> email || ' ' || coalesce(username, '') || ' ' || coalesce(name, '');

-- Filters that few users pass.
create index users_disabled on users (id) where disabled_at is not null;
create index users_unverified on users (id) where email_verified_at is null;
