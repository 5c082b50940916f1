//! One stream: what the database has since the cursor, then what the one reader says.
use super::cursor::Cursor;
use super::page::{self, Page, overlap};
use super::reader;
use super::routes::{entry, heartbeat};
use crate::app::App;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::feed::{Feed, Message, Place};
use crate::ids::RowId;
use crate::service_keys::{self, Service};
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// Messages that wait for a slow follower.
const QUEUE: usize = 64;
/// A follower that takes nothing for so long is cut off; it resumes where it was.
const PATIENCE: Duration = Duration::from_secs(5);
/// Rows read at once.
const ROWS: usize = 500;
/// What a stream remembers as said; beyond, followers hear some things twice.
const REMEMBERED: usize = 20_000;

/// Opens a stream after a cursor.
///
/// # Errors
/// [`Code::RateLimited`] when too many are open; those of [`page::read`].
pub(super) async fn open(app: &App, service: &Service, after: Option<Cursor>) -> Result<Body> {
    let key = service.key.id;
    let place = Feed::enter(&app.feed, key).ok_or_else(|| {
        let text = "Too many streams are open: one for each process is enough. Close some.";
        Error::new(Code::RateLimited).with_detail(text).with_retry_after(5)
    })?;
    // Listening comes before reading, so that nothing falls between the two.
    let subscription = app.feed.subscribe();
    if let Some(sender) = subscription.reader {
        tokio::spawn(reader::run(app.clone(), sender));
    }
    let first = page::read(app, after, ROWS).await?;
    let (sender, queue) = mpsc::channel(QUEUE);
    let stream = Stream { app: app.clone(), key, sender, said: BTreeSet::new(), resume: first.next };
    tokio::spawn(stream.run(first, subscription.messages));
    Ok(Body::new(Queue { queue, _place: place }))
}

/// What goes out; the connection holds the place of the stream for as long as it lives.
struct Queue {
    queue: mpsc::Receiver<Bytes>,
    _place: Place,
}

impl HttpBody for Queue {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        self.queue.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

struct Stream {
    app: App,
    key: RowId,
    sender: mpsc::Sender<Bytes>,
    said: BTreeSet<(Timestamp, RowId)>,
    /// From where the database is read again after falling behind.
    resume: Cursor,
}

/// Why a stream ends: the follower is gone or too slow, its key is dead, the server stops, the database fails.
struct Ended;

impl Stream {
    async fn run(mut self, first: Page, messages: Receiver<Message>) {
        let mut closed = self.app.feed.closed();
        let sender = self.sender.clone();
        tokio::select! {
            _ = self.follow(first, messages) => {}
            () = sender.closed() => {}
            _ = closed.wait_for(|closed| *closed) => {}
        }
    }

    async fn follow(&mut self, first: Page, mut messages: Receiver<Message>) -> Result<(), Ended> {
        self.catch_up(first).await?;
        loop {
            match messages.recv().await {
                Ok(Message::Entry { at, id, bytes }) => {
                    if self.remember(at, id) {
                        self.send(bytes).await?;
                    }
                }
                Ok(Message::Beat { now, bytes }) => {
                    match service_keys::is_live(&self.app, self.key).await {
                        Ok(true) => self.send(bytes).await?,
                        Ok(false) => return Err(Ended),
                        // Nobody knows: no heartbeat.
                        Err(_) => {}
                    }
                    self.resume = Cursor::at(now.minus(overlap(&self.app)));
                }
                Err(RecvError::Lagged(_)) => {
                    let page = page::read(&self.app, Some(self.resume), ROWS).await.map_err(|_| Ended)?;
                    self.catch_up(page).await?;
                }
                Err(RecvError::Closed) => return Err(Ended),
            }
        }
    }

    /// Says what a page and those behind it have, then how far this goes.
    async fn catch_up(&mut self, mut page: Page) -> Result<(), Ended> {
        loop {
            let known = Cursor::at(page.now.minus(overlap(&self.app)));
            for row in &page.rows {
                let exact = Cursor { at: row.at, id: Some(row.id), floor: None };
                if self.remember(row.at, row.id) {
                    let bytes = entry(if row.at < known.at { exact } else { known }, row);
                    self.send(bytes).await?;
                }
            }
            if !page.more {
                self.resume = page.next;
                return self.send(heartbeat(&self.app, page.now)).await;
            }
            page = page::read(&self.app, Some(page.next), ROWS).await.map_err(|_| Ended)?;
        }
    }

    /// Whether something is new to this stream.
    fn remember(&mut self, at: Timestamp, id: RowId) -> bool {
        let new = self.said.insert((at, id));
        if self.said.len() > REMEMBERED {
            self.said.pop_first();
        }
        new
    }

    async fn send(&self, bytes: Bytes) -> Result<(), Ended> {
        match tokio::time::timeout(PATIENCE, self.sender.send(bytes)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Ended),
        }
    }
}
