//! Stored forms of hashes that other systems made, in PHC style: scrypt, Firebase's scrypt, PBKDF2, fast digests inside Argon2id,
//! and SHA-256 inside bcrypt. Read strictly and bounded, as the Argon2 form is.

use super::legacy::{Digest, Fast};
use super::{MAX_INPUT_BYTES, Memory, PasswordError};
use crate::digest::equal;
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use data_encoding::BASE64_NOPAD;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// Longest stored form; a wrapped digest with a long salt is the longest of ours.
const MAX_BYTES: usize = 1024;
/// Longest salt.
const MAX_SALT: usize = 256;
/// How a bcrypt hash of a digest begins; the rest is the hash without its first dollar sign.
const DIGESTED: &str = "$sha256-in-bcrypt$";
/// Lengths of what a password makes; no system that is read here has more than SHA-512 gives.
const TAG: std::ops::RangeInclusive<usize> = 16..=64;
/// Fewest iterations of PBKDF2: what ASP.NET Identity 2 has (RFC 8018 section 4.2).
const MIN_PBKDF2_ITERATIONS: u32 = 1000;
/// Most iterations of PBKDF2 times blocks of output: about three seconds.
const MAX_PBKDF2_WORK: u64 = 10_000_000;
/// Least memory of scrypt, in bytes.
const MIN_SCRYPT_MEMORY: u64 = 1024 * 1024;
/// Most memory of scrypt, in bytes.
const MAX_SCRYPT_MEMORY: u64 = 256 * 1024 * 1024;
/// Most memory of scrypt times its parallelism, in bytes: about two seconds.
const MAX_SCRYPT_WORK: u64 = 1024 * 1024 * 1024;
/// Most bytes that scrypt's lanes begin with; they are allocated beside its memory, and hashed for each 32 bytes of the tag.
const MAX_SCRYPT_LANES: u64 = 32 * 1024 * 1024;

/// The function under PBKDF2 (RFC 8018 B.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prf {
    /// HMAC-SHA-1
    Sha1,
    /// HMAC-SHA-256
    Sha256,
    /// HMAC-SHA-512
    Sha512,
}

impl Prf {
    const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    const fn scheme(self) -> &'static str {
        match self {
            Self::Sha1 => "pbkdf2-sha1",
            Self::Sha256 => "pbkdf2-sha256",
            Self::Sha512 => "pbkdf2-sha512",
        }
    }

    fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    const fn block(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// The cost of scrypt (RFC 7914 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScryptCost {
    /// Logarithm of N to the base of 2.
    pub log_n: u8,
    /// Block size.
    pub r: u32,
    /// Parallelism; the lanes run one after another here.
    pub p: u32,
}

impl ScryptCost {
    fn params(self) -> Result<scrypt::Params, PasswordError> {
        // N is greater than one (RFC 7914 section 2).
        if !(1..=30).contains(&self.log_n) || self.r == 0 || self.p == 0 {
            return Err(PasswordError::BadParams);
        }
        let memory = self.memory();
        let work = memory.saturating_mul(u64::from(self.p));
        let lanes = 128_u64.saturating_mul(u64::from(self.r)).saturating_mul(u64::from(self.p));
        if memory > MAX_SCRYPT_MEMORY || work > MAX_SCRYPT_WORK || lanes > MAX_SCRYPT_LANES {
            return Err(PasswordError::BadParams);
        }
        scrypt::Params::new(self.log_n, self.r, self.p).map_err(|_| PasswordError::BadParams)
    }

    fn memory(self) -> u64 {
        let n = 1_u64.checked_shl(self.log_n.into()).unwrap_or(u64::MAX);
        n.saturating_mul(128).saturating_mul(u64::from(self.r))
    }
}

/// One stored hash of another system.
#[derive(PartialEq, Eq)]
pub(super) enum Foreign {
    Scrypt {
        cost: ScryptCost,
        salt: Vec<u8>,
        tag: Vec<u8>,
    },
    /// `keystream` is the hash of the export without the project's signer key: what the derived key enciphers nothing to.
    Firebase {
        cost: ScryptCost,
        salt: Vec<u8>,
        keystream: Vec<u8>,
    },
    Pbkdf2 {
        prf: Prf,
        iterations: NonZeroU32,
        salt: Vec<u8>,
        tag: Vec<u8>,
    },
    /// `inner` is the Argon2id hash of the digest in lower-case hexadecimal digits.
    Wrapped {
        fast: Fast,
        inner: String,
    },
    /// The bcrypt hash of SHA-256 in lower-case hexadecimal digits, as Django has it so that bcrypt sees long passwords whole.
    Digested(String),
}

