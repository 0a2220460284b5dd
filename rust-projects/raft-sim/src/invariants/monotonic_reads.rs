//! Monotonic reads, and reads of what was acknowledged (Ongaro's thesis, 6.4): a counter that only grows is never seen smaller than
//! anybody was told before the read began, whichever servers were asked.

use std::collections::BTreeMap;

use super::{Checked, broken};

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct MonotonicReads {
    /// By counter: the greatest value that anybody was told.
    told: BTreeMap<String, i64>,
}

impl MonotonicReads {
    /// A request that will see the counter begins: what it must see at least.
    #[must_use]
    pub(crate) fn begin(&self, counter: &str) -> i64 {
        self.told.get(counter).copied().unwrap_or(0)
    }

    /// It saw this.
    ///
    /// # Errors
    /// It saw less than it had to.
    pub(crate) fn end(&mut self, counter: &str, at_least: i64, value: i64) -> Checked {
        if value < at_least {
            return broken(
                "monotonic reads",
                format!(
                    "{counter} was seen at {value} by a request that began when {at_least} was known"
                ),
            );
        }
        let told = self.told.entry(counter.to_owned()).or_insert(0);
        *told = value.max(*told);
        Ok(())
    }
}
