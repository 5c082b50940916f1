//! The server's own permissions. They have three segments, so that an application's `users:read` never opens them.

/// A permission, as a type that a route's guard names.
pub trait Need: Send + Sync + 'static {
    /// The permission.
    const PERMISSION: &'static str;
}

/// Every permission of the server's own, with what it allows.
pub const PERMISSIONS: [(&str, &str); 2] = [
    (RolesRead::PERMISSION, "See roles and what they hold"),
    (RolesWrite::PERMISSION, "Define, change and delete roles, within what one holds"),
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
