//! What a decision is made from.

use storage::{Limits, Reader};

use crate::ScanCursors;
use crate::error::{Outcome, STRING_TOO_LONG, Stop, refuse};
use crate::keyspace;

/// What a decision is made from: the data, the time, and the limits to keep.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What is stored, including the effects of every earlier decision.
    pub reader: &'a dyn Reader,
    /// The time of this decision in milliseconds since 1970. Must not run backwards from one decision to the next.
    pub now_ms: u64,
    /// Limits of the engine that will take the batch; longer keys and values are refused with a reply.
    pub limits: Limits,
    /// What a reply may take in memory, in bytes; a command that would answer with more is refused and changes nothing. Copies
    /// of the data that are to stay equal need the same.
    pub max_reply_bytes: usize,
    /// Where SCAN keeps its positions.
    pub cursors: &'a ScanCursors,
}

impl Context<'_> {
    /// Refuses a key that the engine would not take.
    pub(crate) fn check_key(&self, key: &[u8]) -> Outcome<()> {
        let max = self
            .limits
            .key_bytes
            .saturating_sub(keyspace::KEY_OVERHEAD_BYTES);
        if key.len() > max {
            return Err(Stop::Refuse(wire::Reply::error(format!(
                "ERR the key is {} bytes long, the limit is {max}",
                key.len()
            ))));
        }
        Ok(())
    }

    /// Refuses a value of `len` bytes that the engine would not take.
    pub(crate) fn check_len(&self, len: u64) -> Outcome<()> {
        let max = self
            .limits
            .value_bytes
            .saturating_sub(keyspace::VALUE_OVERHEAD_BYTES);
        if len > max as u64 {
            return refuse(STRING_TOO_LONG);
        }
        Ok(())
    }

    /// Refuses a key or a value that the engine would not take.
    pub(crate) fn check(&self, key: &[u8], value: &[u8]) -> Outcome<()> {
        self.check_key(key)?;
        self.check_len(value.len() as u64)
    }
}
