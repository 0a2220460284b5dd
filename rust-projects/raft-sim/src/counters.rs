//! What has to happen sometimes: a simulation in which it never does proves nothing about it.

use std::fmt;

macro_rules! sometimes {
    ($($name:ident $text:literal,)*) => {
        /// Something that a long enough run must contain.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Sometimes {
            $(#[doc = $text] $name,)*
        }

        impl Sometimes {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What it is, in words.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

sometimes! {
    LeaderElected "leader elected",
    LeaderDeposed "leader deposed",
    LogTruncated "log truncated",
    LogCompacted "log compacted",
    SnapshotInstalled "snapshot installed",
    SnapshotInstalledInJoint "snapshot of a joint configuration installed",
    SnapshotLost "snapshot lost on its way",
    SnapshotRefused "snapshot received and not installed, as the log was ahead of it",
    SnapshotBrokenOff "sender crashed, or was cut off, in the middle of a snapshot",
    CrashWhileStaging "receiver crashed in the middle of a snapshot",
    CrashBeforeSwitch "receiver crashed when a snapshot was staged and not in use yet",
    WentOnBehindSnapshot "log went on behind an installed snapshot without another one",
    CommittedAcrossTerms "entry committed in a later term than its own",
    EnteredJoint "joint configuration entered",
    LeftJoint "joint configuration left",
    ChangeUndone "configuration undone by truncation",
    LearnerAdded "learner added",
    LeaderRemoved "leader left on its own removal",
    TransferAsked "leadership handed over",
    TransferInPartition "leadership handed over during a partition",
    Retried "request in the log more than once",
    ReadOnLeader "read answered by a leader",
    ReadOnFollower "read answered by another server",
    WriteOnFollower "write answered by another server than the leader",
    Decided "decision applied",
    DecidedUnasked "decision made without asking a majority before",
    DecidedStale "decision not applied, as the region had changed",
    DecidedUnknown "outcome of a decision not known",
    AnsweredUnknown "client told that the outcome is unknown",
    AnsweredNoLeader "client told that there is no leader",
    AnsweredRefused "client refused",
    AskedInPartition "request made during a partition",
    PowerLost "power lost",
    Killed "process killed",
    CrashInStep "crash between the actions of a step",
    PowerLostOnDisk "power lost during an operation of the disk",
    LogWriteLost "log write lost with the power",
    EngineRolledBack "state machine set back by a crash",
    LogAnew "log begun anew behind an installed snapshot after a crash",
    RestartedLeader "leader crashed",
    Paused "server paused",
    ClockRateChanged "clock made fast or slow",
    WallJumpedAhead "wall clock jumped ahead",
    WallJumpedBack "wall clock jumped back",
    MessageLost "message lost",
    MessageBlocked "message blocked by a partition",
    MessageDuplicated "message duplicated",
    OldMessage "message of long ago delivered",
    DiskSlow "disk slow",
    DiskFull "disk full",
    CompletionLate "several writes completed late at once",
}

/// How often each happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters(Vec<u64>);

impl Default for Counters {
    fn default() -> Self {
        Self(vec![0; Sometimes::ALL.len()])
    }
}

impl Counters {
    /// It happened.
    pub fn add(&mut self, what: Sometimes) {
        self.add_many(what, 1);
    }

    /// It happened so many times.
    pub fn add_many(&mut self, what: Sometimes, times: u64) {
        self.0[what as usize] += times;
    }

    /// How often it happened.
    #[must_use]
    pub fn count(&self, what: Sometimes) -> u64 {
        self.0[what as usize]
    }

    /// Adds those of another run.
    pub fn join(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// What never happened.
    #[must_use]
    pub fn missing(&self) -> Vec<Sometimes> {
        let all = Sometimes::ALL.iter().copied();
        all.filter(|&what| self.count(what) == 0).collect()
    }
}

/// A table, one line each.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &what in Sometimes::ALL {
            writeln!(f, "{:>12}  {}", self.count(what), what.text())?;
        }
        Ok(())
    }
}
