//! Users of a Keycloak realm export: secrets are JSON within JSON, or members of the credential before version 8.
use super::super::fields::Fields;
use super::super::given::{Given, GivenPassword, GivenTotp};
use super::super::problem::{Problem, Reason};
use super::Result;
use data_encoding::BASE64;
use hallpass_crypto::password::legacy::{Legacy, argon2_form, pbkdf2_form};
use hallpass_crypto::password::{Params, PasswordError, Prf};

/// Roles that every realm has and that say nothing here.
fn is_own(role: &str) -> bool {
    role.starts_with("default-roles-") || ["offline_access", "uma_authorization"].contains(&role)
}

pub(super) fn read(fields: &mut Fields) -> Result<Given> {
    if fields.is_array("users") {
        let text =
            "this is a realm and no user: export one realm (--realm), or take the elements of the file apart";
        return Err(Problem::new(Reason::BadField, text));
    }
    let id = fields.text("id")?;
    let email = fields.text("email")?;
    let names: Vec<_> = ["firstName", "lastName"]
        .into_iter()
        .filter_map(|name| fields.part(name, Reason::InvalidName))
        .collect();
    let name = names.into_iter().collect::<Result<Vec<String>>>().map(|names| names.join(" "));
    // In many realms the address is the username as well.
    let username = fields.part("username", Reason::InvalidUsername);
    let username = username.filter(|name| !name.as_ref().is_ok_and(|name| name.contains('@')));
    let mut roles = fields.role_names("realmRoles");
    roles.retain(|role| !role.as_ref().is_ok_and(|role| is_own(role)));
    let mut given = Given {
        source_id: id.clone(),
        id,
        email,
        email_verified: fields.flag("emailVerified")?,
        username,
        name: Some(name),
        roles,
        disabled: fields.flag("enabled")? == Some(false),
        created_at: fields.instant("createdTimestamp")?,
        ..Given::default()
    };
    for credential in fields.objects("credentials")? {
        take(&mut given, credential)?;
    }
    let actions = fields.texts("requiredActions")?;
    if given.password.is_some() && actions.iter().any(|action| action == "UPDATE_PASSWORD") {
        given.password = Some(TEMPORARY);
    }
    Ok(given)
}

/// Somebody else knows it, and it was to be changed at the first sign-in.
const TEMPORARY: GivenPassword = GivenPassword::Lost("the password was to be changed at the next sign-in");

fn take(given: &mut Given, mut credential: Fields) -> Result<()> {
    match credential.text("type")?.as_deref() {
        Some("password") => {
            given.password_changed_at = credential.instant("createdDate")?;
            given.password = Some(if credential.flag("temporary")? == Some(true) {
                TEMPORARY
            } else {
                GivenPassword::Read(password(credential))
            });
        }
        // Former ones, which nobody may choose again there.
        Some("password-history") => {}
        Some("otp" | "totp") if given.totp.is_none() => {
            let created_at = credential.instant("createdDate")?;
            match otp(given, credential) {
                Ok(()) => {
                    given.totp = given.totp.take().map(|totp| GivenTotp { created_at, ..totp });
                }
                Err(_) => given.lost_factor = Some("a one-time password whose form is not known"),
            }
        }
        Some("otp" | "totp") => given.lost_factor = Some("a second authenticator app"),
        Some("hotp") => given.lost_factor = Some(NOT_TOTP),
        Some("webauthn") => given.lost_factor = Some("a security key"),
        Some("webauthn-passwordless") => given.lost_factor = Some("a passkey"),
        Some("recovery-authn-codes") => given.lost_factor = Some("recovery codes"),
        _ => given.lost_factor = Some("a credential of a kind that is not known"),
    }
    Ok(())
}

/// The secret part of a credential and the rest of it, which are one object in old files.
fn parts(mut credential: Fields) -> Result<(Fields, Option<Fields>)> {
    match (credential.quoted_object("secretData")?, credential.quoted_object("credentialData")?) {
        (Some(secret), Some(data)) => Ok((secret, Some(data))),
        (None, None) => Ok((credential, None)),
        _ => Err(Problem::new(Reason::BadField, "a credential must have both of its parts")),
    }
}

