//! The server's own permissions. They have three segments, so that an application's `users:read` never opens them.

/// A permission, as a type that a route's guard names.
pub trait Need: Send + Sync + 'static {
    /// The permission.
    const PERMISSION: &'static str;
}

/// Every permission of the server's own, with what it allows.
pub const PERMISSIONS: [(&str, &str); 6] = [
    (RolesRead::PERMISSION, "See roles and what they hold"),
    (RolesWrite::PERMISSION, "Define, change and delete roles, within what one holds"),
    (UsersRead::PERMISSION, "Find users, see them, their sessions and their events"),
    (
        UsersWrite::PERMISSION,
        "Create, change, close and open accounts, end sessions, reset passwords and factors",
    ),
    (UsersDelete::PERMISSION, "Delete accounts"),
    (UsersRoles::PERMISSION, "Give roles to users and take them, within what one holds"),
];

/// See roles and what they hold.
#[derive(Clone, Copy, Debug)]
pub struct RolesRead;
impl Need for RolesRead {
    const PERMISSION: &'static str = "hallpass:roles:read";
}

/// Define, change and delete roles, within what one holds.
#[derive(Clone, Copy, Debug)]
pub struct RolesWrite;
impl Need for RolesWrite {
    const PERMISSION: &'static str = "hallpass:roles:write";
}

/// Find users, see them, their sessions and their events.
#[derive(Clone, Copy, Debug)]
pub struct UsersRead;
impl Need for UsersRead {
    const PERMISSION: &'static str = "hallpass:users:read";
}

/// Create, change, close and open accounts, end sessions, reset passwords and factors.
#[derive(Clone, Copy, Debug)]
pub struct UsersWrite;
impl Need for UsersWrite {
    const PERMISSION: &'static str = "hallpass:users:write";
}

/// Delete accounts.
#[derive(Clone, Copy, Debug)]
pub struct UsersDelete;
impl Need for UsersDelete {
    const PERMISSION: &'static str = "hallpass:users:delete";
}

/// Give roles to users and take them, within what one holds.
#[derive(Clone, Copy, Debug)]
pub struct UsersRoles;
impl Need for UsersRoles {
    const PERMISSION: &'static str = "hallpass:users:roles";
}
