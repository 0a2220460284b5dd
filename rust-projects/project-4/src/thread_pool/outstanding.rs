//! Counting jobs that are not done, for pools whose threads cannot be joined.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Shared {
    count: Mutex<usize>,
    none_left: Condvar,
}

/// The jobs of a pool that are not done. Dropping it waits for them.
#[derive(Default)]
pub(super) struct Outstanding {
    shared: Arc<Shared>,
}

/// One job that is not done. It counts as done when this is dropped, which a panic does too.
pub(super) struct Ticket {
    shared: Arc<Shared>,
}

impl Outstanding {
    /// Counts one job more.
    pub(super) fn ticket(&self) -> Ticket {
        *self.shared.count() += 1;
        Ticket {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Shared {
    fn count(&self) -> MutexGuard<'_, usize> {
        // Nothing that holds this lock can leave the count half-changed.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        let mut count = self.shared.count();
        while *count > 0 {
            count = self
                .shared
                .none_left
                .wait(count)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut count = self.shared.count();
        *count -= 1;
        if *count == 0 {
            self.shared.none_left.notify_all();
        }
    }
}
