//! A snapshot on its way in: written to an engine of its own beside the one in use, which takes that one's place in one step.
//!
//! ```text
//!   bytes --> Receiving --> fresh engine, batch by batch     durable: nothing that counts
//!                 | finish: all there, synced
//!               Staged --> replica --> core: too old?  yes: dropped, and its engine with it
//!                                       | no
//!                                     switch                 durable: the new state, found by a restart
//!                                       |
//!                                     log begins anew        durable: the log fits the state
//! ```
//!
//! A crash before the switch finds the old state and the old log; one after it finds a state that is ahead of the log, which
//! [`crate::Replica::open`] says to begin anew.

use std::fmt;
use std::sync::Arc;

use raft::{LogId, SnapshotMeta};

use crate::machine::{Machine, MachineError, Own, StateEngine};
use crate::region::Region;
use crate::registry::Registry;
use crate::snapshot::Filling;
use crate::stream::StreamError;

/// An engine beside the one in use. Whoever owns the directories makes it, empty. Dropped without a switch, it is gone, and a restart does not find it.
pub trait Staging: Send {
    /// What is written to.
    fn engine(&self) -> &Arc<dyn StateEngine>;

    /// This engine is the one in use from now on, and after a restart, which finds it or the former one and nothing between the two. Durable on
    /// return. Views of the former one stay valid.
    ///
    /// # Errors
    /// It is not known which of the two a restart finds.
    fn switch(self: Box<Self>) -> storage::Result<Arc<dyn StateEngine>>;
}

/// Writes a snapshot to a staging as its bytes come.
pub struct Receiving {
    staging: Box<dyn Staging>,
    filling: Filling,
    last: LogId,
}

impl fmt::Debug for Receiving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl Receiving {
    /// What `snapshot` announces shall come into `staging`.
    #[must_use]
    pub fn new(staging: Box<dyn Staging>, snapshot: &SnapshotMeta) -> Self {
        Self {
            staging,
            filling: Filling::default(),
            last: snapshot.last,
        }
    }

    /// Takes the next bytes, cut in any way.
    ///
    /// # Errors
    /// They are no snapshot, damaged or of another version; the engine's. Nothing more may come then.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), MachineError> {
        let engine = &**self.staging.engine();
        self.filling.take(engine, bytes, |_| true)
    }

    /// All bytes were taken; the state is durable on return.
    ///
    /// # Errors
    /// The snapshot is not complete, or not the one that was announced; the engine's.
    pub fn finish(self) -> Result<Staged, MachineError> {
        let Self {
            staging,
            filling,
            last,
        } = self;
        let own = filling.finish(&**staging.engine(), |_| {})?;
        if own.applied != last {
            return Err(StreamError::Other.into());
        }
        Ok(Staged { staging, own })
    }
}

/// A state that was received, complete and durable, and is not in use. Dropped, it is gone.
pub struct Staged {
    staging: Box<dyn Staging>,
    own: Own,
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged")
            .field("last", &self.own.applied)
            .finish_non_exhaustive()
    }
}

impl Staged {
    /// The last entry that it holds the effects of.
    #[must_use]
    pub fn last(&self) -> LogId {
        self.own.applied
    }
}

impl Machine {
    /// Replaces everything by a state that was received, durably and in one step.
    ///
    /// # Errors
    /// The engine's: this server must stop, and a restart finds the one state or the other.
    pub(crate) fn install(&mut self, staged: Staged) -> Result<(), MachineError> {
        let Staged { staging, own } = staged;
        let registry = Registry::load(staging.engine().latest())?;
        let region = Region::load(staging.engine().latest())?;
        self.engine = staging.switch()?;
        self.own = own;
        self.registry = Arc::new(registry);
        self.region = Arc::new(region);
        Ok(())
    }
}
