//! Keys watched for EXEC.

use storage::Op;

/// Which keys some connection watches, and how often each has changed.
#[derive(Debug, Default)]
pub struct WatchTable {}

impl WatchTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes the changes of a batch. [`crate::Session`] does so for its own; call it for any other writes, such as
    /// those of [`crate::keyspace::expire_due`].
    pub fn touch(&mut self, _ops: &[Op]) {}
}
