//! Users of a Keycloak realm export: secrets are JSON within JSON.
use super::super::draft::{Given, GivenPassword, GivenTotp};
use super::super::fields::Fields;
use super::{Result, base32};
use data_encoding::BASE64;
use hallpass_crypto::password::legacy::{Legacy, argon2_form, pbkdf2_form};
use hallpass_crypto::password::{Params, PasswordError, Prf};

/// Roles that every realm has and that say nothing here.
fn is_own(role: &str) -> bool {
    role.starts_with("default-roles-") || ["offline_access", "uma_authorization"].contains(&role)
}

pub(super) fn read(fields: &mut Fields) -> Result<Given> {
    let id = fields.text("id")?;
    let email = fields.text("email")?;
    let names: Vec<String> =
        [fields.text("firstName")?, fields.text("lastName")?].into_iter().flatten().collect();
    // In many realms the address is the username as well.
    let username = fields.text("username")?.filter(|name| !name.contains('@'));
    let mut given = Given {
        source_id: id.clone(),
        id,
        email,
        email_verified: fields.flag("emailVerified")?,
        username,
        name: Some(names.join(" ")),
        roles: fields.texts("realmRoles")?.into_iter().filter(|role| !is_own(role)).collect(),
        disabled: fields.flag("enabled")? == Some(false),
        created_at: fields.instant("createdTimestamp")?,
        ..Given::default()
    };
    for mut credential in fields.objects("credentials")? {
        let secret = credential.quoted_object("secretData")?;
        let data = credential.quoted_object("credentialData")?;
        let created_at = credential.instant("createdDate")?;
        let (Some(mut secret), Some(mut data)) = (secret, data) else { continue };
        match credential.text("type")?.as_deref() {
            Some("password") => {
                given.password = Some(GivenPassword::Read(password(&mut secret, &mut data)?));
                given.password_changed_at = created_at;
            }
            Some("otp") if given.totp.is_none() => match otp(&mut secret, &mut data)? {
                Some(totp) => given.totp = Some(GivenTotp { created_at, ..totp }),
                None => {
                    given.lost_factor =
                        Some("a one-time password that is not TOTP with SHA-1, six digits, 30 s");
                }
            },
            Some("otp") => given.lost_factor = Some("a second authenticator app"),
            Some("webauthn") => given.lost_factor = Some("a security key"),
            Some("recovery-authn-codes") => given.lost_factor = Some("recovery codes"),
            _ => {}
        }
    }
    Ok(given)
}

fn password(secret: &mut Fields, data: &mut Fields) -> Result<std::result::Result<Legacy, PasswordError>> {
    let decode = |text: Option<String>| {
        BASE64.decode(text.unwrap_or_default().as_bytes()).map_err(|_| PasswordError::Malformed)
    };
    let (tag, salt) = (decode(secret.text("value")?), decode(secret.text("salt")?));
    let iterations = data.number("hashIterations")?.and_then(|number| u32::try_from(number).ok());
    let algorithm = data.text("algorithm")?.unwrap_or_default();
    let prf = match algorithm.as_str() {
        "pbkdf2" => Some(Prf::Sha1),
        "pbkdf2-sha256" => Some(Prf::Sha256),
        "pbkdf2-sha512" => Some(Prf::Sha512),
        _ => None,
    };
    let cost = if algorithm == "argon2" { argon2_cost(data, iterations)? } else { None };
    Ok((|| {
        let (tag, salt) = (tag?, salt?);
        match (prf, cost) {
            (Some(prf), _) => pbkdf2_form(prf, iterations.ok_or(PasswordError::Malformed)?, &salt, &tag),
            (None, Some((kind, params))) => argon2_form(kind, params, &salt, &tag),
            (None, None) => Err(PasswordError::Unsupported),
        }
        .map(Legacy::Stored)
    })())
}

/// The parameters that Keycloak 25 and later keep as lists of texts.
fn argon2_cost(data: &mut Fields, passes: Option<u32>) -> Result<Option<(argon2::Algorithm, Params)>> {
    let Some(mut more) = data.object("additionalParameters")? else { return Ok(None) };
    let mut first = |name: &str| more.texts(name).map(|texts| texts.into_iter().next().unwrap_or_default());
    let kind = match first("type")?.as_str() {
        "id" => argon2::Algorithm::Argon2id,
        "i" => argon2::Algorithm::Argon2i,
        _ => return Ok(None),
    };
    let (memory, lanes) = (first("memory")?.parse(), first("parallelism")?.parse());
    let current = first("version")? == "1.3";
    let (Ok(memory_kib), Ok(lanes), Some(passes), true) = (memory, lanes, passes, current) else {
        return Ok(None);
    };
    Ok(Some((kind, Params { memory_kib, passes, lanes })))
}

fn otp(secret: &mut Fields, data: &mut Fields) -> Result<Option<GivenTotp>> {
    let usual = data.text("subType")?.is_none_or(|kind| kind == "totp")
        && data.number("digits")?.is_none_or(|digits| digits == 6)
        && data.number("period")?.is_none_or(|period| period == 30)
        && data.text("algorithm")?.is_none_or(|name| name == "HmacSHA1");
    let encoded = data.text("secretEncoding")?.is_some_and(|name| name == "BASE32");
    let Some(value) = secret.text("value")?.filter(|_| usual) else { return Ok(None) };
    if encoded {
        return base32(&value).map(Some);
    }
    // The characters themselves are the secret.
    let secret = value.into_bytes();
    Ok(Some(GivenTotp { secret, created_at: None, last_step: None, last_used_at: None }))
}
