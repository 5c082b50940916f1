//! The format of this program (`docs/importing.md` has it member by member).
use super::super::fields::Fields;
use super::super::given::{Given, GivenPassword, GivenTotp};
use super::super::problem::{Problem, Reason};
use super::Result;
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hallpass_crypto::password::PasswordError;
use hallpass_crypto::password::legacy::{Digest, Fast, FastHash, Legacy};
use serde_json::Value;

pub(super) fn read(fields: &mut Fields) -> Result<Given> {
    let disabled = fields.flag("disabled")?;
    let mut given = Given {
        source_id: fields.text("externalId")?,
        id: fields.text("id")?,
        keep_id: true,
        email: fields.text("email")?,
        email_verified: fields.flag("emailVerified")?,
        email_verified_at: fields.instant("emailVerifiedAt")?,
        username: fields.text("username")?.map(Ok),
        name: fields.text("name")?.map(Ok),
        password: password(fields)?,
        password_changed_at: fields.instant("passwordChangedAt")?,
        roles: fields.texts("roles")?.into_iter().map(Ok).collect(),
        disabled: disabled.unwrap_or(false),
        disabled_at: fields.instant("disabledAt")?,
        created_at: fields.instant("createdAt")?,
        last_login_at: fields.instant("lastLoginAt")?,
        ..Given::default()
    };
    if disabled == Some(false) && given.disabled_at.is_some() {
        return Err(Problem::new(Reason::BadField, "the account is said to be closed, and not to be"));
    }
    if let Some(mut totp) = fields.object("totp")? {
        let bad = || Problem::new(Reason::BadField, "totp must have a secret");
        given.take_app(Some(&totp.text("secret")?.ok_or_else(bad)?));
        let (created_at, last_used_at) = (totp.instant("createdAt")?, totp.instant("lastUsedAt")?);
        let last_step = totp.number("lastStep")?;
        totp.nothing_left()?;
        given.totp = given.totp.map(|app| GivenTotp { created_at, last_step, last_used_at, ..app });
    }
    for code in fields.texts("recoveryCodes")? {
        let hash = BASE64.decode(code.as_bytes()).ok().and_then(|hash| hash.try_into().ok());
        let bad = || Problem::new(Reason::BadField, "recoveryCodes must hold digests in Base64");
        given.recovery_codes.push(hash.ok_or_else(bad)?);
    }
    for passkey in fields.array("passkeys")? {
        let bad = |_| Problem::new(Reason::BadField, "passkeys must hold what `hallpass export` writes");
        given.passkeys.push(serde_json::from_value(passkey).map_err(bad)?);
    }
    fields.nothing_left()?;
    Ok(given)
}

/// A text whose kind shows, or a salted digest in an object.
fn password(fields: &mut Fields) -> Result<Option<GivenPassword>> {
    let bad = |text: &str| Problem::new(Reason::BadField, format!("passwordHash.{text}"));
    match fields.take("passwordHash") {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(GivenPassword::Text(text))),
        Some(value) => {
            let mut parts = Fields::read(value.to_string().as_bytes())?;
            let name = parts.text("algorithm")?.unwrap_or_default();
            let digest = Digest::named(&name).ok_or_else(|| bad("algorithm must be sha256 or sha512"))?;
            let salt = parts.text("salt")?.unwrap_or_default();
            let salt = match parts.text("saltEncoding")?.as_deref() {
                None | Some("text") => salt.into_bytes(),
                Some("hex") => HEXLOWER_PERMISSIVE
                    .decode(salt.as_bytes())
                    .map_err(|_| bad("salt has digits that are not hexadecimal"))?,
                Some("base64") => {
                    BASE64.decode(salt.as_bytes()).map_err(|_| bad("salt is no Base64 text"))?
                }
                Some(_) => return Err(bad("saltEncoding must be text, hex or base64")),
            };
            let (before, after) = match parts.text("saltPosition")?.as_deref() {
                None if salt.is_empty() => (Vec::new(), Vec::new()),
                Some("before") => (salt, Vec::new()),
                Some("after") => (Vec::new(), salt),
                _ => return Err(bad("saltPosition must be before or after")),
            };
            let hex = parts.text("hash")?.unwrap_or_default();
            parts.nothing_left()?;
            let read: std::result::Result<Legacy, PasswordError> =
                FastHash::read(Fast { digest, before, after }, &hex).map(Legacy::Fast);
            Ok(Some(GivenPassword::Read(read)))
        }
    }
}
