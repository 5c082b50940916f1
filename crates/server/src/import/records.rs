//! Cuts a file into records, each bounded: lines, the elements of an array, or those of `users` in a document. What is broken
//! inside of a record stays inside of it.
use std::io::{self, BufRead, ErrorKind};

/// Longest record, in bytes.
pub const MAX_RECORD: usize = 1 << 20;

/// How a file holds its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One on each line, or one array.
    Lines,
    /// A document with an array `users`, or one array.
    Document,
}

/// A record as it stands in the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// The line on which it begins, from 1 on.
    pub line: u64,
    /// JSON, hopefully; nothing when it is longer than [`MAX_RECORD`].
    pub bytes: Option<Vec<u8>>,
}

/// The records of a file, in order.
pub struct Records<R> {
    input: R,
    line: u64,
    array: bool,
    ended: bool,
}

/// One record on its way in.
#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Collected {
    fn push(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > MAX_RECORD {
            self.too_long = true;
            self.bytes = Vec::new();
        }
        if !self.too_long {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn finish(self, line: u64) -> Record {
        Record { line, bytes: (!self.too_long).then_some(self.bytes) }
    }
}

/// Where in a JSON text a reader is, as far as it matters for its end.
#[derive(Default)]
struct Nesting {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    fn step(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn is_outside(&self) -> bool {
        self.depth == 0 && !self.in_string
    }
}

impl<R: BufRead> Records<R> {
    /// Looks at the beginning of a file.
    ///
    /// # Errors
    /// The file's; `InvalidData` with a sentence when it is nothing of the kind.
    pub fn new(input: R, layout: Layout) -> io::Result<Self> {
        let mut records = Self { input, line: 1, array: false, ended: false };
        if records.input.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            records.input.consume(3);
        }
        match (records.peek_dense()?, layout) {
            (Some(b'['), _) => {
                records.next_byte()?;
                records.array = true;
            }
            (None, _) => records.ended = true,
            (Some(_), Layout::Lines) => {}
            (Some(b'{'), Layout::Document) => records.find_users()?,
            (Some(_), Layout::Document) => return Err(invalid("the file is no JSON document")),
        }
        Ok(records)
    }

    /// The next record; nothing at the end.
    ///
    /// # Errors
    /// The file's; `InvalidData` with a sentence when it ends in the middle of an array.
    pub fn read(&mut self) -> io::Result<Option<Record>> {
        if self.ended {
            return Ok(None);
        }
        let record = if self.array { self.next_element()? } else { self.next_line()? };
        self.ended = record.is_none();
        Ok(record)
    }

    fn next_line(&mut self) -> io::Result<Option<Record>> {
        loop {
            let line = self.line;
            let mut collected = Collected::default();
            let mut read = 0;
            loop {
                let buffer = self.input.fill_buf()?;
                if buffer.is_empty() {
                    break;
                }
                let end = buffer.iter().position(|byte| *byte == b'\n');
                let piece = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
                collected.push(piece);
                let used = piece.len() + usize::from(end.is_some());
                read += used;
                self.input.consume(used);
                if end.is_some() {
                    self.line += 1;
                    break;
                }
            }
            if read == 0 {
                return Ok(None);
            }
            if collected.too_long || !collected.bytes.trim_ascii().is_empty() {
                return Ok(Some(collected.finish(line)));
            }
        }
    }

    fn next_element(&mut self) -> io::Result<Option<Record>> {
        loop {
            match self.peek_dense()? {
                Some(b',') => drop(self.next_byte()?),
                Some(b']') => return Ok(None),
                // Nothing would ever end there.
                Some(b'}') | None => return Err(cut_off()),
                Some(_) => break,
            }
        }
        let line = self.line;
        let mut collected = Collected::default();
        self.value(|byte| collected.push(&[byte]))?;
        Ok(Some(collected.finish(line)))
    }

    /// Reads one JSON value, however broken inside, up to the comma or bracket after it.
    fn value(&mut self, mut each: impl FnMut(u8)) -> io::Result<()> {
        let mut nesting = Nesting::default();
        loop {
            let byte = self.peek()?.ok_or_else(cut_off)?;
            if nesting.is_outside() && matches!(byte, b',' | b']' | b'}') {
                return Ok(());
            }
            self.next_byte()?;
            nesting.step(byte);
            each(byte);
        }
    }

    /// Goes on to the elements of `users` in a document.
    fn find_users(&mut self) -> io::Result<()> {
        self.next_byte()?;
        loop {
            match self.peek_dense()? {
                Some(b',') => drop(self.next_byte()?),
                Some(b'"') => {}
                Some(b'}') => return Err(invalid("the document has no \"users\"")),
                Some(_) => return Err(invalid("the file is no JSON document")),
                None => return Err(cut_off()),
            }
            if self.peek_dense()? != Some(b'"') {
                continue;
            }
            let key = self.key()?;
            if self.peek_dense()? != Some(b':') {
                return Err(invalid("the file is no JSON document"));
            }
            self.next_byte()?;
            let value = self.peek_dense()?;
            if key == b"users" && value == Some(b'[') {
                self.next_byte()?;
                self.array = true;
                return Ok(());
            }
            self.value(|_| {})?;
        }
    }

    /// The name of a member; long ones are not kept, since none is looked for.
    fn key(&mut self) -> io::Result<Vec<u8>> {
        let mut nesting = Nesting::default();
        let mut key = Vec::new();
        loop {
            let byte = self.next_byte()?.ok_or_else(cut_off)?;
            nesting.step(byte);
            if !nesting.in_string {
                return Ok(key.split_off(1));
            }
            if key.len() < 64 {
                key.push(byte);
            }
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    /// The next byte that is no space.
    fn peek_dense(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(byte) if byte.is_ascii_whitespace() => drop(self.next_byte()?),
                other => return Ok(other),
            }
        }
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.input.consume(1);
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text)
}

fn cut_off() -> io::Error {
    invalid("the file is cut off, or a quotation mark or bracket is missing in it")
}
