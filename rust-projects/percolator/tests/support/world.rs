//! A store over a network that a test controls, on virtual time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use percolator::client::{AskError, CommitBy, Config, Store};
use percolator::{Client, Clock, Columns, Local, Request, Timestamp};
use storage::{KeyRange, MemoryEngine};

/// Time that passes when somebody waits.
#[derive(Debug)]
pub(crate) struct VirtualClock(AtomicU64);

impl VirtualClock {
    pub(crate) fn at(now_ms: u64) -> Self {
        Self(AtomicU64::new(now_ms))
    }
}

impl Clock for VirtualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn pause(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Deliver,
    DropRequest,
    DropReply,
}

/// A message as a rule sees it.
pub(crate) struct Message<'a> {
    pub(crate) name: &'static str,
    pub(crate) keys: &'a BTreeSet<Bytes>,
    pub(crate) now_ms: u64,
}

impl Message<'_> {
    pub(crate) fn commits(&self, key: &'static str) -> bool {
        self.name == "commit" && self.keys.contains(key.as_bytes())
    }
}

type Rule = Rc<dyn Fn(&Message<'_>) -> Fate>;

pub(crate) struct World {
    local: Local<MemoryEngine, VirtualClock>,
    rule: RefCell<Rule>,
    asked: Cell<u64>,
}

/// Time to live, retries and waits of the lab.
pub(crate) const LAB: Config = Config {
    lock_ttl_ms: 100,
    retries: 3,
    first_pause_ms: 100,
    keys_per_request: 1,
    commit: CommitBy::TwoPhases,
};

impl World {
    pub(crate) fn new() -> Self {
        let clock = VirtualClock::at(1_700_000_000_000);
        Self {
            local: Local::open(MemoryEngine::new(), clock).unwrap(),
            rule: RefCell::new(Rc::new(|_| Fate::Deliver)),
            asked: Cell::new(0),
        }
    }

    pub(crate) fn client(&self) -> Client<&Self> {
        Client::new(self, LAB)
    }

    /// From now on messages fare as `rule` says.
    pub(crate) fn network(&self, rule: impl Fn(&Message<'_>) -> Fate + 'static) {
        *self.rule.borrow_mut() = Rc::new(rule);
    }

    pub(crate) fn reliable(&self) {
        self.network(|_| Fate::Deliver);
    }

    pub(crate) fn wait(&self, ms: u64) {
        self.local.clock().pause(ms);
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.local.clock().now_ms()
    }

    /// How many requests were sent.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.get()
    }

    /// How many locks there are.
    pub(crate) fn locks(&self) -> usize {
        let columns = Columns::new(self.local.engine());
        columns
            .locks(&KeyRange::all(), storage::Direction::Forward)
            .count()
    }

    /// What is committed by now, whoever holds locks.
    pub(crate) fn committed(&self, key: &str) -> Option<Bytes> {
        let columns = Columns::new(self.local.engine());
        columns.value(key.as_bytes(), Timestamp::MAX).unwrap()
    }

    fn carry<T>(
        &self,
        name: &'static str,
        keys: &BTreeSet<Bytes>,
        ask: impl FnOnce() -> Result<T, AskError>,
    ) -> Result<T, AskError> {
        self.asked.set(self.asked.get() + 1);
        let message = Message {
            name,
            keys,
            now_ms: self.now_ms(),
        };
        // A rule may send messages itself.
        let rule = Rc::clone(&self.rule.borrow());
        let fate = rule(&message);
        match fate {
            Fate::Deliver => ask(),
            Fate::DropRequest => Err(AskError::Lost),
            Fate::DropReply => ask().and(Err(AskError::Lost)),
        }
    }
}

impl Store for World {
    fn ask<R: Request>(&self, request: &R) -> Result<R::Reply, AskError> {
        self.carry(R::NAME, &request.latched(), || self.local.ask(request))
    }

    fn timestamp(&self) -> Result<Timestamp, AskError> {
        self.carry("timestamp", &BTreeSet::new(), || self.local.timestamp())
    }

    fn pause(&self, ms: u64) {
        self.local.pause(ms);
    }
}

/// What a transaction reads, as text; nothing is `-`.
pub(crate) fn read<S: Store>(
    transaction: &mut percolator::client::Transaction<'_, S>,
    key: &str,
) -> String {
    let value = transaction.get(key.as_bytes()).unwrap();
    value.map_or("-".to_owned(), |value| {
        String::from_utf8(value.to_vec()).unwrap()
    })
}

/// The pairs whose number has no rest when divided by `divisor`, as text.
pub(crate) fn divisible<S: Store>(
    transaction: &mut percolator::client::Transaction<'_, S>,
    divisor: u64,
) -> Vec<String> {
    let pairs = transaction
        .scan(&KeyRange::all(), storage::Direction::Forward, 100)
        .unwrap();
    pairs
        .iter()
        .map(|(key, value)| {
            (
                String::from_utf8(key.to_vec()).unwrap(),
                String::from_utf8(value.to_vec()).unwrap(),
            )
        })
        .filter(|(_, value)| value.parse::<u64>().unwrap().is_multiple_of(divisor))
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}
