//! Reading and writing files that are sealed with a passphrase, chunk by chunk.
use hallpass_crypto::age::{self, AgeError, CHUNK, Chunks, MAX_HEADER, NONCE, Randomness, TAG};
use std::io::{self, BufRead, ErrorKind, Read, Write};
use zeroize::Zeroizing;

/// Whether a file begins like a sealed one.
///
/// # Errors
/// The file's.
pub fn is_sealed(input: &mut impl BufRead) -> io::Result<bool> {
    Ok(input.fill_buf()?.starts_with(age::MAGIC))
}

/// Opens a sealed file while it is read. Every byte that it gives is authentic; that none is missing is known at the end only.
pub struct Opened<R> {
    input: R,
    chunks: Chunks,
    plain: Zeroizing<Vec<u8>>,
    at: usize,
    ended: bool,
}

impl<R: BufRead> Opened<R> {
    /// Reads the header. Takes some tenths of a second.
    ///
    /// # Errors
    /// The file's; `InvalidData` with a sentence when the passphrase is wrong or the file broken.
    pub fn new(mut input: R, passphrase: &[u8]) -> io::Result<Self> {
        let mut header = Vec::new();
        loop {
            let start = header.len();
            let left = (MAX_HEADER - start) as u64;
            let read = input.by_ref().take(left).read_until(b'\n', &mut header)?;
            if read == 0 {
                return Err(broken(AgeError::Malformed));
            }
            if header.get(start..).unwrap_or_default().starts_with(b"---") {
                break;
            }
        }
        let mut nonce = [0; NONCE];
        input.read_exact(&mut nonce).map_err(|_| broken(AgeError::NotAuthentic))?;
        let chunks = age::open(passphrase, &header, &nonce).map_err(broken)?;
        Ok(Self { input, chunks, plain: Zeroizing::new(Vec::new()), at: 0, ended: false })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut sealed = Vec::with_capacity(CHUNK + TAG);
        self.input.by_ref().take((CHUNK + TAG) as u64).read_to_end(&mut sealed)?;
        let last = self.input.fill_buf()?.is_empty();
        self.plain = self.chunks.open(sealed, last).map_err(broken)?;
        self.at = 0;
        self.ended = last;
        Ok(())
    }
}

impl<R: BufRead> Read for Opened<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let from = self.fill_buf()?;
        let length = from.len().min(to.len());
        let (to, _) = to.split_at_mut(length);
        to.copy_from_slice(from.get(..length).unwrap_or_default());
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Opened<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.plain.len() && !self.ended {
            self.next_chunk()?;
        }
        Ok(self.plain.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.plain.len());
    }
}

/// Seals what is written to it. Without [`Sealing::finish`] the file is known as cut off.
pub struct Sealing<W> {
    output: W,
    chunks: Chunks,
    plain: Zeroizing<Vec<u8>>,
}

impl<W: Write> Sealing<W> {
    /// Writes the header. Takes some tenths of a second.
    ///
    /// # Errors
    /// The file's.
    pub fn new(mut output: W, passphrase: &[u8], random: &Randomness) -> io::Result<Self> {
        let (head, chunks) = age::seal(passphrase, random).map_err(broken)?;
        output.write_all(&head)?;
        // Never grown, so that no copy is left behind.
        Ok(Self { output, chunks, plain: Zeroizing::new(Vec::with_capacity(CHUNK)) })
    }

    /// Writes the last chunk.
    ///
    /// # Errors
    /// The file's.
    pub fn finish(mut self) -> io::Result<W> {
        let sealed = self.chunks.seal(&self.plain, true).map_err(broken)?;
        self.output.write_all(&sealed)?;
        self.output.flush()?;
        Ok(self.output)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        // A full chunk waits for more: it might be the last.
        if self.plain.len() == CHUNK && !from.is_empty() {
            let sealed = self.chunks.seal(&self.plain, false).map_err(broken)?;
            self.output.write_all(&sealed)?;
            self.plain.clear();
        }
        let length = from.len().min(CHUNK - self.plain.len());
        self.plain.extend_from_slice(from.get(..length).unwrap_or_default());
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn broken(error: AgeError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