impl Foreign {
    /// Whether a stored hash is of one of these kinds.
    pub(super) fn is(stored: &str) -> bool {
        const SCHEMES: [&str; 6] = [
            "$scrypt$",
            "$firebase-scrypt$",
            "$pbkdf2-",
            "$sha256-in-argon2id$",
            "$sha512-in-argon2id$",
            DIGESTED,
        ];
        SCHEMES.iter().any(|scheme| stored.starts_with(scheme))
    }

    /// Whether guessing through it is so quick that it is not to be stored. Of a wrapped digest its Argon2id says that.
    pub(super) fn is_weak(&self) -> bool {
        match self {
            Self::Scrypt { cost, .. } | Self::Firebase { cost, .. } => cost.memory() < MIN_SCRYPT_MEMORY,
            Self::Pbkdf2 { iterations, .. } => iterations.get() < MIN_PBKDF2_ITERATIONS,
            Self::Wrapped { .. } | Self::Digested(_) => false,
        }
    }

    pub(super) fn write(&self) -> String {
        let base64 = |bytes: &[u8]| BASE64_NOPAD.encode(bytes);
        match self {
            Self::Scrypt { cost: ScryptCost { log_n, r, p }, salt, tag } => {
                format!("$scrypt$ln={log_n},r={r},p={p}${}${}", base64(salt), base64(tag))
            }
            Self::Firebase { cost: ScryptCost { log_n, r, p }, salt, keystream } => {
                format!("$firebase-scrypt$ln={log_n},r={r},p={p}${}${}", base64(salt), base64(keystream))
            }
            Self::Pbkdf2 { prf, iterations, salt, tag } => {
                format!("${}$i={iterations}${}${}", prf.scheme(), base64(salt), base64(tag))
            }
            Self::Wrapped { fast, inner } => format!(
                "${}-in-argon2id$before={},after={}{inner}",
                fast.digest.name(),
                base64(&fast.before),
                base64(&fast.after)
            ),
            Self::Digested(inner) => format!("{DIGESTED}{}", inner.strip_prefix('$').unwrap_or(inner)),
        }
    }

    pub(super) fn read(stored: &str) -> Result<Self, PasswordError> {
        if stored.len() > MAX_BYTES {
            return Err(PasswordError::Malformed);
        }
        if let Some(inner) = stored.strip_prefix(DIGESTED) {
            return Self::digested(format!("${inner}"));
        }
        let (scheme, rest) =
            stored.strip_prefix('$').and_then(|text| text.split_once('$')).ok_or(PasswordError::Malformed)?;
        if let Some(name) = scheme.strip_suffix("-in-argon2id") {
            return Self::read_wrapped(name, rest);
        }
        let fields: Vec<&str> = rest.split('$').collect();
        let [costs, salt, tag] = fields[..] else { return Err(PasswordError::Malformed) };
        let (salt, tag) = (read_bytes(salt, 0..=MAX_SALT)?, read_bytes(tag, TAG)?);
        if let Some(prf) = Prf::ALL.into_iter().find(|prf| prf.scheme() == scheme) {
            let [iterations] = read_costs(costs, ["i="])?;
            return Self::pbkdf2(prf, iterations, salt, tag);
        }
        let [log_n, r, p] = read_costs(costs, ["ln=", "r=", "p="])?;
        let log_n = u8::try_from(log_n).map_err(|_| PasswordError::BadParams)?;
        let cost = ScryptCost { log_n, r, p };
        cost.params()?;
        match scheme {
            "scrypt" => Ok(Self::Scrypt { cost, salt, tag }),
            "firebase-scrypt" => Ok(Self::Firebase { cost, salt, keystream: tag }),
            _ => Err(PasswordError::Unsupported),
        }
    }

    fn read_wrapped(name: &str, rest: &str) -> Result<Self, PasswordError> {
        let digest = Digest::named(name).ok_or(PasswordError::Unsupported)?;
        let at = rest.find('$').ok_or(PasswordError::Malformed)?;
        let (salts, inner) = rest.split_at(at);
        let (before, after) = salts.split_once(',').ok_or(PasswordError::Malformed)?;
        let salt = |text: &str, name: &str| {
            text.strip_prefix(name)
                .ok_or(PasswordError::Malformed)
                .and_then(|salt| read_bytes(salt, 0..=MAX_SALT))
        };
        let fast = Fast { digest, before: salt(before, "before=")?, after: salt(after, "after=")? };
        Ok(Self::Wrapped { fast, inner: inner.to_owned() })
    }

    /// Checked against the bounds.
    pub(super) fn digested(inner: String) -> Result<Self, PasswordError> {
        super::read_bcrypt(&inner).map(|_| Self::Digested(inner))
    }

