//! Hashes as other systems write them, read into a form that is stored here.

use super::foreign::{Foreign, Prf, ScryptCost};
use super::phc::Phc;
use super::{Memory, Params, PasswordError};
use aws_lc_rs::digest;
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

/// Longest hash of another system that is looked at.
const MAX_BYTES: usize = 1024;

/// A hash that was read from elsewhere.
#[derive(PartialEq, Eq)]
pub enum Legacy {
    /// May be stored as it is; says how strong it is.
    Stored(String),
    /// Is too quick to be stored: [`wrap`] it.
    Fast(FastHash),
}

impl std::fmt::Debug for Legacy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stored(_) => "Legacy::Stored(redacted)",
            Self::Fast(_) => "Legacy::Fast(redacted)",
        })
    }
}

/// A digest that is no password hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256
    Sha256,
    /// SHA-512
    Sha512,
}

impl Digest {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// By the name that the form and import files use.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|digest| digest.name() == name)
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// How a quick digest was made: what stood around the password.
#[derive(PartialEq, Eq)]
pub struct Fast {
    /// Which digest.
    pub digest: Digest,
    /// Salt before the password.
    pub before: Vec<u8>,
    /// Salt after it.
    pub after: Vec<u8>,
}

impl Fast {
    /// The digest of a password in lower-case hexadecimal digits.
    pub(super) fn of(&self, password: &[u8]) -> Zeroizing<String> {
        let algorithm = match self.digest {
            Digest::Sha256 => &digest::SHA256,
            Digest::Sha512 => &digest::SHA512,
        };
        let mut context = digest::Context::new(algorithm);
        for part in [&self.before[..], password, &self.after[..]] {
            context.update(part);
        }
        Zeroizing::new(HEXLOWER.encode(context.finish().as_ref()))
    }
}

/// A quick digest of a password.
#[derive(PartialEq, Eq)]
pub struct FastHash {
    fast: Fast,
    hex: Zeroizing<String>,
}

impl FastHash {
    /// From hexadecimal digits in either case.
    ///
    /// # Errors
    /// [`PasswordError::Malformed`].
    pub fn read(fast: Fast, hex: &str) -> Result<Self, PasswordError> {
        let bytes =
            Zeroizing::new(HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|_| PasswordError::Malformed)?);
        let salts = [&fast.before, &fast.after];
        if bytes.len() != fast.digest.bytes() || salts.iter().any(|salt| salt.len() > 256) {
            return Err(PasswordError::Malformed);
        }
        Ok(Self { hex: Zeroizing::new(HEXLOWER.encode(&bytes)), fast })
    }
}

/// What a Firebase project adds to the hashes of all its accounts ("password hash parameters" in its console).
pub struct Firebase {
    /// `base64_signer_key`, decoded.
    pub signer_key: Zeroizing<Vec<u8>>,
    /// `base64_salt_separator`, decoded.
    pub salt_separator: Vec<u8>,
    /// `rounds`.
    pub rounds: u32,
    /// `mem_cost`.
    pub mem_cost: u8,
}

impl Firebase {
    /// The stored form of an account's hash and salt, both decoded. The signer key does not go into it: the hash is that key,
    /// enciphered, so that the key stream that is left says all.
    ///
    /// # Errors
    /// [`PasswordError::Malformed`], [`PasswordError::BadParams`] or [`PasswordError::TooWeak`].
    pub fn form(&self, hash: &[u8], salt: &[u8]) -> Result<String, PasswordError> {
        if hash.len() != self.signer_key.len() {
            return Err(PasswordError::Malformed);
        }
        let keystream = hash.iter().zip(self.signer_key.iter()).map(|(a, b)| a ^ b).collect();
        let cost = ScryptCost { log_n: self.mem_cost, r: self.rounds, p: 1 };
        Foreign::firebase(cost, [salt, &self.salt_separator].concat(), keystream)
            .and_then(|form| write(&form))
    }
}

/// The stored form, read back: what a sign-in could not judge later is not stored.
fn write(form: &Foreign) -> Result<String, PasswordError> {
    let text = form.write();
    super::check_form(&text, None).map(|()| text)
}

/// The stored form of a PBKDF2 hash.
///
/// # Errors
/// [`PasswordError::Malformed`], [`PasswordError::BadParams`] or [`PasswordError::TooWeak`].
pub fn pbkdf2_form(prf: Prf, iterations: u32, salt: &[u8], tag: &[u8]) -> Result<String, PasswordError> {
    Foreign::pbkdf2(prf, iterations, salt.to_vec(), tag.to_vec()).and_then(|form| write(&form))
}

