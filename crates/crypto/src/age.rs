//! Files sealed with a passphrase: version 1 of the age format with its scrypt recipient (age-encryption.org/v1, C2SP), so
//! that the `age` tool opens them too.
//!
//! A header wraps a random file key under a key that scrypt derives from the passphrase; the payload is cut into chunks of 64
//! KiB, each sealed with ChaCha20-Poly1305 under its number and a mark on the last (STREAM), so that a chunk that was changed,
//! moved, repeated or cut off is noticed. The passphrase, and not a key of the server, opens it.

use crate::digest::{equal, hkdf_expand, hkdf_extract, hmac_sha256};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use data_encoding::BASE64_NOPAD;
use zeroize::Zeroizing;

/// Plain bytes of a full chunk.
pub const CHUNK: usize = 64 * 1024;
/// What sealing adds to a chunk.
pub const TAG: usize = 16;
/// Random bytes before the payload.
pub const NONCE: usize = 16;
/// How every file begins.
pub const MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// Logarithm of scrypt's N for new files: 128 MiB (OWASP's first choice for scrypt).
const LOG_N: u8 = 17;
/// Most that is accepted: 1 GiB, for files that other tools made.
const MAX_LOG_N: u8 = 20;
const LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
/// Longest header with one passphrase.
pub const MAX_HEADER: usize = 256;

/// Why a file did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AgeError {
    /// Not this format, or sealed for a key instead of a passphrase.
    #[error("the file is not sealed with a passphrase in the age format")]
    Malformed,
    /// The key derivation would take more than 1 GiB.
    #[error("the file asks for too much work")]
    TooCostly,
    /// The passphrase is another one, or the header was changed.
    #[error("the passphrase is wrong, or the file was changed")]
    WrongPassphrase,
    /// A chunk was changed, moved or cut off.
    #[error("the file was changed or is cut off")]
    NotAuthentic,
}

/// What a new file needs of randomness.
pub struct Randomness {
    /// The file key.
    pub file_key: Zeroizing<[u8; 16]>,
    /// Salt of the key derivation.
    pub salt: [u8; 16],
    /// Nonce of the payload.
    pub nonce: [u8; NONCE],
}

/// Seals or opens the chunks of one file, in order.
pub struct Chunks {
    key: LessSafeKey,
    number: u64,
}

/// The header and nonce of a new file, and what seals its chunks. Takes some tenths of a second.
///
/// # Errors
/// [`AgeError::Malformed`] should the library refuse the key.
pub fn seal(passphrase: &[u8], random: &Randomness) -> Result<(Vec<u8>, Chunks), AgeError> {
    let wrap = derive(passphrase, &random.salt, LOG_N)?;
    let mut body = random.file_key.to_vec();
    wrapping(&wrap)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut body)
        .map_err(|_| AgeError::Malformed)?;
    let (salt, body) = (BASE64_NOPAD.encode(&random.salt), BASE64_NOPAD.encode(&body));
    let mut head = [MAGIC, format!("-> scrypt {salt} {LOG_N}\n{body}\n---").as_bytes()].concat();
    let mac = header_mac(&random.file_key, &head);
    head.extend_from_slice(format!(" {}\n", BASE64_NOPAD.encode(&mac)).as_bytes());
    head.extend_from_slice(&random.nonce);
    Ok((head, Chunks::new(&random.file_key, &random.nonce)?))
}

/// Reads a header, which ends with the first line that begins with three dashes. The nonce follows it.
///
/// # Errors
/// [`AgeError::Malformed`], [`AgeError::TooCostly`] or [`AgeError::WrongPassphrase`].
pub fn open(passphrase: &[u8], header: &[u8], nonce: &[u8; NONCE]) -> Result<Chunks, AgeError> {
    let parsed = Header::read(header)?;
    if parsed.log_n == 0 || parsed.log_n > MAX_LOG_N {
        return Err(AgeError::TooCostly);
    }
    let wrap = derive(passphrase, &parsed.salt, parsed.log_n)?;
    let mut body = Zeroizing::new(parsed.body);
    let opened = wrapping(&wrap)?.open_in_place(
        Nonce::assume_unique_for_key([0; 12]),
        Aad::empty(),
        body.as_mut_slice(),
    );
    let opened = opened.map_err(|_| AgeError::WrongPassphrase)?;
    let file_key: Zeroizing<[u8; 16]> =
        Zeroizing::new((&*opened).try_into().map_err(|_| AgeError::Malformed)?);
    if !equal(&header_mac(&file_key, parsed.authentic), &parsed.mac) {
        return Err(AgeError::WrongPassphrase);
    }
    Chunks::new(&file_key, nonce)
}

