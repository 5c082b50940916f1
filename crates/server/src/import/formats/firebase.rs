//! `firebase auth:export` in JSON, with the hash parameters of the project.
use super::super::fields::Fields;
use super::super::given::{Given, GivenPassword};
use super::super::problem::Reason;
use super::Result;
use data_encoding::BASE64;
use hallpass_crypto::password::PasswordError;
use hallpass_crypto::password::legacy::{Firebase, Legacy};

/// What stands where a hash would, to those who may not see it: `REDACTED` in Base64.
const REDACTED: &str = "UkVEQUNURUQ";

pub(super) fn read(fields: &mut Fields, parameters: Option<&Firebase>) -> Result<Given> {
    let hash = fields.text("passwordHash")?.filter(|hash| !hash.is_empty());
    let salt = fields.text("salt")?.unwrap_or_default();
    let password = hash.map(|hash| {
        if hash.trim_end_matches('=') == REDACTED {
            return GivenPassword::Lost(
                "the file has no hashes: whoever exported it lacks the permission firebaseauth.configs.getHashConfig",
            );
        }
        let read = || {
            let parameters = parameters.ok_or(PasswordError::Unsupported)?;
            parameters.form(&decode(&hash)?, &decode(&salt)?).map(Legacy::Stored)
        };
        GivenPassword::Read(read())
    });
    let lost = !fields.array("mfaInfo")?.is_empty();
    Ok(Given {
        source_id: fields.text("localId")?,
        email: fields.text("email")?,
        email_verified: fields.flag("emailVerified")?,
        name: fields.part("displayName", Reason::InvalidName),
        password,
        disabled: fields.flag("disabled")?.unwrap_or(false),
        created_at: fields.instant("createdAt")?,
        last_login_at: fields.instant("lastSignedInAt")?,
        lost_factor: lost.then_some("one whose secret is not in the file"),
        ..Given::default()
    })
}

/// Either alphabet of Base64.
fn decode(text: &str) -> std::result::Result<Vec<u8>, PasswordError> {
    let text = text.replace('-', "+").replace('_', "/");
    BASE64.decode(text.as_bytes()).map_err(|_| PasswordError::Malformed)
}

/// Reads the parameters as the console shows them, `name: value,` on each line, or as the API does, in JSON with other names.
/// Nothing when one is missing, or the algorithm is another.
pub fn read_parameters(text: &str) -> Option<Firebase> {
    let value = |names: &[&str]| {
        let after = names.iter().find_map(|name| Some(text.split_once(name)?.1))?;
        let value = after.trim_start_matches(|c: char| c.is_whitespace() || c == ':' || c == '"');
        let end = value.find(|c: char| c.is_whitespace() || c == ',' || c == '"' || c == '}');
        value.get(..end.unwrap_or(value.len()))
    };
    if value(&["algorithm"]).is_some_and(|name| name != "SCRYPT") {
        return None;
    }
    let signer_key =
        decode(value(&["base64_signer_key", "signerKey"])?).ok().filter(|key| !key.is_empty())?;
    Some(Firebase {
        signer_key: signer_key.into(),
        salt_separator: decode(value(&["base64_salt_separator", "saltSeparator"])?).ok()?,
        rounds: value(&["rounds"])?.parse().ok()?,
        mem_cost: value(&["mem_cost", "memoryCost"])?.parse().ok()?,
    })
}
