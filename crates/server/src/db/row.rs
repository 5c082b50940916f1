//! What crosses the adapter: parameters in, cells out.
use super::{DbError, Kind};
use crate::clock::Timestamp;
use crate::ids::{DeviceId, RowId, SessionId, UserId};
use serde_json::Value as Json;
use std::borrow::Cow;

/// A bound parameter. A null keeps its type, since PostgreSQL wants to know it.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `bigint`
    Int(Option<i64>),
    /// `text`
    Text(Option<Cow<'a, str>>),
    /// bytes
    Bytes(Option<Cow<'a, [u8]>>),
}

impl Value<'_> {
    /// The same for whoever outlives the caller.
    pub fn detached(&self) -> Value<'static> {
        match self {
            Self::Int(value) => Value::Int(*value),
            Self::Text(value) => Value::Text(value.as_ref().map(|text| text.to_string().into())),
            Self::Bytes(value) => Value::Bytes(value.as_ref().map(|bytes| bytes.to_vec().into())),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Int(Some(value.micros()))
    }
}

impl From<Option<Timestamp>> for Value<'_> {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Int(value.map(Timestamp::micros))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Some(value.into()))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Some(value.as_str().into()))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Self::Text(value.map(Into::into))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Some(value.into()))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Bytes(Some(value.as_slice().into()))
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Self::Bytes(Some(value.into()))
    }
}

impl<'a> From<Option<&'a [u8]>> for Value<'a> {
    fn from(value: Option<&'a [u8]>) -> Self {
        Self::Bytes(value.map(Into::into))
    }
}

impl From<UserId> for Value<'_> {
    fn from(value: UserId) -> Self {
        Self::Text(Some(value.to_string().into()))
    }
}

impl From<Option<UserId>> for Value<'_> {
    fn from(value: Option<UserId>) -> Self {
        Self::Text(value.map(|id| id.to_string().into()))
    }
}

impl From<SessionId> for Value<'_> {
    fn from(value: SessionId) -> Self {
        Self::Text(Some(value.to_string().into()))
    }
}

impl From<Option<SessionId>> for Value<'_> {
    fn from(value: Option<SessionId>) -> Self {
        Self::Text(value.map(|id| id.to_string().into()))
    }
}

impl From<DeviceId> for Value<'_> {
    fn from(value: DeviceId) -> Self {
        Self::Text(Some(value.to_string().into()))
    }
}

impl From<Option<DeviceId>> for Value<'_> {
    fn from(value: Option<DeviceId>) -> Self {
        Self::Text(value.map(|id| id.to_string().into()))
    }
}

impl From<RowId> for Value<'_> {
    fn from(value: RowId) -> Self {
        Self::Text(Some(value.to_string().into()))
    }
}

/// One cell of an answer.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// One row of an answer; read its columns in the order of the `select`.
#[derive(Debug)]
pub struct Row {
    cells: std::vec::IntoIter<Cell>,
    column: usize,
}

type Result<T> = std::result::Result<T, DbError>;

impl Row {
    pub(super) fn new(cells: Vec<Cell>) -> Self {
        Self { cells: cells.into_iter(), column: 0 }
    }

    /// Its columns as a JSON array; `None` when one holds bytes.
    pub fn to_json(&self) -> Option<Vec<u8>> {
        let cell = |cell: &Cell| match cell {
            Cell::Null => Some(Json::Null),
            Cell::Int(value) => Some((*value).into()),
            Cell::Text(value) => Some(value.as_str().into()),
            Cell::Bytes(_) => None,
        };
        let cells: Option<Vec<Json>> = self.cells.as_slice().iter().map(cell).collect();
        serde_json::to_vec(&cells?).ok()
    }

