//! What a record of a file gives, before anything of it is judged.
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::passkeys::CarriedPasskey;
use hallpass_crypto::password::PasswordError;
use hallpass_crypto::password::legacy::Legacy;

type Result<T> = std::result::Result<T, Problem>;

/// A password as a file has it.
pub enum GivenPassword {
    /// A hash whose kind shows.
    Text(String),
    /// One that was put into a stored form already, or why it was not.
    Read(std::result::Result<Legacy, PasswordError>),
    /// One that is there and cannot be taken, and why.
    Lost(&'static str),
}

/// An authenticator app as a file has it.
pub struct GivenTotp {
    /// What the app knows.
    pub secret: Vec<u8>,
    /// When it was set up.
    pub created_at: Option<Timestamp>,
    /// The latest step whose code was taken.
    pub last_step: Option<i64>,
    /// When its latest code was taken.
    pub last_used_at: Option<Timestamp>,
}

/// What a format has found in a record; nothing of it is checked.
///
/// What may be given up by name is kept with what is wrong with it, so that a form that is not read does not refuse the rest.
#[derive(Default)]
pub struct Given {
    /// What the source calls the account, for the list of ids.
    pub source_id: Option<String>,
    /// The id to keep.
    pub id: Option<String>,
    /// Whether the account is refused when the id is taken; else it gets another.
    pub keep_id: bool,
    /// Address.
    pub email: Option<String>,
    /// Whether the mailbox was proven, if the source says so.
    pub email_verified: Option<bool>,
    /// When.
    pub email_verified_at: Option<Timestamp>,
    /// Public name.
    pub username: Option<Result<String>>,
    /// Display name.
    pub name: Option<Result<String>>,
    /// Password.
    pub password: Option<GivenPassword>,
    /// When it was chosen.
    pub password_changed_at: Option<Timestamp>,
    /// Names of roles.
    pub roles: Vec<Result<String>>,
    /// Whether the account is closed.
    pub disabled: bool,
    /// Since when.
    pub disabled_at: Option<Timestamp>,
    /// When it came into being.
    pub created_at: Option<Timestamp>,
    /// The latest sign-in.
    pub last_login_at: Option<Timestamp>,
    /// Authenticator app.
    pub totp: Option<GivenTotp>,
    /// Digests of recovery codes, bound to the id.
    pub recovery_codes: Vec<[u8; 32]>,
    /// Passkeys, bound to the id.
    pub passkeys: Vec<CarriedPasskey>,
    /// Second factors that the format names and that have no place here.
    pub lost_factor: Option<&'static str>,
}

impl Given {
    /// Takes an authenticator secret in Base32, if it is one and the only one.
    pub fn take_app(&mut self, secret: Option<&str>) {
        let lost = match secret.map(from_base32) {
            _ if self.totp.is_some() => "a second authenticator app",
            None => "an authenticator app without its secret",
            Some(None) => "an authenticator app whose secret is no Base32 text",
            Some(Some(secret)) => {
                let app = GivenTotp { secret, created_at: None, last_step: None, last_used_at: None };
                self.totp = Some(app);
                return;
            }
        };
        self.lost_factor = Some(lost);
    }
}

/// Base32 in either case, with or without padding and spaces. What the last letter has beyond whole bytes says nothing: not
/// every program leaves it empty.
fn from_base32(text: &str) -> Option<Vec<u8>> {
    let plain: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=')
        .map(|byte| byte.to_ascii_uppercase())
        .collect();
    let (mut bytes, mut pending, mut bits) = (Vec::new(), 0_u16, 0);
    for letter in plain {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        pending = ((pending << 5) & 0x0fff) | u16::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.extend((pending >> bits).to_le_bytes().first());
        }
    }
    // Five bits or more would be a letter too many.
    (bits < 5).then_some(bytes)
}