struct Header<'a> {
    salt: [u8; 16],
    log_n: u8,
    body: Vec<u8>,
    /// What the MAC is about.
    authentic: &'a [u8],
    mac: Vec<u8>,
}

impl<'a> Header<'a> {
    fn read(header: &'a [u8]) -> Result<Self, AgeError> {
        let decode = |text: &str| BASE64_NOPAD.decode(text.as_bytes()).map_err(|_| AgeError::Malformed);
        let rest = header.strip_prefix(MAGIC).ok_or(AgeError::Malformed)?;
        let text = std::str::from_utf8(rest).map_err(|_| AgeError::Malformed)?;
        let text = text.strip_suffix('\n').ok_or(AgeError::Malformed)?;
        let lines: Vec<&str> = text.split('\n').collect();
        let [stanza, body, last] = lines[..] else { return Err(AgeError::Malformed) };
        let words: Vec<&str> = stanza.split(' ').collect();
        let ["->", "scrypt", salt, log_n] = words[..] else { return Err(AgeError::Malformed) };
        let plain = log_n.bytes().all(|byte| byte.is_ascii_digit()) && !log_n.starts_with('0');
        let log_n = log_n.parse().ok().filter(|_| plain).ok_or(AgeError::Malformed)?;
        let mac = last.strip_prefix("--- ").ok_or(AgeError::Malformed)?;
        let authentic = header.get(..header.len() - mac.len() - 2).ok_or(AgeError::Malformed)?;
        let salt = decode(salt)?.try_into().map_err(|_| AgeError::Malformed)?;
        let (body, mac) = (decode(body)?, decode(mac)?);
        if body.len() != 16 + TAG || mac.len() != 32 {
            return Err(AgeError::Malformed);
        }
        Ok(Self { salt, log_n, body, authentic, mac })
    }
}

impl Chunks {
    fn new(file_key: &[u8; 16], nonce: &[u8; NONCE]) -> Result<Self, AgeError> {
        let key = Zeroizing::new(hkdf_expand(&hkdf_extract(nonce, file_key), b"payload"));
        Ok(Self { key: wrapping(&key)?, number: 0 })
    }

    /// Seals the next chunk: [`CHUNK`] bytes, or fewer in the last one.
    ///
    /// # Errors
    /// [`AgeError::Malformed`] for a chunk of another size.
    pub fn seal(&mut self, plain: &[u8], last: bool) -> Result<Vec<u8>, AgeError> {
        if plain.len() > CHUNK || (!last && plain.len() < CHUNK) {
            return Err(AgeError::Malformed);
        }
        let mut sealed = Vec::with_capacity(plain.len() + TAG);
        sealed.extend_from_slice(plain);
        let nonce = self.next(last);
        let done = self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed);
        done.map(|()| sealed).map_err(|_| AgeError::Malformed)
    }

    /// Opens the next chunk; `last` is whether nothing comes after it. An empty last chunk is the whole of an empty file only.
    ///
    /// # Errors
    /// [`AgeError::NotAuthentic`].
    pub fn open(&mut self, mut sealed: Vec<u8>, last: bool) -> Result<Zeroizing<Vec<u8>>, AgeError> {
        let empty_tail = sealed.len() == TAG && self.number > 0;
        if sealed.len() < TAG || empty_tail || (!last && sealed.len() != CHUNK + TAG) {
            return Err(AgeError::NotAuthentic);
        }
        let nonce = self.next(last);
        let length = self
            .key
            .open_in_place(nonce, Aad::empty(), &mut sealed)
            .map_err(|_| AgeError::NotAuthentic)?
            .len();
        sealed.truncate(length);
        Ok(Zeroizing::new(sealed))
    }

    /// Eleven bytes of counter and the mark of the last chunk.
    fn next(&mut self, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(last);
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

fn derive(passphrase: &[u8], salt: &[u8; 16], log_n: u8) -> Result<Zeroizing<[u8; 32]>, AgeError> {
    let params = scrypt::Params::new(log_n, 8, 1).map_err(|_| AgeError::TooCostly)?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(passphrase, &[LABEL, salt].concat(), &params, key.as_mut_slice())
        .map_err(|_| AgeError::TooCostly)?;
    Ok(key)
}

fn wrapping(key: &[u8; 32]) -> Result<LessSafeKey, AgeError> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new).map_err(|_| AgeError::Malformed)
}

fn header_mac(file_key: &[u8; 16], head: &[u8]) -> [u8; 32] {
    let key = Zeroizing::new(hkdf_expand(&hkdf_extract(b"", file_key), b"header"));
    hmac_sha256(&key, head)
}
