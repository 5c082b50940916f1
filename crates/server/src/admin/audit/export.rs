//! The log as JSON Lines, step by step: neither what is in memory nor what a statement looks at grows with it.
use crate::admin::Admin;
use crate::admin::needs::AuditRead;
use crate::app::App;
use crate::audit::{self, AuditEvent, Filter};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::RowId;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// Steps whose lines wait for a slow client.
const QUEUE: usize = 2;
/// A client that takes nothing for so long is cut off.
const PATIENCE: Duration = Duration::from_secs(30);

/// What goes out. An error breaks the answer off, so that the client sees that it is not whole.
struct Lines(mpsc::Receiver<Result<Bytes, std::io::Error>>);

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(context).map(|page| page.map(|page| page.map(Frame::data)))
    }
}

/// Events after one of them whose ids are settled.
pub(super) fn stream(
    app: &App,
    admin: Admin<AuditRead>,
    filter: Filter,
    after: Option<RowId>,
    settled: Timestamp,
) -> Body {
    let (sender, queue) = mpsc::channel(QUEUE);
    let app = app.clone();
    tokio::spawn(async move {
        let mut next = Some(after);
        while let Some(after) = next {
            let step = step(&app, &admin, &filter, after, settled).await;
            let lines = match step {
                Ok((lines, last)) => {
                    next = last.map(Some);
                    Ok(lines)
                }
                Err(error) => {
                    next = None;
                    tracing::warn!(%error, "an export of the audit log was broken off");
                    Err(std::io::Error::other("the export cannot go on"))
                }
            };
            if !hand_over(&sender, lines).await {
                return;
            }
            // An embedded database answers on this thread: others want it too.
            tokio::task::yield_now().await;
        }
    });
    Body::new(Lines(queue))
}

/// Whether the client is still there. It is asked also where there is nothing to send: else nobody would notice on a long way to
/// something rare.
async fn hand_over(
    sender: &mpsc::Sender<Result<Bytes, std::io::Error>>,
    lines: Result<Bytes, std::io::Error>,
) -> bool {
    if matches!(&lines, Ok(lines) if lines.is_empty()) {
        return !sender.is_closed();
    }
    matches!(tokio::time::timeout(PATIENCE, sender.send(lines)).await, Ok(Ok(())))
}

/// The lines of the next step, as long as the administrator may read them, and from where to go on.
async fn step(
    app: &App,
    admin: &Admin<AuditRead>,
    filter: &Filter,
    after: Option<RowId>,
    settled: Timestamp,
) -> Result<(Bytes, Option<RowId>)> {
    admin.reread(app, app.now()).await?;
    let step = audit::walk(&app.db, filter, after, Some(settled)).await?;
    let mut lines = Vec::new();
    for event in &step.events {
        serde_json::to_writer(&mut lines, &AuditEvent::new(event, &app.places)).map_err(Error::internal)?;
        lines.push(b'\n');
    }
    Ok((lines.into(), step.next))
}
