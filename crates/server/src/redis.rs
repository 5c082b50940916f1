//! A Redis or Valkey server that nodes share: small values that several nodes change. Nothing in it is a fact; whoever
//! uses it has to go on without it, and does so at once while it is away.
use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{AsyncCommands, Client, Script};
use data_encoding::HEXLOWER;
use futures_util::{Stream, StreamExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After a failure the server is left alone for so long, so that calls do not each wait for it.
const PAUSE: Duration = Duration::from_secs(1);
/// Attempts when other nodes change the same values at the same moment.
const ATTEMPTS: u32 = 32;
/// Replaces all values if none was changed since it was read: current values, then new ones, then the life in milliseconds.
const REPLACE: &str = "for i = 1, #KEYS do
  if (redis.call('GET', KEYS[i]) or '') ~= ARGV[i] then return 0 end
end
for i = 1, #KEYS do
  local value = ARGV[#KEYS + i]
  if value == '' then redis.call('DEL', KEYS[i]) else redis.call('SET', KEYS[i], value, 'PX', ARGV[#ARGV]) end
end
return 1";

/// How to use a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// What every name of a key or channel begins with.
    pub prefix: String,
    /// How long to wait for an answer.
    pub timeout: Duration,
}

/// See the module's doc.
pub struct Redis {
    client: Client,
    /// For an answer.
    patience: Duration,
    /// For a connection.
    timeout: Duration,
    manager: ConnectionManager,
    replace: Script,
    prefix: String,
    // One each: that there is no room for a copy keeps nobody from counting, and none for a count nobody from announcing.
    announcing: Pause,
    counting: Pause,
    copying: Pause,
    /// Changes of this node wait for each other here and not by trying again there.
    turn: tokio::sync::Mutex<()>,
    up: AtomicBool,
}

impl Redis {
    /// Connects when it is first used, and anew after a failure.
    ///
    /// # Errors
    /// A sentence for the operator, without a password.
    pub fn open(url: &str, settings: &Options) -> Result<Self, String> {
        let problem = |error: ::redis::RedisError| {
            format!("redis.url: {}", error.detail().unwrap_or("is not a Redis URL"))
        };
        let client = Client::open(url).map_err(problem)?;
        let options = ConnectionManagerConfig::new()
            .set_response_timeout(Some(settings.timeout))
            .set_connection_timeout(Some(settings.timeout.max(Duration::from_secs(1))))
            .set_number_of_retries(1);
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), options).map_err(problem)?;
        Ok(Self {
            client,
            patience: settings.timeout,
            timeout: settings.timeout.max(Duration::from_secs(1)),
            manager,
            replace: Script::new(REPLACE),
            prefix: settings.prefix.clone(),
            announcing: Pause::default(),
            counting: Pause::default(),
            copying: Pause::default(),
            turn: tokio::sync::Mutex::default(),
            up: AtomicBool::new(true),
        })
    }

    /// The name of a key: `<prefix>:<kind>:<hexadecimal>`.
    pub fn key(&self, kind: &str, bytes: &[u8]) -> String {
        format!("{}:{kind}:{}", self.prefix, HEXLOWER.encode(bytes))
    }

    /// The name of a channel.
    pub fn channel(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// Says something to all who listen on a channel.
    ///
    /// # Errors
    /// When the server is away or too slow; it may have been said all the same.
    pub async fn publish(&self, channel: &str, text: &str) -> Result<(), String> {
        self.announcing.refuse()?;
        let mut connection = self.manager.clone();
        let result = self.in_time(connection.publish::<_, _, ()>(channel, text)).await;
        self.note(&self.announcing, &result);
        result
    }

    /// The value of a key, if it has one. For what can be done without: after a failure not tried for a while, also by [`Redis::set`].
    ///
    /// # Errors
    /// When the server is away or too slow.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let mut connection = self.manager.clone();
        self.optionally(connection.get(key)).await
    }

    /// Gives a key a value for so long. As [`Redis::get`].
    ///
    /// # Errors
    /// When the server is away, too slow or full.
    pub async fn set(&self, key: &str, value: &[u8], life: Duration) -> Result<(), String> {
        let mut connection = self.manager.clone();
        self.optionally(connection.pset_ex(key, value, millis(life))).await
    }

    /// Listens on channels over a connection of its own; channels and texts in the order in which the server took them.
    ///
    /// # Errors
    /// When the server is away.
    pub async fn subscribe(
        &self,
        channels: &[String],
    ) -> Result<impl Stream<Item = (String, String)> + Unpin + use<>, String> {
        let connecting = async {
            let mut connection = self.client.get_async_pubsub().await?;
            connection.subscribe(channels).await?;
            Ok::<_, ::redis::RedisError>(connection)
        };
        let connection = tokio::time::timeout(self.timeout, connecting).await;
        let connection =
            connection.map_err(|_| "it does not answer".to_owned())?.map_err(|error| error.to_string())?;
        let text = |message: ::redis::Msg| {
            (message.get_channel_name().to_owned(), message.get_payload().unwrap_or_default())
        };
        Ok(connection.into_on_message().map(text))
    }

    /// Whether the latest count or announcement went well.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Asks whether the server answers.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<(), String> {
        let result = self.in_time(self.manager.clone().ping::<()>()).await;
        self.up.store(result.is_ok(), Ordering::Relaxed);
        result
    }

    /// Replaces the values of some keys by what is worked out from them, as if nobody else did anything meanwhile. A key
    /// without a value has the empty one.
    ///
    /// # Errors
    /// When the server is away or too slow.
    pub async fn change<T>(
        &self,
        names: &[String],
        life: Duration,
        work: impl Fn(&[String]) -> (T, Vec<String>),
    ) -> Result<T, String> {
        self.counting.refuse()?;
        let result = self.try_change(names, life, work).await;
        self.note(&self.counting, &result);
        result
    }

    /// Making a connection counts as well: whoever calls may hold what others wait for.
    async fn in_time<T>(&self, work: impl Future<Output = ::redis::RedisResult<T>>) -> Result<T, String> {
        let result = tokio::time::timeout(self.patience, work).await;
        result.map_err(|_| "it does not answer in time".to_owned())?.map_err(|error| error.to_string())
    }

    /// After a failure, the pause begins.
    fn note<T, E>(&self, pause: &Pause, result: &Result<T, E>) {
        self.up.store(result.is_ok(), Ordering::Relaxed);
        if result.is_err() {
            pause.begin();
        }
    }

    async fn optionally<T>(&self, work: impl Future<Output = ::redis::RedisResult<T>>) -> Result<T, String> {
        self.copying.refuse()?;
        let result = self.in_time(work).await;
        if result.is_err() {
            self.copying.begin();
        }
        result
    }

    async fn try_change<T>(
        &self,
        names: &[String],
        life: Duration,
        work: impl Fn(&[String]) -> (T, Vec<String>),
    ) -> Result<T, String> {
        let _turn = self.turn.lock().await;
        let mut connection = self.manager.clone();
        for _ in 0..ATTEMPTS {
            let found: Vec<Option<String>> = self.in_time(connection.mget(names)).await?;
            let former: Vec<String> = found.into_iter().map(Option::unwrap_or_default).collect();
            let (done, values) = work(&former);
            let mut replace = self.replace.prepare_invoke();
            for name in names {
                replace.key(name);
            }
            for value in former.iter().chain(&values) {
                replace.arg(value);
            }
            replace.arg(millis(life));
            let replaced: i64 = self.in_time(replace.invoke_async(&mut connection)).await?;
            if replaced == 1 {
                return Ok(done);
            }
        }
        Err("other nodes change the same values all the time".into())
    }
}

/// Until when something is left alone.
#[derive(Default)]
struct Pause(Mutex<Option<Instant>>);

impl Pause {
    fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
    }

    fn refuse(&self) -> Result<(), String> {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_some_and(|until| Instant::now() < until) {
            return Err("it was out of reach a moment ago".into());
        }
        Ok(())
    }
}

fn millis(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX)
}
