//! Requests as values, so that whoever carries them need not know which is which.

use std::collections::BTreeSet;

use bytes::Bytes;
use storage::{Direction, KeyRange};

use crate::{
    Acquire, CheckStatus, Columns, Decided, InFlight, Pair, Prewrite, Prewritten, ReadAt, Refusal,
    Result, Secondaries, Ticket, Timestamp, TxnStatus, acquire, batch_get, check_secondaries,
    check_status, collect, commit, get, heartbeat, prewrite, release, resolve_keys, rollback, scan,
};

/// A request about more keys than this may take long to decide.
pub const MANY_KEYS: usize = 256;

/// What a client asks of a store. A value, so that it can be sent again, and arrive twice.
pub trait Request: Clone + Send + Sync + 'static {
    /// What it is told.
    type Reply: Send + 'static;

    /// What it is called in logs and counters.
    const NAME: &'static str;

    /// Decides it.
    ///
    /// # Errors
    /// Those of the function of the same name.
    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>>;

    /// Tells others of it and hears of them, after its keys are latched and before the view is taken that it is decided on. What is announced
    /// under `ticket` is [`InFlight::done`] once the changes are applied, or will not be.
    ///
    /// # Errors
    /// [`Refusal::Locked`] for a read of what is being locked.
    fn announce(
        &mut self,
        _ticket: Ticket,
        _in_flight: &mut InFlight,
    ) -> std::result::Result<(), Refusal> {
        Ok(())
    }

    /// Whether a read may look at many keys: whoever serves it lets others go on meanwhile.
    fn is_long(&self) -> bool {
        false
    }

    /// The keys to latch from the reading until the changes are applied; none for a request that only reads.
    fn latched(&self) -> BTreeSet<Bytes> {
        BTreeSet::new()
    }
}

fn unchanged<T>(reply: T) -> Decided<T> {
    Decided {
        reply,
        changes: storage::Batch::new(),
    }
}

fn set(keys: &[Bytes]) -> BTreeSet<Bytes> {
    keys.iter().cloned().collect()
}

/// Asks for [`get`].
#[derive(Clone, Debug)]
pub struct Get {
    /// The key.
    pub key: Bytes,
    /// The moment.
    pub at: ReadAt,
}

impl Request for Get {
    type Reply = Option<Bytes>;
    const NAME: &'static str = "get";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        get(columns, &self.key, &self.at).map(unchanged)
    }

    fn announce(
        &mut self,
        _ticket: Ticket,
        in_flight: &mut InFlight,
    ) -> std::result::Result<(), Refusal> {
        in_flight.read_keys(std::slice::from_ref(&self.key), &self.at)
    }
}

/// Asks for [`batch_get`].
#[derive(Clone, Debug)]
pub struct BatchGet {
    /// The keys.
    pub keys: Vec<Bytes>,
    /// The moment.
    pub at: ReadAt,
}

impl Request for BatchGet {
    type Reply = Vec<Pair>;
    const NAME: &'static str = "batch-get";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        batch_get(columns, &self.keys, &self.at).map(unchanged)
    }

    fn is_long(&self) -> bool {
        self.keys.len() > MANY_KEYS
    }

    fn announce(
        &mut self,
        _ticket: Ticket,
        in_flight: &mut InFlight,
    ) -> std::result::Result<(), Refusal> {
        in_flight.read_keys(&self.keys, &self.at)
    }
}

/// Asks for [`scan`].
#[derive(Clone, Debug)]
pub struct Scan {
    /// The user keys.
    pub range: KeyRange,
    /// From which end.
    pub direction: Direction,
    /// How many pairs at most.
    pub limit: usize,
    /// The moment.
    pub at: ReadAt,
}

impl Request for Scan {
    type Reply = Vec<Pair>;
    const NAME: &'static str = "scan";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        scan(columns, &self.range, self.direction, self.limit, &self.at).map(unchanged)
    }

    fn is_long(&self) -> bool {
        self.limit > MANY_KEYS
    }

    fn announce(
        &mut self,
        _ticket: Ticket,
        in_flight: &mut InFlight,
    ) -> std::result::Result<(), Refusal> {
        in_flight.read_range(&self.range, &self.at)
    }
}

