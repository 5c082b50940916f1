//! Server-sent events, as they come in pieces.

/// Longest event that is taken.
const LONGEST: usize = 64 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: String,
}

/// What has come of events that are not complete yet.
#[derive(Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    event: Event,
    size: usize,
}

/// The server sends something else.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Parser {
    /// Takes a piece; returns the events that it completes.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut complete = Vec::new();
        for byte in piece {
            if *byte != b'\n' {
                self.size += 1;
                if self.size > LONGEST {
                    return Err(TooLong);
                }
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
            if line.is_empty() {
                self.size = 0;
                let event = std::mem::take(&mut self.event);
                if !event.data.is_empty() {
                    complete.push(event);
                }
            } else {
                self.field(&line);
            }
        }
        Ok(complete)
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, LONGEST, Parser, TooLong};

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let text = ": hello\nid: 7\nevent: heartbeat\ndata: {}\n\nretry: 1\r\ndata: a\r\ndata: b\r\n\r\n\n\n";
        let first = Event { id: Some("7".into()), name: "heartbeat".into(), data: "{}".into() };
        let second = Event { id: None, name: String::new(), data: "a\nb".into() };
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let events: Vec<Event> =
                text.as_bytes().chunks(size).flat_map(|piece| parser.push(piece).expect("short")).collect();
            assert_eq!(events, [first.clone(), second.clone()], "{size}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        assert_eq!(Parser::default().push(&vec![b'x'; LONGEST + 1]), Err(TooLong));
        let mut parser = Parser::default();
        assert_eq!((0..LONGEST).try_for_each(|_| parser.push(b"ab\n").map(drop)), Err(TooLong));
    }
}