fn password(credential: Fields) -> std::result::Result<Legacy, PasswordError> {
    let malformed = |_: Problem| PasswordError::Malformed;
    let (mut secret, data) = parts(credential).map_err(malformed)?;
    let decode = |text: Option<String>| {
        BASE64.decode(text.unwrap_or_default().as_bytes()).map_err(|_| PasswordError::Malformed)
    };
    let tag = match &data {
        Some(_) => secret.text("value"),
        // In an old file `value` is the password itself, as somebody has written it by hand.
        None => secret.text("hashedSaltedValue"),
    };
    let tag = tag.map_err(malformed)?;
    if data.is_none() && tag.is_none() {
        return Err(PasswordError::Unsupported);
    }
    let (tag, salt) = (decode(tag)?, decode(secret.text("salt").map_err(malformed)?)?);
    let mut data = data.unwrap_or(secret);
    let iterations = data.number("hashIterations").map_err(malformed)?;
    let iterations =
        iterations.and_then(|number| u32::try_from(number).ok()).ok_or(PasswordError::Malformed)?;
    let prf = match data.text("algorithm").map_err(malformed)?.as_deref() {
        Some("pbkdf2") => Prf::Sha1,
        Some("pbkdf2-sha256") => Prf::Sha256,
        Some("pbkdf2-sha512") => Prf::Sha512,
        Some("argon2") => {
            let cost = argon2_cost(&mut data, iterations).map_err(malformed)?;
            let (kind, params) = cost.ok_or(PasswordError::Unsupported)?;
            return argon2_form(kind, params, &salt, &tag).map(Legacy::Stored);
        }
        _ => return Err(PasswordError::Unsupported),
    };
    pbkdf2_form(prf, iterations, &salt, &tag).map(Legacy::Stored)
}

/// The parameters that Keycloak 25 and later keep as lists of texts.
fn argon2_cost(data: &mut Fields, passes: u32) -> Result<Option<(argon2::Algorithm, Params)>> {
    let Some(mut more) = data.object("additionalParameters")? else { return Ok(None) };
    let mut first = |name: &str| more.texts(name).map(|texts| texts.into_iter().next().unwrap_or_default());
    let kind = match first("type")?.as_str() {
        "id" => argon2::Algorithm::Argon2id,
        "i" => argon2::Algorithm::Argon2i,
        "d" => argon2::Algorithm::Argon2d,
        _ => return Ok(None),
    };
    let (memory, lanes) = (first("memory")?.parse(), first("parallelism")?.parse());
    let current = first("version")? == "1.3";
    let (Ok(memory_kib), Ok(lanes), true) = (memory, lanes, current) else { return Ok(None) };
    Ok(Some((kind, Params { memory_kib, passes, lanes })))
}

const NOT_TOTP: &str = "a one-time password that is not TOTP with SHA-1, six digits, 30 s";

fn otp(given: &mut Given, credential: Fields) -> Result<()> {
    let (mut secret, data) = parts(credential)?;
    let old = data.is_none();
    let value = secret.text(if old { "hashedSaltedValue" } else { "value" })?;
    let mut data = data.unwrap_or(secret);
    // Old files have a zero where nothing was said.
    let usual = data.text("subType")?.is_none_or(|kind| kind == "totp")
        && data.number("digits")?.is_none_or(|digits| digits == 6 || old && digits == 0)
        && data.number("period")?.is_none_or(|period| period == 30 || old && period == 0)
        && data.text("algorithm")?.is_none_or(|name| name == "HmacSHA1");
    let encoded = data.text("secretEncoding")?.is_some_and(|name| name == "BASE32");
    match value {
        Some(_) if !usual => given.lost_factor = Some(NOT_TOTP),
        Some(value) if !encoded => {
            // The characters themselves are the secret.
            let secret = value.into_bytes();
            given.totp = Some(GivenTotp { secret, created_at: None, last_step: None, last_used_at: None });
        }
        value => given.take_app(value.as_deref()),
    }
    Ok(())
}
