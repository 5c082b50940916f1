//! All accounts with their credentials, in the format that `import` reads.
use crate::app::App;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::factors;
use crate::ids::UserId;
use crate::passkeys::{self, CarriedPasskey};
use crate::users::{self, Factor, Login};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// The member of the first line, whose value is the version of the format.
pub(super) const HEADER: &str = "hallpassExport";
/// The version that is written.
pub(super) const VERSION: u8 = 1;
/// Accounts that are read at once.
const PAGE: i64 = 200;

/// Lines of the next accounts in the order of ids, and the id after which to go on; none after the last.
///
/// # Errors
/// The database's; a secret is sealed under a key that is not in the settings.
pub async fn page(app: &App, after: Option<UserId>) -> Result<(Vec<Zeroizing<String>>, Option<UserId>)> {
    let found = users::carry(&app.db, after, PAGE).await?;
    let last = found.last().map(|(login, _)| login.user.id);
    let mut lines = Vec::with_capacity(found.len());
    for (login, changed_at) in &found {
        lines.push(line(app, login, *changed_at).await?);
    }
    Ok((lines, last))
}

/// The first line of a file.
pub(super) fn header_line(now: Timestamp) -> String {
    json!({ HEADER: VERSION, "at": now.rfc3339() }).to_string()
}

async fn line(app: &App, login: &Login, changed_at: Option<Timestamp>) -> Result<Zeroizing<String>> {
    let user = &login.user;
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| {
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !empty {
            members.insert(name.to_owned(), value);
        }
    };
    let at = |at: Option<Timestamp>| at.map_or(Value::Null, |at| at.rfc3339().into());
    put("id", user.id.to_string().into());
    put("email", user.email.clone().into());
    // Said either way: what is not said may be taken for proven (--emails-verified).
    put("emailVerified", user.email_verified_at.is_some().into());
    put("emailVerifiedAt", at(user.email_verified_at));
    put("username", user.username.clone().into());
    put("name", user.name.clone().into());
    put("passwordHash", login.password_hash.clone().into());
    put("passwordChangedAt", at(changed_at.filter(|_| user.has_password)));
    put("roles", user.roles.clone().into());
    put("disabledAt", at(user.disabled_at));
    put("createdAt", at(Some(user.created_at)));
    put("lastLoginAt", at(user.last_login_at));
    if user.factors.contains(&Factor::Totp) || user.factors.contains(&Factor::RecoveryCode) {
        let carried = factors::carry(app, &app.db, user.id).await?;
        if let Some(totp) = &carried.totp {
            put(
                "totp",
                json!({
                    "secret": *totp.secret.base32(),
                    "createdAt": totp.created_at.rfc3339(),
                    "lastStep": totp.last_step,
                    "lastUsedAt": at(totp.last_used_at),
                }),
            );
        }
        let codes: Vec<Value> =
            carried.recovery_codes.iter().map(|code| BASE64.encode(code).into()).collect();
        put("recoveryCodes", codes.into());
    }
    if user.factors.contains(&Factor::Passkey) {
        let passkeys: Vec<CarriedPasskey> =
            passkeys::of_user(&app.db, user.id).await?.iter().map(CarriedPasskey::of).collect();
        put("passkeys", serde_json::to_value(passkeys).map_err(Error::internal)?);
    }
    Ok(Zeroizing::new(Value::Object(members).to_string()))
}
