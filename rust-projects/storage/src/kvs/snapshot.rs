//! Which positions somebody reads at.
//!
//! Opening and closing a snapshot takes a mutex that is never held across I/O; point reads do not come here at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::index::Positions;
use super::shared::{Shared, lock};
use crate::Seq;

/// The positions of open snapshots and running scans.
#[derive(Debug, Default)]
pub(super) struct Registry {
    open: Mutex<BTreeMap<Seq, usize>>,
}

impl Registry {
    /// Registers a reader at the position that `position` gives. It is asked for under the lock, so that whoever asks
    /// for the floor or the positions either sees this reader or got an answer that keeps what it will read.
    pub(super) fn register(&self, position: impl FnOnce() -> Seq) -> Seq {
        let mut open = lock(&self.open);
        let seq = position();
        *open.entry(seq).or_default() += 1;
        seq
    }

    pub(super) fn release(&self, seq: Seq) {
        let mut open = lock(&self.open);
        if let Some(count) = open.get_mut(&seq) {
            *count -= 1;
            if *count == 0 {
                open.remove(&seq);
            }
        }
    }

    /// The position below which no reader needs anything but the newest version.
    pub(super) fn floor(&self, visible: impl FnOnce() -> Seq) -> Seq {
        let open = lock(&self.open);
        let visible = visible();
        open.first_key_value()
            .map_or(visible, |(&oldest, _)| oldest.min(visible))
    }

    /// Every position that somebody reads at. Like the floor, `visible` is asked for under the lock.
    pub(super) fn positions(&self, visible: impl FnOnce() -> Seq) -> Positions {
        let open = lock(&self.open);
        Positions {
            visible: visible(),
            open: open.keys().copied().collect(),
        }
    }

    pub(super) fn oldest(&self) -> Option<Seq> {
        lock(&self.open).first_key_value().map(|(&seq, _)| seq)
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.open).values().sum()
    }
}

/// A registered position; keeps the engine's files readable and its versions in place until dropped.
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) shared: Arc<Shared>,
    pub(super) seq: Seq,
}

impl Pin {
    pub(super) fn new(shared: &Arc<Shared>, position: impl FnOnce() -> Seq) -> Self {
        let seq = shared.snapshots.register(position);
        Self {
            shared: Arc::clone(shared),
            seq,
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.shared.snapshots.release(self.seq);
    }
}
