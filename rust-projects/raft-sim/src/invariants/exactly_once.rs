//! Exactly once (Raft paper, section 8; thesis, 6.3): a request is applied once, however often it is sent. A counter that is only
//! incremented gives no value twice, and holds at least the increments that were acknowledged and at most those that may have happened.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checked, broken};

#[derive(Debug, Default)]
struct Counter {
    given: BTreeSet<i64>,
    /// Increments of which nobody knows.
    unknown: i64,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct ExactlyOnce {
    counters: BTreeMap<String, Counter>,
}

impl ExactlyOnce {
    /// An increment was acknowledged with this value.
    ///
    /// # Errors
    /// Another was acknowledged with the same.
    pub(crate) fn incremented(&mut self, counter: &str, value: i64) -> Checked {
        let known = self.counters.entry(counter.to_owned()).or_default();
        if !known.given.insert(value) {
            return broken(
                "exactly once",
                format!("two increments of {counter} both gave {value}"),
            );
        }
        Ok(())
    }

    /// The outcome of an increment is not known.
    pub(crate) fn unknown(&mut self, counter: &str) {
        let known = self.counters.entry(counter.to_owned()).or_default();
        known.unknown += 1;
    }

    /// Nothing is under way any more, and the counter holds this.
    ///
    /// # Errors
    /// It holds too little or too much.
    pub(crate) fn ended(&self, counter: &str, value: i64) -> Checked {
        let (given, unknown) = self.counters.get(counter).map_or((0, 0), |counter| {
            (counter.given.len() as i64, counter.unknown)
        });
        if value < given || value > given + unknown {
            return broken(
                "exactly once",
                format!(
                    "{counter} holds {value} after {given} increments and {unknown} of unknown outcome"
                ),
            );
        }
        Ok(())
    }
}