/// The stored form of an Argon2 hash of version 1.3.
///
/// # Errors
/// [`PasswordError::Malformed`], [`PasswordError::BadParams`] or [`PasswordError::TooWeak`].
pub fn argon2_form(
    algorithm: argon2::Algorithm,
    params: Params,
    salt: &[u8],
    tag: &[u8],
) -> Result<String, PasswordError> {
    let (salt, tag) = (salt.to_vec(), tag.to_vec());
    let phc = Phc { algorithm, version: argon2::Version::V0x13, params, pepper_id: None, salt, tag };
    let text = phc.write();
    super::check_form(&text, None).map(|()| text)
}

/// Reads a hash by its shape: Argon2 and our other stored forms, bcrypt, passlib, PBKDF2 in PHC strings, Django, Werkzeug,
/// ASP.NET Identity 2 and 3, Supabase's form of Firebase's scrypt, and SHA-256 or SHA-512 in hexadecimal digits, which is taken for a digest of the password alone.
///
/// # Errors
/// [`PasswordError::Unsupported`] for what is none of these, [`PasswordError::Malformed`], [`PasswordError::BadParams`],
/// [`PasswordError::TooWeak`], [`PasswordError::UnknownPepper`].
pub fn read_legacy(text: &str, pepper: Option<&[u8]>) -> Result<Legacy, PasswordError> {
    if text.len() > MAX_BYTES {
        return Err(PasswordError::Malformed);
    }
    if let Some(rest) = text.strip_prefix("$fbscrypt$") {
        return supabase(rest).map(Legacy::Stored);
    }
    if text.starts_with('$') {
        return match passlib(text)? {
            Some(form) => Ok(Legacy::Stored(form)),
            None => super::check_form(text, pepper).map(|()| Legacy::Stored(text.to_owned())),
        };
    }
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for digest in [Digest::Sha256, Digest::Sha512] {
        if hex && text.len() == digest.bytes() * 2 {
            let fast = Fast { digest, before: Vec::new(), after: Vec::new() };
            return FastHash::read(fast, text).map(Legacy::Fast);
        }
    }
    if let Some((head, rest)) = text.split_once('$') {
        return with_head(head, rest).map(Legacy::Stored);
    }
    aspnet(text).map(Legacy::Stored)
}

/// passlib's PBKDF2: its own alphabet, and the iterations without a name. PHC strings name the length beside them.
fn passlib(text: &str) -> Result<Option<String>, PasswordError> {
    let schemes = [
        ("$pbkdf2$", Prf::Sha1),
        ("$pbkdf2-sha1$", Prf::Sha1),
        ("$pbkdf2-sha256$", Prf::Sha256),
        ("$pbkdf2-sha512$", Prf::Sha512),
    ];
    let found = schemes.iter().find_map(|(scheme, prf)| Some((text.strip_prefix(scheme)?, *prf)));
    let Some((rest, prf)) = found else { return Ok(None) };
    let fields: Vec<&str> = rest.split('$').collect();
    let [costs, salt, tag] = fields[..] else { return Err(PasswordError::Malformed) };
    let (iterations, length) = match costs.strip_prefix("i=").map(|costs| costs.split_once(",l=")) {
        None => (number(costs)?, None),
        Some(Some((iterations, length))) => (number(iterations)?, Some(number(length)?)),
        // Ours, unless its name is another's.
        Some(None) => return Ok(None),
    };
    let decode = |field: &str| {
        BASE64_NOPAD.decode(field.replace('.', "+").as_bytes()).map_err(|_| PasswordError::Malformed)
    };
    let tag = decode(tag)?;
    if length.is_some_and(|length| usize::try_from(length) != Ok(tag.len())) {
        return Err(PasswordError::Malformed);
    }
    pbkdf2_form(prf, iterations, &decode(salt)?, &tag).map(Some)
}

/// `v=1,n=14,r=8,p=1,ss=…,sk=…$salt$hash`, in which the parameters of the Firebase project stand in each hash.
fn supabase(rest: &str) -> Result<String, PasswordError> {
    let fields: Vec<&str> = rest.split('$').collect();
    let [costs, salt, hash] = fields[..] else { return Err(PasswordError::Malformed) };
    let cost = |name: &str| costs.split(',').find_map(|cost| cost.strip_prefix(name));
    if cost("v=") != Some("1") || cost("p=") != Some("1") {
        return Err(PasswordError::Unsupported);
    }
    let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| PasswordError::Malformed);
    let mem_cost = number(cost("n=").ok_or(PasswordError::Malformed)?)?;
    let project = Firebase {
        signer_key: decode(cost("sk=").ok_or(PasswordError::Malformed)?)?.into(),
        salt_separator: decode(cost("ss=").unwrap_or_default())?,
        rounds: number(cost("r=").ok_or(PasswordError::Malformed)?)?,
        mem_cost: u8::try_from(mem_cost).map_err(|_| PasswordError::BadParams)?,
    };
    project.form(&decode(hash)?, &decode(salt)?)
}