    /// What [`Row::to_json`] made.
    pub fn from_json(text: &[u8]) -> Option<Self> {
        let cell = |cell: Json| match cell {
            Json::Null => Some(Cell::Null),
            Json::Number(value) => value.as_i64().map(Cell::Int),
            Json::String(value) => Some(Cell::Text(value)),
            _ => None,
        };
        let cells: Vec<Json> = serde_json::from_slice(text).ok()?;
        cells.into_iter().map(cell).collect::<Option<_>>().map(Self::new)
    }

    fn next(&mut self) -> Result<Cell> {
        self.column += 1;
        self.cells.next().ok_or_else(|| self.mismatch("a column"))
    }

    fn mismatch(&self, wanted: &str) -> DbError {
        DbError::new(Kind::Decode, format!("column {} of the answer is not {wanted}", self.column))
    }

    /// The next column as `bigint`.
    pub fn int(&mut self) -> Result<i64> {
        self.maybe_int()?.ok_or_else(|| self.mismatch("a number"))
    }

    /// The next column as `bigint` or null.
    pub fn maybe_int(&mut self) -> Result<Option<i64>> {
        match self.next()? {
            Cell::Int(value) => Ok(Some(value)),
            Cell::Null => Ok(None),
            _ => Err(self.mismatch("a number")),
        }
    }

    /// The next column as text.
    pub fn text(&mut self) -> Result<String> {
        self.maybe_text()?.ok_or_else(|| self.mismatch("text"))
    }

    /// The next column as text or null.
    pub fn maybe_text(&mut self) -> Result<Option<String>> {
        match self.next()? {
            Cell::Text(value) => Ok(Some(value)),
            Cell::Null => Ok(None),
            _ => Err(self.mismatch("text")),
        }
    }

    /// The next column as bytes.
    pub fn bytes(&mut self) -> Result<Vec<u8>> {
        self.maybe_bytes()?.ok_or_else(|| self.mismatch("bytes"))
    }

    /// The next column as bytes or null.
    pub fn maybe_bytes(&mut self) -> Result<Option<Vec<u8>>> {
        match self.next()? {
            Cell::Bytes(value) => Ok(Some(value)),
            Cell::Null => Ok(None),
            _ => Err(self.mismatch("bytes")),
        }
    }

    /// The next column as a 32-byte digest.
    pub fn digest(&mut self) -> Result<[u8; 32]> {
        self.maybe_digest()?.ok_or_else(|| self.mismatch("a digest"))
    }

    /// The next column as a 32-byte digest or null.
    pub fn maybe_digest(&mut self) -> Result<Option<[u8; 32]>> {
        let bytes = self.maybe_bytes()?;
        bytes.map(|bytes| bytes.try_into().map_err(|_| self.mismatch("a digest"))).transpose()
    }

    /// The next column as an instant.
    pub fn time(&mut self) -> Result<Timestamp> {
        self.int().map(Timestamp)
    }

    /// The next column as an instant or null.
    pub fn maybe_time(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.maybe_int()?.map(Timestamp))
    }

    /// The next column as a user's id.
    pub fn user_id(&mut self) -> Result<UserId> {
        let text = self.text()?;
        UserId::parse(&text).ok_or_else(|| self.mismatch("an id"))
    }

    /// The next column as a session's id.
    pub fn session_id(&mut self) -> Result<SessionId> {
        let text = self.text()?;
        SessionId::parse(&text).ok_or_else(|| self.mismatch("an id"))
    }

    /// The next column as a device's id.
    pub fn device_id(&mut self) -> Result<DeviceId> {
        self.maybe_device_id()?.ok_or_else(|| self.mismatch("an id"))
    }

    /// The next column as a device's id or null.
    pub fn maybe_device_id(&mut self) -> Result<Option<DeviceId>> {
        let text = self.maybe_text()?;
        text.map(|text| DeviceId::parse(&text).ok_or_else(|| self.mismatch("an id"))).transpose()
    }

    /// The next column as another row's id.
    pub fn row_id(&mut self) -> Result<RowId> {
        let text = self.text()?;
        RowId::parse(&text).ok_or_else(|| self.mismatch("an id"))
    }
}
