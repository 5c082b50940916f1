-- Roles that operators define. `admin` and `user` exist without a row; one for `user` says what everybody may.
create table roles (
    name text primary key,
    description text,
    -- permissions separated by one space, sorted
    permissions text not null,
    created_at bigint not null,
    updated_at bigint not null
);

-- Who has which role beyond `user`: the column users.roles, by role. Both are written in one transaction.
create table user_roles (
    role text not null,
    user_id text not null references users (id) on delete cascade,
    primary key (role, user_id)
);
create index user_roles_by_user on user_roles (user_id);
insert into user_roles (role, user_id)
    select 'admin', id from users where ' ' || roles || ' ' like '% admin %';