    /// Checked against the bounds.
    pub(super) fn pbkdf2(
        prf: Prf,
        iterations: u32,
        salt: Vec<u8>,
        tag: Vec<u8>,
    ) -> Result<Self, PasswordError> {
        let iterations = NonZeroU32::new(iterations).ok_or(PasswordError::BadParams)?;
        let blocks = tag.len().div_ceil(prf.block()) as u64;
        if salt.len() > MAX_SALT || !TAG.contains(&tag.len()) {
            return Err(PasswordError::Malformed);
        }
        if u64::from(iterations.get()).saturating_mul(blocks) > MAX_PBKDF2_WORK {
            return Err(PasswordError::BadParams);
        }
        Ok(Self::Pbkdf2 { prf, iterations, salt, tag })
    }

    /// Checked against the bounds.
    pub(super) fn scrypt(cost: ScryptCost, salt: Vec<u8>, tag: Vec<u8>) -> Result<Self, PasswordError> {
        cost.params()?;
        if salt.len() > MAX_SALT || !TAG.contains(&tag.len()) {
            return Err(PasswordError::Malformed);
        }
        Ok(Self::Scrypt { cost, salt, tag })
    }

    /// Checked against the bounds.
    pub(super) fn firebase(
        cost: ScryptCost,
        salt: Vec<u8>,
        keystream: Vec<u8>,
    ) -> Result<Self, PasswordError> {
        match Self::scrypt(cost, salt, keystream)? {
            Self::Scrypt { cost, salt, tag: keystream } => Ok(Self::Firebase { cost, salt, keystream }),
            other => Ok(other),
        }
    }

    /// Whether a password is the right one; takes as long as the parameters say, also for a password that is too long.
    pub(super) fn verify(
        &self,
        candidate: &str,
        pepper: Option<&[u8]>,
        memory: &mut Memory,
    ) -> Result<bool, PasswordError> {
        let fits = candidate.len() <= MAX_INPUT_BYTES;
        let password = if fits { candidate.as_bytes() } else { b"" };
        let right = match self {
            Self::Scrypt { cost, salt, tag } => equal(&derive(*cost, password, salt, tag.len())?, tag),
            Self::Firebase { cost, salt, keystream } => {
                let key = derive(*cost, password, salt, 32)?;
                equal(&cipher(&key, keystream.len())?, keystream)
            }
            Self::Pbkdf2 { prf, iterations, salt, tag } => {
                let mut derived = Zeroizing::new(vec![0; tag.len()]);
                pbkdf2::derive(prf.algorithm(), *iterations, salt, password, &mut derived);
                equal(&derived, tag)
            }
            Self::Wrapped { fast, inner } => super::verify_argon2(&fast.of(password), inner, pepper, memory)?,
            Self::Digested(inner) => {
                let fast = Fast { digest: Digest::Sha256, before: Vec::new(), after: Vec::new() };
                super::verify_bcrypt(&fast.of(password), inner)?
            }
        };
        Ok(right && fits)
    }
}

fn derive(
    cost: ScryptCost,
    password: &[u8],
    salt: &[u8],
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, PasswordError> {
    let mut derived = Zeroizing::new(vec![0; length]);
    scrypt::scrypt(password, salt, &cost.params()?, &mut derived).map_err(|_| PasswordError::BadParams)?;
    Ok(derived)
}

/// What AES-256-CTR makes of zeros, from a counter of zero on (github.com/firebase/scrypt).
fn cipher(key: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, PasswordError> {
    let key = UnboundCipherKey::new(&AES_256, key).and_then(EncryptingKey::ctr);
    let key = key.map_err(|_| PasswordError::BadParams)?;
    let mut stream = Zeroizing::new(vec![0; length]);
    let zero = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    key.less_safe_encrypt(&mut stream, zero).map_err(|_| PasswordError::BadParams)?;
    Ok(stream)
}

fn read_costs<const N: usize>(field: &str, names: [&str; N]) -> Result<[u32; N], PasswordError> {
    let mut numbers = [0; N];
    let mut costs = field.split(',');
    for (number, name) in numbers.iter_mut().zip(names) {
        let text = costs.next().and_then(|cost| cost.strip_prefix(name)).ok_or(PasswordError::Malformed)?;
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        *number = text.parse().ok().filter(|_| plain).ok_or(PasswordError::Malformed)?;
    }
    if costs.next().is_some() { Err(PasswordError::Malformed) } else { Ok(numbers) }
}

fn read_bytes(field: &str, length: std::ops::RangeInclusive<usize>) -> Result<Vec<u8>, PasswordError> {
    let bytes = BASE64_NOPAD.decode(field.as_bytes()).map_err(|_| PasswordError::Malformed)?;
    if length.contains(&bytes.len()) { Ok(bytes) } else { Err(PasswordError::Malformed) }
}
