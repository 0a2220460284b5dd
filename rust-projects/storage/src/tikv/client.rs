//! The client on a thread of its own, with an async runtime that nobody else sees.

use std::future::Future;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tikv_client::transaction::HeartbeatOption;
use tikv_client::{
    Backoff, CheckLevel, Config, RetryOptions, Timestamp, TransactionClient, TransactionOptions,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::tikv::failure::{Verdict, of_read};
use crate::tikv::{Address, Options};
use crate::{EngineKind, Error, KeyRange, Result};

/// How long the end waits for what is committed in the background. Whatever is left then is found committed by its next reader.
const LINGER: Duration = Duration::from_secs(1);
/// Between two attempts at first, doubled up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// A connected client. Whoever holds it can ask; the thread ends with the last holder.
pub(super) struct Client {
    // Before the worker: its background tasks end once it is gone.
    tikv: TransactionClient,
    pub(super) space: Space,
    address: Arc<str>,
    patience: Duration,
    worker: Worker,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Backend`] from a cluster without key spaces.
    pub(super) fn connect(address: &Address, options: &Options) -> Result<Self> {
        let worker = Worker::start()?;
        let nodes = address.nodes().to_vec();
        let config = Config::default()
            .with_timeout(options.patience.min(Config::default().timeout))
            .with_default_keyspace();
        let connecting = TransactionClient::new_with_config(nodes, config);
        let until = options.connect_patience;
        let text: Arc<str> = address.to_string().into();
        let unreachable = |cause: String| Error::Unreachable {
            address: address.to_string(),
            cause,
        };
        let connected = worker.run(async move {
            match tokio::time::timeout(until, connecting).await {
                Ok(Ok(client)) => Ok(Ok(client)),
                Ok(Err(error @ tikv_client::Error::KeyspaceNotFound(_))) => Err(backend(&error)),
                Ok(Err(error)) => Ok(Err(error.to_string())),
                Err(_) => Ok(Err(format!("nothing within {until:?}"))),
            }
        })?;
        Ok(Self {
            tikv: connected.map_err(unreachable)?,
            space: Space::of(address.namespace()),
            address: text,
            patience: options.patience,
            worker,
        })
    }

    /// What a job takes along.
    pub(super) fn session(&self) -> Session {
        Session {
            tikv: self.tikv.clone(),
            address: Arc::clone(&self.address),
            until: Instant::now() + self.patience,
        }
    }

    /// Does a job on the client's thread and waits for its end.
    ///
    /// # Errors
    /// Those of the job; [`Error::Backend`] if it panicked.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.worker.run(job)
    }

    /// The timestamp of this moment.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub(super) fn now(&self) -> Result<Timestamp> {
        let session = self.session();
        self.run(async move {
            let ask = || session.tikv.current_timestamp();
            session.persist(ask).await
        })
    }
}

/// The runtime's thread.
struct Worker {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start() -> Result<Self> {
        let cannot = |source| Error::io("start", "the client's thread".as_ref(), source);
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(cannot)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let body = move || {
            runtime.block_on(async {
                // An error is the other end dropped, which comes to the same.
                let _ = stopped.await;
                linger().await;
            });
        };
        let thread = std::thread::Builder::new().name("tikv-client".into());
        Ok(Self {
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread.spawn(body).map_err(cannot)?),
        })
    }

    /// The caller blocks on a plain channel: it may be a thread of another runtime, where blocking on ours would panic.
    fn run<T: Send + 'static>(
        &self,
        job: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            // Nobody waits any more only if the caller's thread died.
            let _ = answer.send(job.await);
        });
        let dead = |_| Err(backend(&"the client panicked: see its message"));
        answered.recv().unwrap_or_else(dead)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by its own message.
            let _ = thread.join();
        }
    }
}

/// Waits until nothing is under way.
async fn linger() {
    let until = Instant::now() + LINGER;
    while Handle::current().metrics().num_alive_tasks() > 0 && Instant::now() < until {
        sleep(Duration::from_millis(1)).await;
    }
}

/// What a job needs: the client, whom to blame, and until when to try.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) tikv: TransactionClient,
    address: Arc<str>,
    pub(super) until: Instant,
}

impl Session {
    /// Attempts a read until there is an answer.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when the patience is over; [`Error::Backend`] for what another attempt would not change.
    pub(super) async fn persist<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = tikv_client::Result<T>>,
    {
        let mut pauses = Pauses::default();
        let mut last = "nothing in time".to_owned();
        loop {
            match timeout_at(self.until, attempt()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => match of_read(&error) {
                    Verdict::Again => last = error.to_string(),
                    _ => return Err(backend(&error)),
                },
                Err(_) => return Err(self.unreachable(last)),
            }
            pauses.next().await;
        }
    }

    pub(super) fn unreachable(&self, cause: String) -> Error {
        Error::Unreachable {
            address: self.address.to_string(),
            cause,
        }
    }

    pub(super) fn undetermined(&self, cause: String) -> Error {
        Error::Undetermined {
            address: self.address.to_string(),
            cause,
        }
    }

    pub(super) fn contended(&self, attempts: u32) -> Error {
        Error::Contended {
            address: self.address.to_string(),
            attempts,
        }
    }
}

/// Longer and longer.
pub(super) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pauses {
    pub(super) async fn next(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(LAST_PAUSE);
    }
}

/// Words of the client or the cluster.
pub(super) fn backend(message: &dyn std::fmt::Display) -> Error {
    Error::Backend {
        engine: EngineKind::Tikv,
        message: message.to_string(),
    }
}

/// For transactions; why so is told in `write`.
pub(super) fn for_writing() -> TransactionOptions {
    short().no_resolve_regions()
}

/// Short ones need no heartbeat. (The client's sleeps for ten seconds in a task of its own each time.)
fn short() -> TransactionOptions {
    TransactionOptions::new_optimistic()
        .heartbeat_option(HeartbeatOption::NoHeartbeat)
        // It panics otherwise when one is dropped on an error.
        .drop_check(CheckLevel::None)
}

/// For reads: one further attempt of the client's own, for which it asks anew where the region is; the rest is up to
/// [`Session::persist`]. With the usual ten, a reply that is too long would be asked for eleven times.
pub(super) fn for_reading() -> TransactionOptions {
    let mut retries = RetryOptions::default_optimistic();
    retries.region_backoff = Backoff::no_jitter_backoff(2, 2, 1);
    short().retry_options(retries)
}

/// A namespace's place among the cluster's keys: `keyproof/NAMESPACE` and a zero byte, which no namespace has, before each.
#[derive(Debug, Clone)]
pub(super) struct Space {
    prefix: Vec<u8>,
    end: Vec<u8>,
}

impl Space {
    fn of(namespace: &str) -> Self {
        let with = |last: &[u8]| [b"keyproof/", namespace.as_bytes(), last].concat();
        Self {
            prefix: with(&[0]),
            end: with(&[1]),
        }
    }

    /// The cluster's key of `key`.
    pub(super) fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix, key].concat()
    }

    /// Where the transaction that began at `start` puts its marker: outside of the namespace's keys, in one of 256 places, so that markers
    /// take no room, and two transactions seldom meet.
    pub(super) fn marker(&self, start: u64) -> Vec<u8> {
        // The upper bits of a product with the golden ratio's: timestamps of one moment are near each other.
        let place = start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        [&self.end, &[place as u8][..]].concat()
    }

    /// The key of one of the cluster's.
    pub(super) fn strip(&self, key: Vec<u8>) -> Bytes {
        let key = Bytes::from(key);
        key.slice(self.prefix.len().min(key.len())..)
    }

    /// From (included) and to (excluded) in the cluster's keys; nothing where no key can be.
    pub(super) fn range(&self, range: &KeyRange) -> Option<(Vec<u8>, Vec<u8>)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        if range.is_empty() {
            return None;
        }
        // In byte order the successor of a key is the key followed by a zero byte.
        let after = |key: &Bytes| [&self.prefix, &key[..], &[0]].concat();
        let from = match &range.start {
            Included(key) => self.key(key),
            Excluded(key) => after(key),
            Unbounded => self.prefix.clone(),
        };
        let to = match &range.end {
            Included(key) => after(key),
            Excluded(key) => self.key(key),
            Unbounded => self.end.clone(),
        };
        (from < to).then_some((from, to))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use super::*;

    #[test]
    fn namespaces_are_apart_also_when_one_begins_as_another() {
        let (short, long) = (Space::of("a"), Space::of("a/b"));
        let (_, end) = short.range(&KeyRange::all()).unwrap();
        let all = [&b""[..], b"\0", b"\xff\xff"];
        for key in all.map(|key| long.key(key)) {
            assert!(key < short.prefix || key >= end);
        }
        for key in all {
            let whole = short.key(key);
            assert!(whole >= short.prefix && whole < end);
            let marker = short.marker(u64::from_be_bytes([7; 8]));
            assert!(marker >= end && marker != long.marker(7));
            assert_eq!(short.strip(whole), key);
        }
    }

    #[test]
    fn ranges_become_half_open() {
        let space = Space::of("a");
        let range = |start, end| space.range(&KeyRange { start, end });
        let key = |text: &'static str| Bytes::from(text);
        let expected =
            |from: &str, to: &str| Some((space.key(from.as_bytes()), space.key(to.as_bytes())));
        let found = range(Bound::Included(key("b")), Bound::Excluded(key("c")));
        assert_eq!(found, expected("b", "c"));
        let found = range(Bound::Excluded(key("b")), Bound::Included(key("c")));
        assert_eq!(found, expected("b\0", "c\0"));
        assert_eq!(
            range(Bound::Included(key("c")), Bound::Excluded(key("b"))),
            None
        );
    }
}
