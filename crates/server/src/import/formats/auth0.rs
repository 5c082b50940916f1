//! Users of Auth0: the file of password hashes that its support hands out, bulk exports, both joined by `_id`, or a file in the
//! form of its bulk import.
use super::super::fields::Fields;
use super::super::given::{Given, GivenPassword};
use super::super::problem::Reason;
use super::Result;
use data_encoding::{BASE64_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use hallpass_crypto::password::legacy::{Digest, Fast, FastHash, Legacy};

pub(super) fn read(fields: &mut Fields) -> Result<Given> {
    let id = fields.source_id("_id");
    // Applications know the whole name; the file of hashes has only what follows the connection.
    let known_as = fields.source_id("user_id").or_else(|| id.map(|id| format!("auth0|{id}")));
    let email = fields.text("email")?;
    // Without a name Auth0 repeats the address.
    let name = fields.part("name", Reason::InvalidName);
    let name = name.filter(|name| !name.as_ref().is_ok_and(|name| name.contains('@')));
    let mut given = Given {
        source_id: known_as,
        email,
        email_verified: fields.flag("email_verified")?,
        username: fields.part("username", Reason::InvalidUsername),
        name,
        password: password(fields)?,
        password_changed_at: fields.instant("password_set_date")?,
        disabled: fields.flag("blocked")?.unwrap_or(false),
        created_at: fields.instant("created_at")?,
        last_login_at: fields.instant("last_login")?,
        ..Given::default()
    };
    for mut factor in fields.objects("mfa_factors")? {
        match factor.object("totp")? {
            Some(mut totp) => given.take_app(totp.text("secret")?.as_deref()),
            None => given.lost_factor = Some("a telephone or an address"),
        }
    }
    if given.totp.is_none() && !fields.array("multifactor")?.is_empty() {
        given.lost_factor = Some("one whose secret is not in the file");
    }
    Ok(given)
}

fn password(fields: &mut Fields) -> Result<Option<GivenPassword>> {
    for name in ["passwordHash", "password_hash"] {
        if let Some(hash) = fields.text(name)? {
            return Ok(Some(GivenPassword::Text(hash)));
        }
    }
    let Some(custom) = fields.object("custom_password_hash")? else { return Ok(None) };
    let lost = GivenPassword::Lost("custom_password_hash has an algorithm or an encoding that is not read");
    Ok(Some(read_custom(custom)?.unwrap_or(lost)))
}

/// `custom_password_hash` of a bulk import; nothing when it is none of those that are read.
fn read_custom(mut custom: Fields) -> Result<Option<GivenPassword>> {
    let Some(mut hash) = custom.object("hash")? else { return Ok(None) };
    let (value, encoding) = (hash.text("value")?.unwrap_or_default(), hash.text("encoding")?);
    if let Some(mut password) = custom.object("password")?
        && password.text("encoding")?.is_some_and(|name| name != "utf8")
    {
        return Ok(None);
    }
    let algorithm = custom.text("algorithm")?.unwrap_or_default();
    let Some(digest) = Digest::named(&algorithm) else {
        // These say all about themselves.
        let known = ["argon2", "bcrypt", "pbkdf2"].contains(&algorithm.as_str()) && value.starts_with('$');
        let plain = encoding.is_none_or(|name| name == "utf8");
        return Ok((known && plain).then_some(GivenPassword::Text(value)));
    };
    let Some(tag) = encoding.and_then(|name| decode(&value, &name)) else { return Ok(None) };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    if let Some(mut salt) = custom.object("salt")? {
        let text = salt.text("value")?.unwrap_or_default();
        let encoding = salt.text("encoding")?;
        let Some(bytes) = decode(&text, encoding.as_deref().unwrap_or("utf8")) else { return Ok(None) };
        match salt.text("position")?.as_deref() {
            Some("prefix") => before = bytes,
            Some("suffix") => after = bytes,
            _ => return Ok(None),
        }
    }
    let read = FastHash::read(Fast { digest, before, after }, &HEXLOWER.encode(&tag));
    Ok(Some(GivenPassword::Read(read.map(Legacy::Fast))))
}

fn decode(text: &str, encoding: &str) -> Option<Vec<u8>> {
    match encoding {
        "utf8" => Some(text.as_bytes().to_vec()),
        "hex" => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
        "base64" => {
            let text = text.replace('-', "+").replace('_', "/");
            BASE64_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok()
        }
        _ => None,
    }
}
