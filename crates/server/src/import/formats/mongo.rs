//! `mongoexport` of a collection of users, as Express and Mongoose programs keep it.
use super::super::draft::{Given, GivenPassword};
use super::super::fields::Fields;
use super::Result;
use serde_json::Value;

pub(super) fn read(fields: &mut Fields) -> Result<Given> {
    let source_id = match fields.take("_id") {
        Some(Value::String(id)) => Some(id),
        Some(Value::Object(mut id)) => id.remove("$oid").and_then(|id| id.as_str().map(str::to_owned)),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    };
    let mut verified = None;
    for name in ["isVerified", "verified", "isEmailVerified", "emailVerified", "is_verified", "verifiedEmail"]
    {
        verified = fields.flag(name)?.or(verified);
    }
    let mut roles = fields.texts("roles")?;
    roles.extend(fields.text("role")?);
    let blocked = [fields.flag("blocked")?, fields.flag("isBlocked")?, fields.flag("disabled")?];
    let active = [fields.flag("isActive")?, fields.flag("active")?];
    let lost =
        [fields.flag("twoFactorEnabled")?, fields.flag("isTwoFactorEnabled")?, fields.flag("mfaEnabled")?];
    Ok(Given {
        id: source_id.clone(),
        source_id,
        email: fields.text("email")?,
        email_verified: verified,
        username: fields.text("username")?,
        name: fields.text("name")?,
        password: text_or(fields, ["password", "passwordHash", "hashedPassword"])?,
        roles: roles.into_iter().map(|role| role.to_ascii_lowercase()).collect(),
        disabled: blocked.contains(&Some(true)) || active.contains(&Some(false)),
        created_at: fields.instant("createdAt")?,
        last_login_at: fields.instant("lastLogin")?,
        lost_factor: lost
            .contains(&Some(true))
            .then_some("two-factor secrets of the program, whose form is its own"),
        ..Given::default()
    })
}

fn text_or<const N: usize>(fields: &mut Fields, names: [&str; N]) -> Result<Option<GivenPassword>> {
    for name in names {
        if let Some(text) = fields.text(name)? {
            return Ok(Some(GivenPassword::Text(text)));
        }
    }
    Ok(None)
}
