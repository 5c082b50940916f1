//! Password hashes (RFC 9106, NIST SP 800-63B section 3.1.1.2, ASVS 11.4.2).
//!
//! New hashes are Argon2id version 1.3 in PHC form. Argon2i, bcrypt, scrypt, Firebase's scrypt, PBKDF2 and wrapped SHA-2 are
//! verified so that imported users can sign in; [`needs_rehash`] then asks for a new hash. [`legacy`] reads hashes as other
//! systems write them. A pepper enters as Argon2's secret input, and the PHC
//! `keyid` names it, so that hashes from before the pepper, or from elsewhere, still verify.

mod foreign;
pub mod legacy;
mod phc;

pub use foreign::{Prf, ScryptCost};

use crate::digest::{equal, hkdf_expand, hkdf_extract};
use argon2::{Argon2, Block, Version};
use foreign::Foreign;
use phc::Phc;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use zeroize::{Zeroize, Zeroizing};

/// Longest password that is hashed, in bytes after normalisation. The policy's limit is lower.
pub const MAX_INPUT_BYTES: usize = 4096;
/// Longest password that bcrypt takes in, in bytes; it would ignore the rest.
const BCRYPT_MAX_BYTES: usize = 72;
const TAG_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// Why a password was neither accepted nor refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The stored hash is not readable.
    #[error("the stored password hash is malformed")]
    Malformed,
    /// The stored hash has an algorithm or an input that is not supported.
    #[error("the stored password hash is of an unsupported kind")]
    Unsupported,
    /// The parameters are out of range, or so costly that verifying would be an outage.
    #[error("the password hash parameters are out of range")]
    BadParams,
    /// Guessing through the hash would be too quick for it to be stored.
    #[error("the password hash is too quick to guess through: its cost is below the least that is taken")]
    TooWeak,
    /// The stored hash was made with a pepper, and not with the one given.
    #[error("the stored password hash needs another pepper")]
    UnknownPepper,
    /// More than [`MAX_INPUT_BYTES`].
    #[error("the password is too long")]
    TooLong,
    /// The working memory could not be had.
    #[error("no memory for the password hash")]
    OutOfMemory,
}

/// The cost of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes; they run one after another here.
    pub lanes: u32,
}

impl Params {
    /// OWASP's first choice for Argon2id with one lane: 19 MiB, two passes.
    pub const DEFAULT: Self = Self { memory_kib: 19_456, passes: 2, lanes: 1 };
    /// Memory and passes of the second recommendation of RFC 9106 section 4, with one lane.
    pub const STRONG: Self = Self { memory_kib: 65_536, passes: 3, lanes: 1 };

    /// Whether this is at least one of OWASP's equivalent minima, and within what this program will run.
    pub fn is_at_least_floor(&self) -> bool {
        const FLOOR: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];
        let enough = |(memory, passes)| self.memory_kib >= memory && self.passes >= passes;
        self.is_bounded() && FLOOR.into_iter().any(enough)
    }

    /// Whether a hash of this cost may be run at all: a hostile import must not become an outage.
    fn is_bounded(&self) -> bool {
        const MAX_MEMORY_KIB: u32 = 1024 * 1024;
        const MAX_WORK_KIB: u64 = 4 * 1024 * 1024;
        let work = u64::from(self.memory_kib) * u64::from(self.passes);
        (1..=64).contains(&self.lanes)
            && (1..=64).contains(&self.passes)
            && (8 * self.lanes..=MAX_MEMORY_KIB).contains(&self.memory_kib)
            && work <= MAX_WORK_KIB
    }

    /// Whether a hash of this cost may be taken from a file: less memory than the settings may ask for, since nobody here chose
    /// it, and not so little that guessing is quick.
    fn check_foreign(&self) -> Result<(), PasswordError> {
        const MEMORY_KIB: std::ops::RangeInclusive<u32> = 1024..=256 * 1024;
        if !self.is_bounded() || self.memory_kib > *MEMORY_KIB.end() {
            return Err(PasswordError::BadParams);
        }
        if self.memory_kib < *MEMORY_KIB.start() { Err(PasswordError::TooWeak) } else { Ok(()) }
    }
}

impl Default for Params {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Argon2's working memory, kept from one hash to the next and wiped after each.
///
/// A stored hash that needs more than the memory was made for gets it for that one run.
pub struct Memory {
    blocks: Vec<Block>,
    keep: usize,
}

impl Memory {
    /// Memory that keeps as much as [`Params::STRONG`] needs. Nothing is allocated before the first hash.
    pub const fn new() -> Self {
        Self::for_params(&Params::STRONG)
    }

    /// Memory that keeps as much as `params` need. Nothing is allocated before the first hash.
    pub const fn for_params(params: &Params) -> Self {
        Self { blocks: Vec::new(), keep: params.memory_kib as usize }
    }

