//! Announcements of other nodes through Redis, for databases and poolers that carry none.
//!
//! Redis knows nothing of transactions. So an announcement goes out *before* the commit, and whoever hears it does not rely
//! on what it reads of that session or user until the commit must be over; and when it cannot be sent, the transaction
//! itself leaves a mark that every node looks at with each heartbeat. A heartbeat of our own that came back says that all
//! announcements before it have arrived, since Redis hands them on in the order in which it took them.
use super::{Postgres, Result};
use crate::bus::{BEAT, Bus, Channel, LIMIT};
use crate::db::{DbError, Kind};
use crate::redis::Redis;
use data_encoding::HEXLOWER;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// The mark of announcements that could not be sent.
pub(super) const MARK: &str = "insert into meta (name, value) values ('announcements_missed', $1)
     on conflict (name) do update set value = excluded.value";
const READ_MARK: &str = "select value from meta where name = 'announcements_missed'";
/// However a commit was held up after its announcement (waiting for a standby, say), nothing that a node has read is relied on
/// for longer than this that Redis alone vouches for, and nothing that another has read for it for longer than three times this.
const RENEW: Duration = Duration::from_secs(60);
/// How long a new connection waits after a broken one.
const PAUSE: Duration = Duration::from_millis(300);

/// The channel of announcements.
fn all(redis: &Redis) -> String {
    redis.channel("announcements")
}

/// Announces to the other nodes what a transaction is about to commit.
pub(super) async fn announce(redis: &Redis, node: [u8; 8], notices: &str) -> bool {
    let text = format!("{} {notices}", HEXLOWER.encode(&node));
    redis.publish(&all(redis), &text).await.is_ok()
}

/// Hears announcements until told to stop, over a connection of its own, anew whenever it breaks.
pub(super) async fn run(
    engine: &Postgres,
    redis: &Redis,
    bus: &Arc<Bus>,
    node: [u8; 8],
    mut stop: watch::Receiver<bool>,
) {
    let mut said = false;
    loop {
        tokio::select! {
            result = hear(engine, redis, bus, node) => {
                bus.lost(Channel::Redis);
                if let Err(error) = result && !std::mem::replace(&mut said, true) {
                    tracing::warn!(%error, "announcements of other nodes do not arrive through Redis");
                }
            }
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let _ = timeout(PAUSE, stop.wait_for(|stop| *stop)).await;
        if *stop.borrow() {
            return;
        }
        said &= !bus.is_live();
    }
}

async fn hear(engine: &Postgres, redis: &Redis, bus: &Arc<Bus>, node: [u8; 8]) -> Result<()> {
    let away = |text: String| DbError::new(Kind::Away, text);
    let node = HEXLOWER.encode(&node);
    let own = redis.channel(&format!("heartbeat:{node}"));
    let mut messages = redis.subscribe(&[all(redis), own.clone()]).await.map_err(away)?;
    // What was read while nobody listened may be outdated.
    bus.missed();
    let mut mark = engine.mark().await?;
    let mut renewed = bus.monotonic();
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some((channel, text)) = message else { return Err(away("the connection broke off".into())) };
                if channel == own {
                    if let Ok(number) = text.parse() {
                        bus.came_back(Channel::Redis, number);
                    }
                } else if let Some((sender, notices)) = text.split_once(' ')
                    && sender != node
                {
                    bus.hear_before_commit(notices);
                }
            }
            _ = ticks.tick() => {
                // Counted from before the mark is read.
                let number = bus.beat(Channel::Redis);
                let late = |_| away("a heartbeat was not taken in time".into());
                let present = timeout(LIMIT, engine.mark()).await.map_err(late)??;
                let now = bus.monotonic();
                if present != mark {
                    bus.missed();
                    (mark, renewed) = (present, now);
                } else if now.saturating_sub(renewed) >= RENEW {
                    bus.renew();
                    renewed = now;
                }
                redis.publish(&own, &number.to_string()).await.map_err(away)?;
            }
        }
    }
}

impl Postgres {
    async fn mark(&self) -> Result<Option<String>> {
        let rows = self.run(READ_MARK, &[]).await?;
        rows.into_iter().next().map(|mut row| row.text()).transpose()
    }
}