impl Request for Prewrite {
    type Reply = Prewritten;
    const NAME: &'static str = "prewrite";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        prewrite(columns, self)
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        self.mutations.iter().map(|m| m.key.clone()).collect()
    }

    fn announce(
        &mut self,
        ticket: Ticket,
        in_flight: &mut InFlight,
    ) -> std::result::Result<(), Refusal> {
        in_flight.begin(ticket, self);
        Ok(())
    }
}

/// Asks for [`commit`].
#[derive(Clone, Debug)]
pub struct Commit {
    /// The keys.
    pub keys: Vec<Bytes>,
    /// The transaction.
    pub start_ts: Timestamp,
    /// When it is to be committed.
    pub commit_ts: Timestamp,
    /// What the store holds: a primary in it must be committed, if it is not among the keys.
    pub held: KeyRange,
}

impl Request for Commit {
    type Reply = Timestamp;
    const NAME: &'static str = "commit";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        let (start_ts, commit_ts) = (self.start_ts, self.commit_ts);
        commit(columns, &self.keys, start_ts, commit_ts, &self.held)
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        set(&self.keys)
    }
}

/// Asks for [`rollback`].
#[derive(Clone, Debug)]
pub struct Rollback {
    /// The keys.
    pub keys: Vec<Bytes>,
    /// The transaction.
    pub start_ts: Timestamp,
}

impl Request for Rollback {
    type Reply = ();
    const NAME: &'static str = "rollback";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        rollback(columns, &self.keys, self.start_ts)
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        set(&self.keys)
    }
}

impl Request for CheckStatus {
    type Reply = TxnStatus;
    const NAME: &'static str = "check-status";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        check_status(columns, self)
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        BTreeSet::from([self.primary.clone()])
    }
}

/// Asks for [`resolve_keys`].
#[derive(Clone, Debug)]
pub struct Resolve {
    /// The keys.
    pub keys: Vec<Bytes>,
    /// The transaction.
    pub start_ts: Timestamp,
    /// When it was committed; `None` if it was rolled back.
    pub commit_ts: Option<Timestamp>,
}

impl Request for Resolve {
    type Reply = ();
    const NAME: &'static str = "resolve";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        resolve_keys(columns, &self.keys, self.start_ts, self.commit_ts)
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        set(&self.keys)
    }
}

/// Asks for [`heartbeat`].
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The key that decides.
    pub primary: Bytes,
    /// The transaction.
    pub start_ts: Timestamp,
    /// How long after its start it is to live, in milliseconds.
    pub ttl_ms: u64,
}

impl Request for Heartbeat {
    type Reply = u64;
    const NAME: &'static str = "heartbeat";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        heartbeat(columns, &self.primary, self.start_ts, self.ttl_ms)
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        BTreeSet::from([self.primary.clone()])
    }
}

impl Request for Acquire {
    type Reply = Vec<Option<Bytes>>;
    const NAME: &'static str = "acquire";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        acquire(columns, self)
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        set(&self.keys)
    }
}

/// Asks for [`release`].
#[derive(Clone, Debug)]
pub struct Release {
    /// The keys.
    pub keys: Vec<Bytes>,
    /// The transaction.
    pub start_ts: Timestamp,
    /// Locks taken for update above it stay.
    pub for_update_ts: Timestamp,
}

impl Request for Release {
    type Reply = ();
    const NAME: &'static str = "release";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        release(columns, &self.keys, self.start_ts, self.for_update_ts)
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        set(&self.keys)
    }
}

/// Asks for [`check_secondaries`].
#[derive(Clone, Debug)]
pub struct CheckSecondaries {
    /// The keys.
    pub keys: Vec<Bytes>,
    /// The transaction.
    pub start_ts: Timestamp,
}

impl Request for CheckSecondaries {
    type Reply = Secondaries;
    const NAME: &'static str = "check-secondaries";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        check_secondaries(columns, &self.keys, self.start_ts)
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        set(&self.keys)
    }
}

/// Asks for [`collect`].
#[derive(Clone, Debug)]
pub struct Collect {
    /// The keys, as [`crate::garbage`] found them.
    pub keys: Vec<Bytes>,
    /// Below it nobody reads.
    pub safe_point: Timestamp,
}

impl Request for Collect {
    type Reply = usize;
    const NAME: &'static str = "collect";

    fn decide(&self, columns: Columns<'_>) -> Result<Decided<Self::Reply>> {
        collect(columns, &self.keys, self.safe_point)
    }

    fn latched(&self) -> BTreeSet<Bytes> {
        set(&self.keys)
    }
}