    fn at_least(&mut self, count: usize) -> Result<&mut [Block], PasswordError> {
        let missing = count.saturating_sub(self.blocks.len());
        self.blocks.try_reserve_exact(missing).map_err(|_| PasswordError::OutOfMemory)?;
        if missing > 0 {
            self.blocks.resize(count, Block::new());
        }
        self.blocks.get_mut(..count).ok_or(PasswordError::OutOfMemory)
    }

    fn release(&mut self) {
        if self.blocks.len() > self.keep {
            self.blocks.truncate(self.keep);
            self.blocks.shrink_to_fit();
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("kib", &self.blocks.len()).finish_non_exhaustive()
    }
}

/// Hashes a new password: NFC, Argon2id version 1.3, 32-byte tag, as a PHC string.
///
/// `pepper` is a server-side secret of any length; `salt` is 16 fresh random bytes. Takes tens of
/// milliseconds and the memory of `params`; not to be called where others wait.
///
/// # Errors
/// [`PasswordError::BadParams`], [`PasswordError::TooLong`] or [`PasswordError::OutOfMemory`].
pub fn hash(
    password: &str,
    params: &Params,
    pepper: Option<&[u8]>,
    salt: [u8; 16],
    memory: &mut Memory,
) -> Result<String, PasswordError> {
    let normal = normalised(password);
    if normal.len() > MAX_INPUT_BYTES {
        return Err(PasswordError::TooLong);
    }
    let mut phc = Phc {
        algorithm: argon2::Algorithm::Argon2id,
        version: Version::V0x13,
        params: *params,
        pepper_id: pepper.map(pepper_id),
        salt: salt.to_vec(),
        tag: vec![0; TAG_BYTES],
    };
    phc.tag = run(&phc, normal.as_bytes(), pepper, memory)?.to_vec();
    Ok(phc.write())
}

/// Whether `password` is the one that `hash` was made of.
///
/// Reads PHC strings of Argon2id, Argon2i and Argon2d, bcrypt `$2a$`, `$2b$`, `$2y$`, and what [`legacy`] makes. The NFC form is tried first,
/// then the form as received, for hashes made elsewhere. bcrypt refuses more than 72 bytes and NUL, which it
/// would ignore or repeat, at the same cost as a wrong password.
///
/// # Errors
/// [`PasswordError::Malformed`], [`PasswordError::Unsupported`], [`PasswordError::BadParams`],
/// [`PasswordError::UnknownPepper`] or [`PasswordError::OutOfMemory`]: nothing is known about the password
/// then.
pub fn verify(
    password: &str,
    hash: &str,
    pepper: Option<&[u8]>,
    memory: &mut Memory,
) -> Result<bool, PasswordError> {
    let check: &mut dyn FnMut(&str) -> Result<bool, PasswordError> = if hash.starts_with("$2") {
        &mut |candidate| verify_bcrypt(candidate, hash)
    } else if Foreign::is(hash) {
        let foreign = Foreign::read(hash)?;
        &mut move |candidate| foreign.verify(candidate, pepper, memory)
    } else {
        &mut |candidate| verify_argon2(candidate, hash, pepper, memory)
    };
    let normal = normalised(password);
    Ok(check(&normal)? || (normal.as_str() != password && check(password)?))
}

/// Whether a hash should be replaced at the next sign-in: another algorithm, version, size or cost.
/// See [`needs_new_pepper`] for the pepper.
pub fn needs_rehash(hash: &str, params: &Params) -> bool {
    Phc::read(hash).map_or(true, |phc| {
        phc.algorithm != argon2::Algorithm::Argon2id
            || phc.version != Version::V0x13
            || phc.params != *params
            || phc.tag.len() != TAG_BYTES
            || phc.salt.len() < SALT_BYTES
    })
}

/// Whether a hash was made with another pepper than the present one, or with one where there is none now, or
/// without one where there is one now. A hash that is not readable needs one too.
pub fn needs_new_pepper(hash: &str, pepper: Option<&[u8]>) -> bool {
    Phc::read(hash).map_or(true, |phc| phc.pepper_id != pepper.map(pepper_id))
}

/// Whether a hash from a file may be stored: [`verify`] could judge a password by it, now and at a bearable cost, and guessing
/// through it takes some.
///
/// # Errors
/// As [`verify`], and [`PasswordError::TooWeak`].
pub fn check_form(hash: &str, pepper: Option<&[u8]>) -> Result<(), PasswordError> {
    if hash.starts_with("$2") {
        return read_bcrypt(hash).map(drop);
    }
    let inner = match Foreign::is(hash).then(|| Foreign::read(hash)).transpose()? {
        Some(Foreign::Wrapped { inner, .. }) => inner,
        Some(foreign) => return if foreign.is_weak() { Err(PasswordError::TooWeak) } else { Ok(()) },
        None => hash.to_owned(),
    };
    let phc = Phc::read(&inner)?;
    known_pepper(&phc, pepper)?;
    phc.params.check_foreign()
}

/// A hash that no password has, as costly to verify as a real one of these parameters. For accounts that do
/// not exist, so that time does not tell (ASVS 6.3.8).
pub fn dummy(params: &Params) -> String {
    // Finding a password for a chosen 256-bit tag is a preimage of BLAKE2b.
    let (salt, tag) = (b"no such password".to_vec(), vec![0; TAG_BYTES]);
    let (algorithm, version) = (argon2::Algorithm::Argon2id, Version::V0x13);
    Phc { algorithm, version, params: *params, pepper_id: None, salt, tag }.write()
}

fn verify_argon2(
    candidate: &str,
    hash: &str,
    pepper: Option<&[u8]>,
    memory: &mut Memory,
) -> Result<bool, PasswordError> {
    let phc = Phc::read(hash)?;
    let pepper = known_pepper(&phc, pepper)?;
    // Too long is no error here: it costs what a wrong password costs.
    let fits = candidate.len() <= MAX_INPUT_BYTES;
    let tag = run(&phc, if fits { candidate.as_bytes() } else { b"" }, pepper, memory)?;
    Ok(equal(&tag, &phc.tag) && fits)
}

/// The pepper that a hash was made with, if it was made with one.
fn known_pepper<'a>(phc: &Phc, pepper: Option<&'a [u8]>) -> Result<Option<&'a [u8]>, PasswordError> {
    match (phc.pepper_id, pepper) {
        (None, _) => Ok(None),
        (Some(id), Some(pepper)) if id == pepper_id(pepper) => Ok(Some(pepper)),
        (Some(_), _) => Err(PasswordError::UnknownPepper),
    }
}

