//! Password hashing on a few low-priority threads behind a bounded queue, so that a flood of sign-ins cannot slow
//! the cheap requests. Each thread keeps one block of memory for all its hashes.
use crate::config::{Config, HashCost};
use crate::error::{Code, Error, Result};
use hallpass_crypto::password::legacy::{self, FastHash, Legacy};
use hallpass_crypto::password::{self, Memory, Params, PasswordError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

type Work = Box<dyn FnOnce(&mut Memory) + Send>;

/// A password on its way to a hash; wiped when dropped.
pub type Password = Zeroizing<String>;

/// Answer of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether the password is right.
    pub right: bool,
    /// Whether the stored hash should be replaced by one of today's cost.
    pub outdated: bool,
}

/// The workers. Cheap to clone.
#[derive(Clone)]
pub struct Hashing(Arc<Inner>);

struct Inner {
    queue: mpsc::SyncSender<Work>,
    waiting: Arc<AtomicUsize>,
    done: AtomicUsize,
    params: Params,
    pepper: Option<Zeroizing<Vec<u8>>>,
    dummy: String,
}

impl Hashing {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn start(config: &Config) -> std::io::Result<Self> {
        let params = match config.passwords.hash {
            HashCost::Default => Params::DEFAULT,
            HashCost::Strong => Params::STRONG,
        };
        let (queue, work) = mpsc::sync_channel(config.passwords.queue);
        let work = Arc::new(Mutex::new(work));
        for number in 0..threads(config) {
            let work = Arc::clone(&work);
            std::thread::Builder::new().name(format!("hash-{number}")).spawn(move || run(&work, &params))?;
        }
        let pepper =
            config.keys.pepper.as_ref().map(|pepper| Zeroizing::new(pepper.expose().as_bytes().to_vec()));
        let dummy = password::dummy(&params);
        Ok(Self(Arc::new(Inner {
            queue,
            waiting: Arc::default(),
            done: AtomicUsize::default(),
            params,
            pepper,
            dummy,
        })))
    }

    /// Hashes a password for storage.
    ///
    /// # Errors
    /// [`Code::Busy`] when the queue is full.
    pub async fn hash(&self, password: Password, salt: [u8; 16]) -> Result<String> {
        let inner = Arc::clone(&self.0);
        let params = inner.params;
        let work = move |memory: &mut Memory| {
            inner.done.fetch_add(1, Ordering::Relaxed);
            password::hash(
                &password,
                &params,
                inner.pepper.as_ref().map(|pepper| pepper.as_slice()),
                salt,
                memory,
            )
        };
        self.submit(work).await?.map_err(Error::internal)
    }

    /// Verifies a password; without a stored hash it costs the same and is wrong.
    ///
    /// # Errors
    /// [`Code::Busy`] when the queue is full.
    pub async fn verify(&self, password: Password, stored: Option<String>) -> Result<Verified> {
        let inner = Arc::clone(&self.0);
        let work = move |memory: &mut Memory| {
            inner.done.fetch_add(1, Ordering::Relaxed);
            let hash = stored.as_deref().unwrap_or(&inner.dummy);
            let pepper = inner.pepper.as_ref().map(|pepper| pepper.as_slice());
            let right = password::verify(&password, hash, pepper, memory)?;
            let weak =
                password::needs_rehash(hash, &inner.params) || password::needs_new_pepper(hash, pepper);
            let outdated = stored.is_some() && weak;
            Ok::<_, password::PasswordError>(Verified { right: right && stored.is_some(), outdated })
        };
        self.submit(work).await?.map_err(Error::internal)
    }

    /// Puts a quick digest from elsewhere into a hash that may be stored.
    ///
    /// # Errors
    /// [`Code::Busy`] when the queue is full.
    pub async fn wrap(&self, digest: FastHash, salt: [u8; 16]) -> Result<String> {
        let inner = Arc::clone(&self.0);
        let work = move |memory: &mut Memory| {
            inner.done.fetch_add(1, Ordering::Relaxed);
            let pepper = inner.pepper.as_ref().map(|pepper| pepper.as_slice());
            legacy::wrap(digest, &inner.params, pepper, salt, memory)
        };
        self.submit(work).await?.map_err(Error::internal)
    }

    /// Reads a hash that another system made. Nothing slow.
    ///
    /// # Errors
    /// Why no password could be verified by it.
    pub fn read_legacy(&self, text: &str) -> Result<Legacy, PasswordError> {
        legacy::read_legacy(text, self.0.pepper.as_ref().map(|pepper| pepper.as_slice()))
    }

    /// Does other slow work about a password, such as judging a new one, on the same threads.
    ///
    /// # Errors
    /// [`Code::Busy`] when the queue is full.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.submit(move |_| work()).await
    }

    /// Jobs that wait or run now.
    pub fn depth(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Hashes computed since the start; tests compare it between known and unknown accounts.
    pub fn computed(&self) -> usize {
        self.0.done.load(Ordering::Relaxed)
    }

    async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let waiting = Arc::clone(&self.0.waiting);
        let job: Work = Box::new(move |memory| {
            // Whoever hung up while waiting costs nothing.
            if !sender.is_closed() {
                let _ = sender.send(work(memory));
            }
            waiting.fetch_sub(1, Ordering::Relaxed);
        });
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        if self.0.queue.try_send(job).is_err() {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::new(Code::Busy).with_retry_after(2));
        }
        receiver.await.map_err(|_| Error::new(Code::Busy))
    }
}

fn threads(config: &Config) -> usize {
    match config.passwords.hash_threads {
        0 => std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)),
        set => set,
    }
}

fn run(work: &Mutex<mpsc::Receiver<Work>>, params: &Params) {
    // On Linux this concerns the calling thread alone. Failing to be nice is no reason to fail.
    let _ = rustix::process::nice(10);
    let mut memory = Memory::for_params(params);
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(&mut memory),
            Err(mpsc::RecvError) => return,
        }
    }
}
