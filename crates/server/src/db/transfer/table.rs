//! Tables and rows as both engines see them: one canonical encoding, which is also what `COPY` reads.
use super::{DbError, Kind, Result};
use hallpass_crypto::digest::sha256;
use rusqlite::types::ValueRef;

/// The three types of the SQL card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Int,
    Text,
    Bytes,
}

impl Type {
    /// By the name that the schema gives it; the engines agree on these.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "bigint" => Some(Self::Int),
            "text" => Some(Self::Text),
            "bytea" => Some(Self::Bytes),
            _ => None,
        }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
}

/// A table, read from the schema, so that a later migration's is moved too.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Places of the primary key's columns.
    pub(super) key: Vec<usize>,
}

/// An identifier in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Table {
    /// The columns in a statement.
    pub(super) fn columns(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        names.join(", ")
    }

    /// The key's columns.
    pub(super) fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().map(|place| &self.columns[*place])
    }

    /// A condition for one row, with placeholders from `$1`.
    pub(super) fn by_key(&self) -> String {
        let conditions = self.key_columns().enumerate();
        let conditions =
            conditions.map(|(index, column)| format!("{} = ${}", quoted(&column.name), index + 1));
        conditions.collect::<Vec<_>>().join(" and ")
    }

    /// Encodes a row, or says what about it PostgreSQL could not hold.
    pub(super) fn encode(&self, row: &rusqlite::Row<'_>) -> Result<SourceRow> {
        let values: rusqlite::Result<Vec<ValueRef<'_>>> =
            (0..self.columns.len()).map(|place| row.get_ref(place)).collect();
        let values = values.map_err(crate::db::sqlite::failed)?;
        let mut fields = Vec::with_capacity(64 * values.len());
        for (column, value) in self.columns.iter().zip(&values) {
            field(column, *value, &mut fields).map_err(|problem| self.refused(&values, column, problem))?;
        }
        let key: Option<Key> = self.key.iter().map(|place| part(values[*place])).collect();
        let key =
            key.ok_or_else(|| self.refused(&values, &self.columns[self.key[0]], "is null in the key"))?;
        Ok(SourceRow { hash: sha256(&fields), key, fields })
    }

    fn refused(&self, values: &[ValueRef<'_>], column: &Column, problem: &str) -> DbError {
        let named = |place: &usize| match values[*place] {
            ValueRef::Null => "null".to_owned(),
            ValueRef::Integer(value) => value.to_string(),
            ValueRef::Real(value) => value.to_string(),
            ValueRef::Text(value) => String::from_utf8_lossy(value).escape_debug().to_string(),
            ValueRef::Blob(value) => data_encoding::HEXLOWER.encode(value),
        };
        let key: Vec<String> = self.key.iter().map(named).collect();
        let text = format!(
            "{}, row {}: {} {problem}; correct or delete this row, then run the same command again",
            self.name,
            key.join(", "),
            column.name
        );
        DbError::new(Kind::Decode, text)
    }
}

/// One field: its length and its bytes, or the length -1 for a null.
fn field(column: &Column, value: ValueRef<'_>, out: &mut Vec<u8>) -> std::result::Result<(), &'static str> {
    let number;
    let bytes: &[u8] = match (column.kind, value) {
        (_, ValueRef::Null) => {
            out.extend((-1_i32).to_be_bytes());
            return Ok(());
        }
        (Type::Int, ValueRef::Integer(value)) => {
            number = value.to_be_bytes();
            &number
        }
        (Type::Text, ValueRef::Text(text)) => {
            if std::str::from_utf8(text).is_err() {
                return Err("is not UTF-8, which PostgreSQL refuses");
            }
            if text.contains(&0) {
                return Err("has the character NUL, which PostgreSQL refuses in text");
            }
            text
        }
        (Type::Bytes, ValueRef::Blob(bytes)) => bytes,
        _ => return Err("holds a value of another type than the schema says"),
    };
    let length = i32::try_from(bytes.len()).map_err(|_| "is larger than PostgreSQL takes (1 GiB)")?;
    out.extend(length.to_be_bytes());
    out.extend(bytes);
    Ok(())
}

fn part(value: ValueRef<'_>) -> Option<Part> {
    match value {
        ValueRef::Integer(value) => Some(Part::Int(value)),
        ValueRef::Text(text) => Some(Part::Text(String::from_utf8_lossy(text).into_owned())),
        ValueRef::Blob(bytes) => Some(Part::Bytes(bytes.to_vec())),
        ValueRef::Null | ValueRef::Real(_) => None,
    }
}

/// One column of a key; both engines order it by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A primary key.
pub(super) type Key = Vec<Part>;

/// A row of the source.
pub(super) struct SourceRow {
    pub(super) key: Key,
    /// All fields in the encoding of `COPY … (format binary)`, without their number.
    pub(super) fields: Vec<u8>,
    pub(super) hash: [u8; 32],
}

/// A hash over rows in the order of their keys.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) rows: u64,
    hash: [u8; 32],
}

impl Digest {
    pub(super) fn add(&mut self, row: &[u8; 32]) {
        let mut both = [0; 64];
        both[..32].copy_from_slice(&self.hash);
        both[32..].copy_from_slice(row);
        self.hash = sha256(&both);
        self.rows += 1;
    }

    pub(super) fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.hash)
    }
}