fn read_bcrypt(hash: &str) -> Result<bcrypt::HashParts, PasswordError> {
    if !["$2a$", "$2b$", "$2y$"].iter().any(|version| hash.starts_with(version)) {
        return Err(PasswordError::Unsupported);
    }
    let parts: bcrypt::HashParts = hash.parse().map_err(|_| PasswordError::Malformed)?;
    // 2^16 rounds are four seconds; nobody imports more, and 2^31 would block a thread for days.
    if !(4..=16).contains(&parts.get_cost()) {
        return Err(PasswordError::BadParams);
    }
    Ok(parts)
}

fn verify_bcrypt(candidate: &str, hash: &str) -> Result<bool, PasswordError> {
    read_bcrypt(hash)?;
    let fits = candidate.len() <= BCRYPT_MAX_BYTES && !candidate.contains('\0');
    let input = candidate.as_bytes();
    let matches = bcrypt::verify(input, hash).map_err(|_| PasswordError::Malformed)?;
    Ok(matches && fits)
}

fn run(
    phc: &Phc,
    password: &[u8],
    pepper: Option<&[u8]>,
    memory: &mut Memory,
) -> Result<Zeroizing<Vec<u8>>, PasswordError> {
    let Params { memory_kib, passes, lanes } = phc.params;
    if !phc.params.is_bounded() {
        return Err(PasswordError::BadParams);
    }
    let params = argon2::Params::new(memory_kib, passes, lanes, Some(phc.tag.len()))
        .map_err(|_| PasswordError::BadParams)?;
    let count = params.block_count();
    let argon2 = Argon2::new_with_secret(pepper.unwrap_or_default(), phc.algorithm, phc.version, params)
        .map_err(|_| PasswordError::BadParams)?;
    let mut tag = Zeroizing::new(vec![0; phc.tag.len()]);
    let blocks = memory.at_least(count)?;
    let result = argon2.hash_password_into_with_memory(password, &phc.salt, &mut tag, &mut *blocks);
    blocks.iter_mut().zeroize();
    memory.release();
    result.map(|()| tag).map_err(|_| PasswordError::BadParams)
}

/// Canonical composition, and nothing else: no folding, no trimming (NIST SP 800-63B section 3.1.1.2).
fn normalised(password: &str) -> Zeroizing<String> {
    if is_nfc(password) {
        return Zeroizing::new(password.to_owned());
    }
    // NFC at most triples UTF-8 (UAX 15); with room from the start no copy is left behind by growing.
    let mut normal = Zeroizing::new(String::with_capacity(password.len() * 3));
    normal.extend(password.nfc());
    normal
}

/// The public name of a pepper: one way, so that a stolen table does not help to guess it.
fn pepper_id(pepper: &[u8]) -> [u8; 8] {
    let id = hkdf_expand(&hkdf_extract(b"hallpass/pepper/v1", pepper), b"id");
    id.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_wiped_after_each_hash() {
        let params = Params { memory_kib: 64, passes: 1, lanes: 1 };
        let mut memory = Memory::new();
        let stored = hash("x", &params, None, [7; 16], &mut memory).unwrap();
        let wiped =
            |memory: &Memory| memory.blocks.iter().all(|block| block.as_ref().iter().all(|word| *word == 0));
        assert!(memory.blocks.len() == 64 && wiped(&memory));
        verify("x", &stored, None, &mut memory).unwrap();
        assert!(wiped(&memory));
    }
}
