//! `mongoexport` of a collection of users, as Express and Mongoose programs keep it.
use super::super::fields::Fields;
use super::super::given::{Given, GivenPassword};
use super::super::problem::{Problem, Reason};
use super::Result;
use serde_json::Value;

const VERIFIED: [&str; 13] = [
    "isVerified",
    "verified",
    "isEmailVerified",
    "emailVerified",
    "is_verified",
    "verifiedEmail",
    "email_verified",
    "is_email_verified",
    "emailVerifiedAt",
    "email_verified_at",
    "verifiedAt",
    "verified_at",
    "emailConfirmed",
];
const DELETED: [&str; 3] = ["deleted", "isDeleted", "is_deleted"];
const CLOSED: [&str; 28] = [
    "blocked",
    "isBlocked",
    "is_blocked",
    "disabled",
    "isDisabled",
    "banned",
    "isBanned",
    "is_banned",
    "bannedAt",
    "suspended",
    "isSuspended",
    "is_suspended",
    "suspendedAt",
    "deactivatedAt",
    "deactivated",
    "isDeactivated",
    "is_deactivated",
    "deactivated_at",
    "locked",
    "isLocked",
    "is_locked",
    "is_disabled",
    "disabledAt",
    "disabled_at",
    "blockedAt",
    "blocked_at",
    "banned_at",
    "suspended_at",
];
const ACTIVE: [&str; 6] = ["isActive", "active", "is_active", "enabled", "isEnabled", "is_enabled"];
const TWO_FACTORS: [&str; 9] = [
    "twoFactorEnabled",
    "isTwoFactorEnabled",
    "mfaEnabled",
    "is2FAEnabled",
    "totpEnabled",
    "two_factor_enabled",
    "is_two_factor_enabled",
    "mfa_enabled",
    "totp_enabled",
];
const TWO_FACTOR_SECRETS: [&str; 8] = [
    "twoFactorSecret",
    "totpSecret",
    "mfaSecret",
    "otpSecret",
    "two_factor_secret",
    "totp_secret",
    "mfa_secret",
    "otp_secret",
];
/// Objects with a flag and a secret, or flags.
const TWO_FACTOR_OBJECTS: [&str; 5] = ["twoFactor", "twoFactorAuth", "two_factor", "mfa", "totp"];
/// A hash beside others is the last that is looked at: some programs have hashes of other things.
const PASSWORDS: [&str; 7] = [
    "password",
    "passwordHash",
    "hashedPassword",
    "password_hash",
    "hashed_password",
    "encrypted_password",
    "hash",
];

pub(super) fn read(fields: &mut Fields) -> Result<Given> {
    let status = status(fields)?;
    if status == Some("deleted") || any(fields, DELETED)? || deleted_at(fields) {
        return Err(Problem::new(Reason::Deleted, "the account was deleted in the source"));
    }
    let source_id = fields.source_id("_id");
    let (mut verified, mut verified_at) = (None, None);
    for name in VERIFIED {
        // Whatever says no is believed.
        if let Some(stated) = fields.stated_or_null(name)? {
            verified = Some(stated.yes && verified.unwrap_or(true));
            verified_at = verified_at.or(stated.at);
        }
    }
    let mut roles = fields.role_names("roles");
    roles.extend(fields.role_names("role"));
    let mut active = true;
    for name in ACTIVE {
        active &= fields.stated(name)?.is_none_or(|stated| stated.yes);
    }
    let closed = any(fields, CLOSED)?;
    Ok(Given {
        id: source_id.clone(),
        source_id,
        email: fields.text("email")?,
        email_verified: verified,
        email_verified_at: verified_at.filter(|_| verified == Some(true)),
        username: fields.part("username", Reason::InvalidUsername),
        name: fields.part("name", Reason::InvalidName),
        password: password(fields),
        roles: roles.into_iter().map(|role| role.map(|role| role.to_ascii_lowercase())).collect(),
        disabled: closed || !active || status == Some("closed"),
        created_at: fields.instant("createdAt")?,
        last_login_at: fields.instant("lastLogin")?,
        lost_factor: has_factor(fields)?
            .then_some("two-factor secrets of the program, whose form is its own"),
        ..Given::default()
    })
}

/// Whether one of these is a yes. A list is none: of whom its owner has blocked, say.
fn any<const N: usize>(fields: &mut Fields, names: [&str; N]) -> Result<bool> {
    let mut found = false;
    for name in names {
        if fields.is_array(name) {
            continue;
        }
        found |= fields.stated(name)?.is_some_and(|stated| stated.yes);
    }
    Ok(found)
}

/// A date, in whatever shape, unless it says no.
fn deleted_at(fields: &mut Fields) -> bool {
    ["deletedAt", "deleted_at"].iter().any(|name| match fields.stated(name) {
        Ok(stated) => stated.is_some_and(|stated| stated.yes),
        Err(_) => true,
    })
}

/// What `status` means for the account: nothing, `deleted` or `closed`.
fn status(fields: &mut Fields) -> Result<Option<&'static str>> {
    let Some(text) = fields.take("status") else { return Ok(None) };
    let text = match &text {
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Bool(active) => active.to_string(),
        Value::Number(number) => number.to_string(),
        _ => return Err(Problem::new(Reason::BadField, "status must be a text")),
    };
    Ok(match text.as_str() {
        // Or whether somebody is there, which says nothing of the account.
        "" | "active" | "enabled" | "true" | "1" | "online" | "offline" | "away" | "busy" => None,
        "deleted" | "removed" => Some("deleted"),
        _ => Some("closed"),
    })
}

/// A secret counts unless a flag says that it is not in use.
fn has_factor(fields: &mut Fields) -> Result<bool> {
    let mut said = None;
    for name in TWO_FACTORS {
        said = fields.stated(name)?.map(|stated| stated.yes || said == Some(true)).or(said);
    }
    let present = |value: Value| value != "" && value != false;
    let secret = TWO_FACTOR_SECRETS.iter().filter_map(|name| fields.take(name)).any(present);
    let mut inside = false;
    for name in TWO_FACTOR_OBJECTS {
        inside |= match fields.take(name) {
            Some(Value::Object(mut members)) => {
                let mut member = |name: &str| members.remove(name).filter(|value| !value.is_null());
                let flag = ["enabled", "isEnabled", "active"].iter().find_map(|name| member(name));
                flag.or_else(|| member("secret")).is_some_and(|value| value != 0 && present(value))
            }
            other => other == Some(Value::Bool(true)),
        };
    }
    Ok(inside || said.unwrap_or(secret))
}

fn password(fields: &mut Fields) -> Option<GivenPassword> {
    let salt = ["salt", "passwordSalt", "password_salt"].iter().find_map(|name| fields.take(name));
    let salt = salt.filter(|salt| salt != "");
    let found = PASSWORDS.iter().find_map(|name| {
        let value = fields.take(name).filter(|value| value != "");
        value.map(|value| (*name, value))
    });
    let (name, found) = found?;
    let Value::String(text) = found else {
        return Some(GivenPassword::Lost("the password is kept in a form of the program's own"));
    };
    if name == "hash" && salt.is_none() && !text.contains('$') {
        return Some(GivenPassword::Lost(
            "nothing says that `hash` is one of a password; docs/importing.md has a way to say it",
        ));
    }
    // What has dollar signs says all about itself.
    if salt.is_some() && !text.contains('$') {
        return Some(GivenPassword::Lost(
            "a salt stands beside the hash, and nothing says how both were joined; docs/importing.md has a way to say it",
        ));
    }
    Some(GivenPassword::Text(text))
}
