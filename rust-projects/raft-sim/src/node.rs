//! One simulated server: its replica while it runs, and what outlives a crash.

use raft::{Configuration, Index, Time, WriteNumber};
use replica::{Event, Now, Replica, Settings};

use crate::clock::Clock;
use crate::disk::LogDisk;
use crate::engine::SimStates;
use crate::invariants::Glimpse;

/// How a server's disk behaves, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct DiskSpeed {
    /// A sync takes at least this long,
    pub sync_low_us: u64,
    /// and at most this long.
    pub sync_high_us: u64,
    /// So many completions in a thousand reach the server late, together with later ones.
    pub late: u64,
}

impl Default for DiskSpeed {
    fn default() -> Self {
        Self {
            sync_low_us: 100,
            sync_high_us: 800,
            late: 0,
        }
    }
}

/// Where in the actions of one step, or in what leads to one, a server crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before any of them.
    BeforeWrite,
    /// After the write was handed to the disk, which has not synced it.
    AfterWrite,
    /// After some of the messages left.
    AmongMessages,
    /// After all messages left, before anybody was answered.
    BeforeAnswers,
    /// While a snapshot is received, if one is before anything else happens: after some of its chunks or, as `true`, when all of it is
    /// durable and not in use yet.
    Staging(bool),
}

/// How a server stops without having a say in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The process is killed: what it wrote is there, synced or not.
    Kill,
    /// The power fails: what was not synced may be gone.
    PowerLoss,
}

#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) replica: Replica,
    pub(crate) glimpse: Glimpse,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) settings: Settings,
    pub(crate) running: Option<Running>,
    pub(crate) states: SimStates,
    pub(crate) disk: Box<dyn LogDisk>,
    pub(crate) clock: Clock,
    pub(crate) disk_speed: DiskSpeed,
    /// How often it was started.
    pub(crate) boot: u64,
    /// When a look at the replica's deadline is planned.
    pub(crate) tick_at: Option<Time>,
    /// Since when its deadline has been in the past, and how often it was told the time meanwhile.
    pub(crate) overdue: (Time, u32),
    /// Nothing reaches it before.
    pub(crate) paused_until: Time,
    pub(crate) syncing: bool,
    pub(crate) appended: WriteNumber,
    pub(crate) synced: WriteNumber,
    /// Where the last snapshot ends, until an entry follows it.
    pub(crate) installed: Option<Index>,
    /// It crashes in its next step that writes or sends.
    pub(crate) crash_point: Option<(CrashPoint, Stop)>,
}

impl Node {
    pub(crate) fn new(settings: Settings, disk: Box<dyn LogDisk>) -> Self {
        Self {
            settings,
            running: None,
            states: SimStates::default(),
            disk,
            clock: Clock::new(),
            disk_speed: DiskSpeed::default(),
            boot: 0,
            tick_at: None,
            overdue: (Time::ZERO, 0),
            paused_until: Time::ZERO,
            syncing: false,
            appended: 0,
            synced: 0,
            installed: None,
            crash_point: None,
        }
    }

    pub(crate) fn now(&self, at: Time) -> Now {
        self.clock.now(at)
    }

    /// The members that it counts, if it runs.
    pub(crate) fn configuration(&self) -> Option<&Configuration> {
        let running = self.running.as_ref()?;
        Some(running.replica.core().configuration().1)
    }
}

/// A name for the event, for the trace's hash.
pub(crate) fn kind(event: &Event) -> u64 {
    match event {
        Event::Tick => 1,
        Event::Peer(from, _) => 2 | from << 8,
        Event::Snapshot(envelope, staged) => 3 | envelope.from << 8 | staged.last().index << 16,
        Event::Write(requests) => 4 | (requests.len() as u64) << 8,
        Event::Read(client, _) => 5 | client << 8,
        Event::Persisted(number) => 6 | number << 8,
        Event::Flushed(index) => 7 | index << 8,
        Event::SnapshotSent { to, delivered } => 8 | to << 8 | u64::from(*delivered) << 16,
        Event::Change { client, .. } => 9 | client << 8,
        Event::Transfer { client, to } => 10 | to << 8 | client << 16,
        Event::Order(client, _) => 11 | client << 8,
        Event::Stop => 12,
        Event::Removed => 13,
        Event::Decided(decided) => 14 | (decided.len() as u64) << 8,
        Event::Lead(client) => 15 | client << 8,
    }
}