/// Django (`pbkdf2_sha256$…`, `scrypt$…`) and Werkzeug (`pbkdf2:sha256:…$…`, `scrypt:…$…`), whose salt is text.
fn with_head(head: &str, rest: &str) -> Result<String, PasswordError> {
    let malformed = |_| PasswordError::Malformed;
    let django = match head {
        "pbkdf2_sha256" => Some(Prf::Sha256),
        "pbkdf2_sha1" => Some(Prf::Sha1),
        _ => None,
    };
    if let Some(prf) = django {
        let fields: Vec<&str> = rest.split('$').collect();
        let [iterations, salt, tag] = fields[..] else { return Err(PasswordError::Malformed) };
        let tag = BASE64.decode(tag.as_bytes()).map_err(malformed)?;
        return pbkdf2_form(prf, number(iterations)?, salt.as_bytes(), &tag);
    }
    // Django writes its own name before the hash that the library made; for bcrypt with a dollar sign more.
    if head == "bcrypt" || head == "argon2" {
        let text = format!("${}", rest.strip_prefix('$').unwrap_or(rest));
        return super::check_form(&text, None).map(|()| text);
    }
    if head == "bcrypt_sha256" {
        let inner = format!("${}", rest.strip_prefix('$').unwrap_or(rest));
        return Foreign::digested(inner).and_then(|form| write(&form));
    }
    if head == "scrypt" {
        let fields: Vec<&str> = rest.split('$').collect();
        let [n, salt, r, p, tag] = fields[..] else { return Err(PasswordError::Malformed) };
        return scrypt_form([n, r, p], salt, BASE64.decode(tag.as_bytes()).map_err(malformed)?);
    }
    let parts: Vec<&str> = head.split(':').collect();
    let (salt, tag) = rest.split_once('$').ok_or(PasswordError::Unsupported)?;
    let tag = HEXLOWER_PERMISSIVE.decode(tag.as_bytes()).map_err(malformed)?;
    match parts[..] {
        ["pbkdf2", name, iterations] => {
            let prf = match name {
                "sha1" => Prf::Sha1,
                "sha256" => Prf::Sha256,
                "sha512" => Prf::Sha512,
                _ => return Err(PasswordError::Unsupported),
            };
            pbkdf2_form(prf, number(iterations)?, salt.as_bytes(), &tag)
        }
        ["scrypt", n, r, p] => scrypt_form([n, r, p], salt, tag),
        _ => Err(PasswordError::Unsupported),
    }
}

fn scrypt_form([n, r, p]: [&str; 3], salt: &str, tag: Vec<u8>) -> Result<String, PasswordError> {
    let n = number(n)?;
    let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| PasswordError::BadParams)?;
    if !n.is_power_of_two() {
        return Err(PasswordError::BadParams);
    }
    let cost = ScryptCost { log_n, r: number(r)?, p: number(p)? };
    Foreign::scrypt(cost, salt.as_bytes().to_vec(), tag).and_then(|form| write(&form))
}

/// ASP.NET Identity: version 2 begins with a zero byte and says nothing more; version 3 begins with one and says everything.
fn aspnet(text: &str) -> Result<String, PasswordError> {
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| PasswordError::Unsupported)?;
    let word = |at: usize| {
        let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.first_chunk::<4>());
        bytes.map(|bytes| u32::from_be_bytes(*bytes)).ok_or(PasswordError::Malformed)
    };
    match bytes.split_first() {
        Some((0, rest)) if rest.len() == 48 => {
            let (salt, tag) = rest.split_at(16);
            pbkdf2_form(Prf::Sha1, 1000, salt, tag)
        }
        Some((1, _)) => {
            let prf = match word(1)? {
                0 => Prf::Sha1,
                1 => Prf::Sha256,
                2 => Prf::Sha512,
                _ => return Err(PasswordError::Unsupported),
            };
            let length = usize::try_from(word(9)?).map_err(|_| PasswordError::Malformed)?;
            let rest = bytes.get(13..).ok_or(PasswordError::Malformed)?;
            let (salt, tag) = rest.split_at_checked(length).ok_or(PasswordError::Malformed)?;
            pbkdf2_form(prf, word(5)?, salt, tag)
        }
        _ => Err(PasswordError::Unsupported),
    }
}

/// Puts a quick digest into Argon2id, so that a stolen table does not show it. Takes as long as [`super::hash`].
///
/// # Errors
/// As [`super::hash`].
pub fn wrap(
    hash: FastHash,
    params: &Params,
    pepper: Option<&[u8]>,
    salt: [u8; 16],
    memory: &mut Memory,
) -> Result<String, PasswordError> {
    let inner = super::hash(&hash.hex, params, pepper, salt, memory)?;
    // The settings, not a file, say what this one costs.
    let text = Foreign::Wrapped { fast: hash.fast, inner }.write();
    Foreign::read(&text).map(|_| text)
}

fn number(text: &str) -> Result<u32, PasswordError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or(PasswordError::Malformed)
}
