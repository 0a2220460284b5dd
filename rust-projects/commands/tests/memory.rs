//! What commands over many keys hold in memory while they are decided.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use commands::{Context, Env, ScanCursors, Session, WatchTable, keyspace};
use storage::{Batch, Direction, Entries, KeyRange, Keys, Limits, Reader, Result};
use support::script::TestHost;
use wire::Reply;

const KEYS: usize = 1000;
const VALUE_BYTES: usize = 1000;

/// Keys whose values are made when they are read, as those of an engine on disk.
#[derive(Default)]
struct CountingReader {
    living: Arc<Living>,
}

#[derive(Default)]
struct Living {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A value in memory, counted until it is dropped.
struct Counted {
    bytes: Vec<u8>,
    living: Arc<Living>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.living.now.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reader for CountingReader {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        if !key.starts_with(b"rkey:") {
            return Ok(None);
        }
        let living = Arc::clone(&self.living);
        let now = living.now.fetch_add(1, Ordering::Relaxed) + 1;
        living.most.fetch_max(now, Ordering::Relaxed);
        let bytes = keyspace::encode(&[b'x'; VALUE_BYTES], None).to_vec();
        Ok(Some(Bytes::from_owner(Counted { bytes, living })))
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    fn scan(&self, _: &KeyRange, _: Direction) -> Entries<'_> {
        unreachable!("no command here reads values it did not ask for")
    }

    fn scan_keys(&self, range: &KeyRange, _: Direction) -> Keys<'_> {
        let range = range.clone();
        let keys = (0..KEYS).map(|n| keyspace::data_key(format!("key:{n:04}").as_bytes()));
        Box::new(keys.filter(move |key| range.contains(key)).map(Ok))
    }

    fn approximate_size(&self, _: &KeyRange) -> Result<u64> {
        Ok(0)
    }
}

struct Client {
    reader: CountingReader,
    session: Session,
    batch: Batch,
    max_reply_bytes: usize,
}

impl Client {
    fn new(max_reply_bytes: usize) -> Self {
        Self {
            reader: CountingReader::default(),
            session: Session::new(1),
            batch: Batch::new(),
            max_reply_bytes,
        }
    }

    fn call(&mut self, args: &[Bytes]) -> Reply {
        let mut env = Env {
            context: Context {
                reader: &self.reader,
                now_ms: 0,
                limits: Limits::default(),
                max_reply_bytes: self.max_reply_bytes,
                cursors: &ScanCursors::default(),
            },
            batch: &mut self.batch,
            watches: &mut WatchTable::new(),
            host: &TestHost::default(),
        };
        self.session.handle(args, &mut env).unwrap().into_reply()
    }

    /// The most values that were in memory at the same time.
    fn most(&self) -> usize {
        self.reader.living.most.load(Ordering::Relaxed)
    }
}

/// `name` followed by every key.
fn over_all_keys(name: &'static str) -> Vec<Bytes> {
    let keys = (0..KEYS).map(|n| Bytes::from(format!("key:{n:04}")));
    std::iter::once(Bytes::from_static(name.as_bytes()))
        .chain(keys)
        .collect()
}

fn words(line: &'static str) -> Vec<Bytes> {
    line.split(' ')
        .map(|word| Bytes::from_static(word.as_bytes()))
        .collect()
}

fn error(reply: &Reply) -> &str {
    match reply {
        Reply::Error(message) => message,
        other => panic!("no error but {other:?}"),
    }
}

#[test]
fn what_answers_without_values_holds_one_value_at_a_time() {
    for name in ["EXISTS", "TOUCH", "DEL", "UNLINK"] {
        let mut client = Client::new(usize::MAX);
        let reply = client.call(&over_all_keys(name));
        assert_eq!(reply, Reply::Integer(KEYS as i64), "{name}");
        assert_eq!(client.most(), 1, "{name}");
    }
    let mut client = Client::new(usize::MAX);
    let reply = client.call(&words("SCAN 0 COUNT 100000"));
    let Reply::Array(parts) = reply else {
        panic!("{reply:?}");
    };
    assert!(matches!(&parts[1], Reply::Array(keys) if keys.len() == KEYS));
    assert_eq!(client.most(), 1);
}

#[test]
fn mget_reads_no_more_than_a_reply_may_take() {
    let mut client = Client::new(20 * VALUE_BYTES);
    let reply = client.call(&over_all_keys("MGET"));
    assert!(
        error(&reply).starts_with("ERR the reply would take more than 20000 bytes"),
        "{reply:?}"
    );
    assert!((10..=20).contains(&client.most()), "{}", client.most());
}

#[test]
fn exec_holds_no_more_than_a_reply_may_take_and_then_writes_nothing() {
    let mut client = Client::new(20 * VALUE_BYTES);
    client.call(&words("MULTI"));
    client.call(&words("SET other 1"));
    for _ in 0..KEYS {
        assert_eq!(
            client.call(&words("GET key:0001")),
            Reply::Simple("QUEUED".into())
        );
    }
    let reply = client.call(&words("EXEC"));
    assert!(
        error(&reply).starts_with("ERR the replies would take more than 20000 bytes"),
        "{reply:?}"
    );
    assert!((10..=21).contains(&client.most()), "{}", client.most());
    assert!(client.batch.is_empty(), "{:?}", client.batch);
}
