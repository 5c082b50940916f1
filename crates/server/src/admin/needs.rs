//! The server's own permissions. They have three segments, so that an application's `users:read` never opens them.

use crate::roles::GIVE;
use crate::sessions::IMPERSONATE;

/// A permission, as a type that a route's guard names.
pub trait Need: Send + Sync + 'static {
    /// The permission.
    const PERMISSION: &'static str;
}

/// Every permission of the server's own, with what it allows.
pub const PERMISSIONS: [(&str, &str); 18] = [
    (AuditRead::PERMISSION, "Read and take out the audit log"),
    (InvitationsRead::PERMISSION, "See invitations, without their links"),
    (InvitationsWrite::PERMISSION, "Invite people, send their mail again, take invitations back"),
    (KeysRead::PERMISSION, "See the keys that sign access tokens"),
    (KeysWrite::PERMISSION, "Replace the keys that sign access tokens"),
    (RolesRead::PERMISSION, "See roles and what they hold"),
    (RolesWrite::PERMISSION, "Define, change and delete roles, within what one holds"),
    (ServiceKeysRead::PERMISSION, "See the keys of other services, without their secrets"),
    (ServiceKeysWrite::PERMISSION, "Make and end keys of other services"),
    (SettingsRead::PERMISSION, "See the settings in effect, without secrets"),
    (StatisticsRead::PERMISSION, "See how many accounts, sessions and events there were"),
    (UsersDelete::PERMISSION, "Remove accounts for good"),
    (UsersImpersonate::PERMISSION, "Act as somebody for a while, to see what they see"),
    (UsersRead::PERMISSION, "Find users, see them, their sessions and their events"),
    (UsersRoles::PERMISSION, "Give roles to users and take them, within what one holds"),
    (
        UsersWrite::PERMISSION,
        "Create, change, close and open accounts, end sessions, reset passwords and factors",
    ),
    (WebhooksRead::PERMISSION, "See webhooks and what was told, without secrets"),
    (WebhooksWrite::PERMISSION, "Set up webhooks, which are told about everybody, change and remove them"),
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

/// Read and take out the audit log.
#[derive(Clone, Copy, Debug)]
pub struct AuditRead;
impl Need for AuditRead {
    const PERMISSION: &'static str = "hallpass:audit:read";
}

/// See the keys that sign access tokens.
#[derive(Clone, Copy, Debug)]
pub struct KeysRead;
impl Need for KeysRead {
    const PERMISSION: &'static str = "hallpass:keys:read";
}

/// Replace the keys that sign access tokens.
#[derive(Clone, Copy, Debug)]
pub struct KeysWrite;
impl Need for KeysWrite {
    const PERMISSION: &'static str = "hallpass:keys:write";
}

/// See the keys of other services, without their secrets.
#[derive(Clone, Copy, Debug)]
pub struct ServiceKeysRead;
impl Need for ServiceKeysRead {
    const PERMISSION: &'static str = "hallpass:service-keys:read";
}

/// Make and end keys of other services.
#[derive(Clone, Copy, Debug)]
pub struct ServiceKeysWrite;
impl Need for ServiceKeysWrite {
    const PERMISSION: &'static str = "hallpass:service-keys:write";
}

/// See the settings in effect, without secrets.
#[derive(Clone, Copy, Debug)]
pub struct SettingsRead;
impl Need for SettingsRead {
    const PERMISSION: &'static str = "hallpass:settings:read";
}

/// Act as somebody for a while, to see what they see.
#[derive(Clone, Copy, Debug)]
pub struct UsersImpersonate;
impl Need for UsersImpersonate {
    const PERMISSION: &'static str = IMPERSONATE;
}

/// See how many accounts, sessions and events there were.
#[derive(Clone, Copy, Debug)]
pub struct StatisticsRead;
impl Need for StatisticsRead {
    const PERMISSION: &'static str = "hallpass:statistics:read";
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
    const PERMISSION: &'static str = GIVE;
}

/// See invitations, without their links.
#[derive(Clone, Copy, Debug)]
pub struct InvitationsRead;
impl Need for InvitationsRead {
    const PERMISSION: &'static str = "hallpass:invitations:read";
}

/// Invite people, send their mail again, take invitations back.
#[derive(Clone, Copy, Debug)]
pub struct InvitationsWrite;
impl Need for InvitationsWrite {
    const PERMISSION: &'static str = "hallpass:invitations:write";
}

/// See webhooks and what was told, without secrets.
#[derive(Clone, Copy, Debug)]
pub struct WebhooksRead;
impl Need for WebhooksRead {
    const PERMISSION: &'static str = "hallpass:webhooks:read";
}

/// Set up webhooks, which are told about everybody, change and remove them.
#[derive(Clone, Copy, Debug)]
pub struct WebhooksWrite;
impl Need for WebhooksWrite {
    const PERMISSION: &'static str = "hallpass:webhooks:write";
}
