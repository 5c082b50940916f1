//! Load, closed (as fast as answers come) or open (so many a second, whatever the answers do), and what came of it.
use crate::Fallible;
use crate::http::Connection;
use crate::server::Server;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::{JoinSet, LocalSet};

/// What one connection does again and again.
pub trait Client {
    /// One request and its answer.
    fn once(&mut self, connection: &mut Connection) -> impl Future<Output = Fallible<()>>;
}

/// A rendered request, sent again and again.
#[derive(Clone)]
pub struct Same(pub Rc<[u8]>);

impl Client for Same {
    async fn once(&mut self, connection: &mut Connection) -> Fallible<()> {
        connection.send(&self.0).await?.good()?;
        Ok(())
    }
}

/// What came of a load.
#[derive(Clone, Copy, Default)]
pub struct Outcome {
    /// Answers a second.
    pub rate: f64,
    /// Server CPU of an answer, in microseconds, password hashing left out.
    pub micros: f64,
    /// Median and 99th percentile of the latency, in milliseconds.
    pub median: f64,
    /// See `median`.
    pub p99: f64,
    /// Share of the core that password hashing had.
    pub hashing: f64,
}

/// Runs a load of connections for so long; `pace` is the time between two requests of a connection, zero for none.
///
/// # Errors
/// The first answer that is none.
pub async fn run<C: Client + 'static>(
    server: &Server,
    clients: Vec<C>,
    length: Duration,
    pace: Duration,
) -> Fallible<Outcome> {
    let latencies = Rc::new(RefCell::new(Vec::<u32>::new()));
    let (cpu, started) = (server.cpu()?, Instant::now());
    let local = LocalSet::new();
    let mut tasks = JoinSet::new();
    for client in clients {
        let connection = Connection::open(server.address).await?;
        let until = started + length;
        tasks.spawn_local_on(one(client, connection, until, pace, Rc::clone(&latencies)), &local);
    }
    let all = local.run_until(async {
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        Fallible::Ok(())
    });
    all.await?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), server.cpu()?.since(cpu));
    let mut latencies = latencies.take();
    latencies.sort_unstable();
    Ok(outcome(&latencies, seconds, cpu))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn outcome(sorted: &[u32], seconds: f64, cpu: crate::machine::Cpu) -> Outcome {
    let count = sorted.len() as f64;
    let at = |share: usize| {
        let index = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    };
    Outcome {
        rate: count / seconds,
        micros: cpu.all.saturating_sub(cpu.hashing).as_secs_f64() * 1e6 / count,
        median: at(50),
        p99: at(99),
        hashing: cpu.hashing.as_secs_f64() / seconds,
    }
}

async fn one<C: Client>(
    mut client: C,
    mut connection: Connection,
    until: Instant,
    pace: Duration,
    latencies: Rc<RefCell<Vec<u32>>>,
) -> Fallible<()> {
    let mut next = Instant::now();
    loop {
        let mut begun = Instant::now();
        if !pace.is_zero() {
            next += pace;
            tokio::time::sleep_until(next.into()).await;
            // From when it was due: a server that stands still delays all that come meanwhile.
            begun = next;
        }
        if begun >= until {
            return Ok(());
        }
        client.once(&mut connection).await?;
        let micros = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
        latencies.borrow_mut().push(micros);
    }
}
