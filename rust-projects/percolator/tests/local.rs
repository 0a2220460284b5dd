//! The store within a process: what is there after it is opened again, and what it refuses.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod support;

use percolator::client::{AskError, ClientError, Config, Outcome, Store};
use percolator::{Client, Error, Local, OracleError};
use storage::{Batch, Engine, Limits, MemoryEngine};
use support::world::VirtualClock;

type Process = Local<MemoryEngine, VirtualClock>;

fn open(engine: MemoryEngine, now_ms: u64) -> Process {
    Local::open(engine, VirtualClock::at(now_ms)).unwrap()
}

#[test]
fn what_is_committed_is_there_after_a_reopen_and_timestamps_go_on_though_the_clock_was_set_back() {
    let store = open(MemoryEngine::new(), 9_000_000);
    let client = Client::new(&store, Config::default());
    let mut writer = client.begin().unwrap();
    writer.set("k", "v");
    let Outcome::Committed(commit_ts) = writer.commit() else {
        panic!("not committed");
    };

    let store = open(store.into_engine(), 5);
    let client = Client::new(&store, Config::default());
    let mut reader = client.begin().unwrap();
    assert!(reader.start_ts() > commit_ts);
    assert_eq!(reader.get(b"k").unwrap().unwrap(), "v");
}

#[test]
fn what_the_engine_does_not_take_aborts_the_transaction_for_certain() {
    let limits = Limits {
        value_bytes: 1000,
        ..Limits::default()
    };
    let store = open(MemoryEngine::with_limits(limits), 1000);
    let client = Client::new(&store, Config::default());
    let mut writer = client.begin().unwrap();
    writer.set("k", vec![0; 1001]);
    let outcome = writer.commit();
    assert!(
        matches!(
            outcome,
            Outcome::Aborted(ClientError::Store(Error::Storage(
                storage::Error::ValueTooLarge { .. }
            )))
        ),
        "{outcome:?}"
    );
    assert_eq!(client.begin().unwrap().get(b"k").unwrap(), None);
}

#[test]
fn a_window_of_another_form_is_refused_and_so_is_a_clock_beyond_all_timestamps() {
    let engine = MemoryEngine::new();
    let mut batch = Batch::new();
    batch.put("owindow", "123");
    engine.write(&batch).unwrap();
    let error = Local::open(engine, VirtualClock::at(0)).err().unwrap();
    assert!(error.to_string().contains("eight bytes"), "{error}");

    let store = open(MemoryEngine::new(), u64::MAX);
    let error = store.timestamp().unwrap_err();
    assert!(
        matches!(error, AskError::Oracle(OracleError::EndOfTime { .. })),
        "{error}"
    );
}
