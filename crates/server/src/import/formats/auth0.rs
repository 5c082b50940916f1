//! Users of Auth0: the file of password hashes that its support hands out, bulk exports, or both joined by `_id`.
use super::super::draft::{Given, GivenPassword};
use super::super::fields::Fields;
use super::{Result, base32};
use serde_json::Value;

pub(super) fn read(fields: &mut Fields) -> Result<Given> {
    let id = match fields.take("_id") {
        Some(Value::String(id)) => Some(id),
        Some(Value::Object(mut id)) => id.remove("$oid").and_then(|id| id.as_str().map(str::to_owned)),
        _ => None,
    };
    // Applications know the whole name; the file of hashes has only what follows the connection.
    let known_as = fields.text("user_id")?.or_else(|| id.map(|id| format!("auth0|{id}")));
    let email = fields.text("email")?;
    // Without a name Auth0 repeats the address.
    let name = fields.text("name")?.filter(|name| !name.contains('@'));
    let hash = match fields.text("passwordHash")? {
        Some(hash) => Some(hash),
        None => fields.text("password_hash")?,
    };
    let mut given = Given {
        source_id: known_as,
        email,
        email_verified: fields.flag("email_verified")?,
        username: fields.text("username")?,
        name,
        password: hash.map(GivenPassword::Text),
        password_changed_at: fields.instant("password_set_date")?,
        disabled: fields.flag("blocked")?.unwrap_or(false),
        created_at: fields.instant("created_at")?,
        last_login_at: fields.instant("last_login")?,
        ..Given::default()
    };
    for mut factor in fields.objects("mfa_factors")? {
        match factor.object("totp")? {
            Some(mut totp) if given.totp.is_none() => match totp.text("secret")? {
                Some(secret) => given.totp = Some(base32(&secret)?),
                None => given.lost_factor = Some("an authenticator app without its secret"),
            },
            _ => given.lost_factor = Some("a telephone, an address or a second app"),
        }
    }
    if given.totp.is_none() && !fields.array("multifactor")?.is_empty() {
        given.lost_factor = Some("one whose secret is not in the file");
    }
    Ok(given)
}
