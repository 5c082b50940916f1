//! Printing that survives a closed pipe: `hallpass user list | head -1` is no failure.
use super::{Failure, Outcome};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// How to print.
#[derive(Clone, Copy)]
pub(super) struct Out {
    /// One JSON document instead of text.
    pub(super) json: bool,
}

impl Out {
    /// The result of a command, for a script or for people.
    pub(super) fn show(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Outcome {
        if self.json {
            return print(&serde_json::to_string_pretty(value)?);
        }
        print(text().trim_end_matches('\n'))
    }

    /// Why a command failed, on standard error.
    pub(super) fn failure(self, problem: &str) {
        if self.json {
            say(&format!("{}\n", serde_json::json!({ "error": problem })));
        } else {
            say(&format!("hallpass: {problem}\n"));
        }
    }

    /// A remark beside the result, on standard error so that a script's input stays clean.
    pub(super) fn remark(self, text: &str) {
        if !self.json {
            say(&format!("{text}\n"));
        }
    }
}

/// Writes a line to standard output.
pub(super) fn print(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // The reader has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure(format!("cannot write the output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Writes to standard error; a closed one stops nobody.
pub(super) fn say(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Rows in columns.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|text| text.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = line(&head.map(str::to_owned), &widths);
    for row in rows {
        out.push_str(&line(row, &widths));
    }
    out
}

/// Width of the names in [`pairs`].
const NAME_WIDTH: usize = 13;

/// Names and values, one pair a line.
pub(super) fn pairs<const N: usize>(pairs: [(&str, String); N]) -> String {
    pairs.map(|(name, value)| format!("{name:NAME_WIDTH$}  {value}\n")).concat()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
    let line = padded.collect::<Vec<_>>().join("  ");
    format!("{}\n", line.trim_end())
}

/// A number of bytes in words.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}
