//! Cuts a file into records, each bounded: lines, the elements of arrays, or those of `users` in documents. What is broken inside
//! of a record stays inside of it, and nothing that stands before, between or behind records is passed over in silence.
use std::io::{self, BufRead, ErrorKind};

/// Longest record, in bytes.
pub const MAX_RECORD: usize = 1 << 20;

/// How a file holds its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One on each line, or arrays behind each other.
    Lines,
    /// A document with an array `users`, or one array. Several stand behind each other where somebody has joined files.
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
    place: Place,
    /// A line, or the beginning of one, that was read to see whether the file is an array, and its number.
    held: Option<(&'static [u8], u64)>,
}

/// Where in the file the next record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On the next line.
    Lines,
    /// In an array that is no member.
    Array,
    /// In the array `users` of a document.
    Users,
    /// Nowhere: all were read.
    End,
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
        let mut records = Self { input, line: 1, place: Place::Lines, held: None };
        let beginning = records.input.fill_buf()?;
        if let Some(text) = other_kind(beginning) {
            return Err(invalid(text));
        }
        if beginning.starts_with(b"\xef\xbb\xbf") {
            records.input.consume(3);
        }
        match (records.peek_dense()?, layout) {
            (Some(b'['), _) => records.enter_array(layout)?,
            (None, _) => records.place = Place::End,
            (Some(b'{'), Layout::Lines) => {}
            (Some(b'{'), Layout::Document) => records.enter_document()?,
            (Some(_), _) if is_csv(records.input.fill_buf()?) => return Err(invalid(CSV)),
            (Some(_), Layout::Lines) => {}
            (Some(_), Layout::Document) => return Err(invalid("the file is no JSON document")),
        }
        Ok(records)
    }

    /// The next record; nothing at the end.
    ///
    /// # Errors
    /// The file's; `InvalidData` with a sentence when it ends in the middle of an array, or goes on behind its end.
    pub fn read(&mut self) -> io::Result<Option<Record>> {
        loop {
            let record = match self.place {
                Place::End => return Ok(None),
                Place::Lines => self.next_line()?,
                Place::Array | Place::Users => self.next_element()?,
            };
            if record.is_some() {
                return Ok(record);
            }
            match self.place {
                Place::Lines | Place::End => self.place = Place::End,
                Place::Array => {
                    self.next_byte()?;
                    self.go_on(b'[')?;
                }
                Place::Users => {
                    self.next_byte()?;
                    self.rest_of_document(true)?;
                }
            }
        }
    }

    /// Goes into an array of objects. Of lines, the first may be an array too.
    fn enter_array(&mut self, layout: Layout) -> io::Result<()> {
        let line = self.line;
        self.next_byte()?;
        match (self.peek_dense()?, layout) {
            (None, _) => return Err(cut_off()),
            (Some(b'{'), _) | (Some(_), Layout::Document) => self.place = Place::Array,
            (Some(b']'), Layout::Lines) => {
                self.next_byte()?;
                self.held = Some((b"[]", line));
                if self.peek_dense()?.is_none() {
                    self.place = Place::End;
                }
            }
            (Some(_), Layout::Lines) => self.held = Some((b"[", line)),
        }
        Ok(())
    }

    /// After the end of an array or document: another one, or the end of the file.
    fn go_on(&mut self, start: u8) -> io::Result<()> {
        match self.peek_dense()? {
            None => self.place = Place::End,
            Some(b'[') if start == b'[' => {
                self.next_byte()?;
                self.place = Place::Array;
            }
            Some(b'{') if start == b'{' => self.enter_document()?,
            Some(_) => {
                let line = self.line;
                return Err(invalid(&format!(
                    "on line {line} something stands behind the end of the records"
                )));
            }
        }
        Ok(())
    }

    fn next_line(&mut self) -> io::Result<Option<Record>> {
        loop {
            let (held, line) = self.held.take().unwrap_or((b"", self.line));
            let mut collected = Collected::default();
            let mut read = held.len();
            collected.push(held);
            if held == b"[]" {
                return Ok(Some(collected.finish(line)));
            }
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

    fn enter_document(&mut self) -> io::Result<()> {
        self.next_byte()?;
        self.rest_of_document(false)
    }

    /// Goes on to the elements of `users` in a document, or behind its end when they were `found`.
    fn rest_of_document(&mut self, found: bool) -> io::Result<()> {
        loop {
            match self.peek_dense()? {
                Some(b',') => {
                    self.next_byte()?;
                    continue;
                }
                Some(b'"') => {}
                Some(b'}') if found => {
                    self.next_byte()?;
                    return self.go_on(b'{');
                }
                Some(b'}') => return Err(invalid("the document has no \"users\"")),
                Some(_) => return Err(invalid("the file is no JSON document")),
                None => return Err(cut_off()),
            }
            let key = self.key()?;
            match self.peek_dense()? {
                Some(b':') => drop(self.next_byte()?),
                Some(_) => return Err(invalid("the file is no JSON document")),
                None => return Err(cut_off()),
            }
            let value = self.peek_dense()?;
            if key == b"users" {
                if value != Some(b'[') {
                    return Err(invalid("\"users\" is no array"));
                }
                self.next_byte()?;
                self.place = Place::Users;
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

/// What a file is that is neither lines nor JSON.
fn other_kind(beginning: &[u8]) -> Option<&'static str> {
    let kinds: [(&[u8], &str); 5] = [
        (b"\x1f\x8b", "it is compressed by gzip; unpack it first"),
        (b"PK\x03\x04", "it is a ZIP archive; unpack it first"),
        (b"\xff\xfe", "it is UTF-16; write it as UTF-8"),
        (b"\xfe\xff", "it is UTF-16; write it as UTF-8"),
        (b"-----BEGIN AGE", "it is sealed in letters; open it with `age --decrypt` first"),
    ];
    kinds.into_iter().find(|(start, _)| beginning.starts_with(start)).map(|(_, text)| text)
}

const CSV: &str =
    "it is CSV, in which there is no place for second factors; docs/importing.md says how to export JSON";

/// Whether a first line that is no JSON has commas in it.
fn is_csv(beginning: &[u8]) -> bool {
    let line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.contains(&b',') && !line.contains(&b'{')
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text)
}

fn cut_off() -> io::Error {
    invalid("the file is cut off, or a quotation mark or bracket is missing in it")
}
