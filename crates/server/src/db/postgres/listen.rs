//! Announcements of other nodes by `LISTEN`. PostgreSQL delivers them in the order of the commits that carry them, to
//! everybody in the same order: so a heartbeat of our own that came back says that all before it have arrived.
//!
//! Heartbeats are sent over a second connection, so that they come back only where notifications reach a connection that
//! says nothing. Behind a pooler in transaction mode they do not: it would return what is sent over the listening
//! connection itself, and yet lose what others announce meanwhile.
use super::{Address, Result, failed, tls};
use crate::bus::{BEAT, Bus, Channel, LIMIT};
use crate::db::{DbError, Kind};
use data_encoding::HEXLOWER;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::{AsyncMessage, Client, Notification};

/// The channel of announcements.
pub(super) const CHANNEL: &str = "hallpass";
/// How long a new connection waits after a broken one.
const PAUSE: Duration = Duration::from_millis(300);

/// Listens until told to stop, over a connection of its own, anew whenever it breaks.
pub(super) async fn run(address: &Address, bus: &Arc<Bus>, node: [u8; 8], mut stop: watch::Receiver<bool>) {
    let own = format!("{CHANNEL}_{}", HEXLOWER.encode(&node));
    let mut said = false;
    loop {
        tokio::select! {
            result = listen(address, bus, &own) => {
                bus.lost(Channel::Database);
                if let Err(error) = result && !std::mem::replace(&mut said, true) {
                    tracing::warn!(%error, "announcements of other nodes do not arrive: every check asks the database until they do");
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

async fn listen(address: &Address, bus: &Arc<Bus>, own: &str) -> Result<()> {
    let (ear, name) = (Arc::clone(bus), own.to_owned());
    let hear = move |notification: &Notification| {
        if notification.channel() == CHANNEL {
            ear.hear_text(notification.payload());
        } else if notification.channel() == name
            && let Ok(number) = notification.payload().parse()
        {
            ear.came_back(Channel::Database, number);
        }
    };
    let (listening, mut driver) = connect(address, hear).await?;
    // What a pooler may bring to the wrong connection proves nothing.
    let (beating, _beating) = connect(address, |_| {}).await?;
    let setup = format!("listen {CHANNEL}; listen {own}");
    listening.batch_execute(&setup).await.map_err(|error| failed(&error))?;
    // What was read while nobody listened may be outdated.
    bus.missed();
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                // It need not survive a power cut, so nothing waits for the disk.
                let beat = format!(
                    "begin; set local synchronous_commit = off; notify {own}, '{}'; commit",
                    bus.beat(Channel::Database)
                );
                let sent = timeout(LIMIT, beating.batch_execute(&beat)).await;
                sent.map_err(|_| away("a heartbeat was not taken in time"))?.map_err(|error| failed(&error))?;
            }
            _ = &mut driver.0 => return Err(away("the connection that listens broke off")),
        }
    }
}

fn away(text: &str) -> DbError {
    DbError::new(Kind::Away, text)
}

/// The task that reads the connection; ends with its owner.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn connect(
    address: &Address,
    hear: impl Fn(&Notification) + Send + 'static,
) -> Result<(Client, Driver)> {
    let connecting = timeout(Duration::from_secs(5), address.config.connect(tls::Tls::new(address)?));
    let connected = connecting.await.map_err(|_| away("the database does not answer"))?;
    let (client, mut connection) = connected.map_err(|error| failed(&error))?;
    let driver = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message {
                hear(&notification);
            }
        }
    });
    Ok((client, Driver(driver)))
}
