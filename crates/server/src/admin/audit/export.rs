//! The log as JSON Lines, page by page: what is in memory does not grow with it.
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

/// Events read at a time.
const PAGE: i64 = 1000;
/// Pages that wait for a slow client.
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
        let mut last = after;
        loop {
            let page = page(&app, &admin, &filter, &mut last, settled).await;
            let ended = page.as_ref().map_or(true, Option::is_none);
            let sent = match page.transpose() {
                None => return,
                Some(Ok(bytes)) => Ok(bytes),
                Some(Err(error)) => {
                    tracing::warn!(%error, "an export of the audit log was broken off");
                    Err(std::io::Error::other("the export cannot go on"))
                }
            };
            let taken = tokio::time::timeout(PATIENCE, sender.send(sent)).await;
            if ended || !matches!(taken, Ok(Ok(()))) {
                return;
            }
        }
    });
    Body::new(Lines(queue))
}

/// The lines of the next page, as long as the administrator may read them; nothing at the end.
async fn page(
    app: &App,
    admin: &Admin<AuditRead>,
    filter: &Filter,
    last: &mut Option<RowId>,
    settled: Timestamp,
) -> Result<Option<Bytes>> {
    admin.reread(app, app.now()).await?;
    let events = audit::list(&app.db, filter, *last, PAGE).await?;
    let mut lines = Vec::new();
    for event in events.iter().take_while(|event| !event.id.made_after(settled)) {
        serde_json::to_writer(&mut lines, &AuditEvent::new(event, &app.places)).map_err(Error::internal)?;
        lines.push(b'\n');
        *last = Some(event.id);
    }
    Ok((!lines.is_empty()).then(|| lines.into()))
}
