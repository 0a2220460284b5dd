//! Writes of a burst that were decided but not yet handed to the engine.
//!
//! A command that reads nothing, such as a plain SET, need not wait for the engine to take those before it. Its changes
//! are put behind theirs, and one batch carries them all: one frame of the log instead of one each. Whoever does read goes
//! through [`View`], which hands over what is pending first, so every command sees everything decided before it.
//!
//! ```text
//!   SET a 1   SET b 2   INCR a           SET c 3   end of the burst
//!   `-- pending --'     reads: submit    `-- pending --'  submit
//! ```
//!
//! Replies are encoded as if their writes were taken. If the engine refuses the batch, nothing of it was applied, and
//! each command is tried alone; those refused again get another reply in the place of the first.

use std::cell::RefCell;
use std::mem;
use std::ops::Range;

use bytes::Bytes;
use commands::Host;
use storage::{Batch, Direction, Durability, Entries, Error, KeyRange, Keys, Op, Reader, Result};
use wire::{Protocol, Reply};

/// Changes, and bytes of keys and values, from which on a batch is handed over: a larger one is not cheaper per command.
const MAX_OPS: usize = 128;
const MAX_BYTES: usize = 64 << 10;

/// Writes decided but not submitted, and replies to be taken back.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// The changes of `writes`, in order.
    batch: Batch,
    bytes: usize,
    writes: Vec<Write>,
    /// Writes that were refused since [`Pending::correct`]: where the reply stands, and what it should be.
    refused: Vec<(Range<usize>, Reply)>,
}

/// What one command wants written.
#[derive(Debug)]
struct Write {
    /// Its changes end here in the batch.
    ops_end: usize,
    /// Where its reply stands.
    reply: Range<usize>,
}

impl Pending {
    /// Forgets what a burst before left behind that did not come to its end.
    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.bytes = 0;
        self.writes.clear();
        self.refused.clear();
    }

    /// Adds the changes of one command, which leaves `changes` empty; its reply stands at `reply`. Whether that is
    /// enough to be submitted.
    pub(crate) fn add(&mut self, changes: &mut Batch, reply: Range<usize>) -> bool {
        self.bytes += changes.ops().iter().map(op_bytes).sum::<usize>();
        if self.batch.is_empty() {
            mem::swap(&mut self.batch, changes);
        } else {
            self.batch.extend(mem::take(changes));
        }
        let ops_end = self.batch.len();
        self.writes.push(Write { ops_end, reply });
        ops_end >= MAX_OPS || self.bytes >= MAX_BYTES
    }

    /// Hands everything pending to the engine.
    pub(crate) fn submit(&mut self, engine: &dyn Durability, has_failed: bool) {
        if self.writes.is_empty() {
            return;
        }
        if let Err(error) = engine.submit(&self.batch) {
            self.submit_singly(engine, has_failed, &error);
        }
        // Values are not kept until the next command.
        self.batch.clear();
        self.bytes = 0;
        self.writes.clear();
    }

    /// After `error` for all together: each on its own, so that one does not fail for the size or kind of another.
    #[cold]
    fn submit_singly(&mut self, engine: &dyn Durability, has_failed: bool, error: &Error) {
        let is_final = self.writes.len() == 1 || !leaves_engine_as_it_was(error);
        let mut ops_start = 0;
        for Write { ops_end, reply } in self.writes.drain(..) {
            let result = if is_final {
                Err(error.clone())
            } else {
                let own = &self.batch.ops()[ops_start..ops_end];
                engine.submit(&own.iter().cloned().collect())
            };
            ops_start = ops_end;
            if let Err(error) = result {
                self.refused.push((reply, refusal(&error, has_failed)));
            }
        }
    }

    /// Puts the replies of refused writes in the place of those first given.
    pub(crate) fn correct(&mut self, replies: &mut Vec<u8>) {
        let Some((first, _)) = self.refused.first() else {
            return;
        };
        let start = first.start;
        let given = replies.split_off(start);
        let mut kept = 0;
        for (place, reply) in self.refused.drain(..) {
            replies.extend_from_slice(&given[kept..place.start - start]);
            // Errors are the same in every protocol.
            reply.encode(Protocol::Resp2, replies);
            kept = place.end - start;
        }
        replies.extend_from_slice(&given[kept..]);
    }
}

/// What a command sees: the engine after all that is pending, which is therefore submitted before anything is read.
pub(crate) struct View<'a> {
    pub(crate) engine: &'a dyn Durability,
    /// After a failed commit what was not acknowledged must not be shown.
    pub(crate) has_failed: bool,
    pub(crate) pending: &'a RefCell<Pending>,
    pub(crate) host: &'a dyn Host,
}

impl<'a> View<'a> {
    fn reader(&self) -> &'a dyn Reader {
        self.pending
            .borrow_mut()
            .submit(self.engine, self.has_failed);
        match self.has_failed {
            true => self.engine,
            false => self.engine.latest(),
        }
    }
}

impl Reader for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.reader().get(key)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        self.reader().multi_get(keys)
    }

    fn contains(&self, key: &[u8]) -> Result<bool> {
        self.reader().contains(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.reader().scan(range, direction)
    }

    fn scan_keys(&self, range: &KeyRange, direction: Direction) -> Keys<'_> {
        self.reader().scan_keys(range, direction)
    }

    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        self.reader().approximate_size(range)
    }
}

impl Host for View<'_> {
    fn requires_password(&self) -> bool {
        self.host.requires_password()
    }

    fn authenticate(&self, user: &[u8], password: &[u8]) -> bool {
        self.host.authenticate(user, password)
    }

    fn info(&self, sections: &[String]) -> String {
        // It tells about the engine, so it is a reader like any other.
        self.reader();
        self.host.info(sections)
    }

    fn config(&self) -> Vec<(&'static str, String)> {
        self.host.config()
    }

    fn version(&self) -> &'static str {
        self.host.version()
    }
}

fn op_bytes(op: &Op) -> usize {
    match op {
        Op::Put { key, value } => key.len() + value.len(),
        Op::Delete { key } => key.len(),
        Op::DeleteRange { .. } => 0,
    }
}

/// Whether nothing of a batch refused with `error` was applied, and the next may fare better.
fn leaves_engine_as_it_was(error: &Error) -> bool {
    matches!(
        error,
        Error::KeyTooLarge { .. }
            | Error::ValueTooLarge { .. }
            | Error::BatchTooLarge { .. }
            | Error::DiskFull { .. }
    )
}

/// What to tell the client when the engine did not take a write.
fn refusal(error: &Error, has_failed: bool) -> Reply {
    let code = match error {
        Error::DiskFull { .. } => "ERR disk full: ",
        Error::Poisoned { .. } if has_failed => "ERR ",
        // It failed with this very write, and only a reopen tells whether the write is there.
        Error::Poisoned { .. } | Error::Io { .. } | Error::Backend { .. } => "UNKNOWN outcome: ",
        _ => "ERR ",
    };
    Reply::error(format!("{code}{error}").replace(['\r', '\n'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Limits, MemoryEngine};

    fn set(key: &'static str, value: &'static str) -> Batch {
        let mut batch = Batch::new();
        batch.put(key, value);
        batch
    }

    /// Adds a write whose reply is `+OK`.
    fn add(pending: &mut Pending, mut changes: Batch, replies: &mut Vec<u8>) -> bool {
        let start = replies.len();
        Reply::OK.encode(Protocol::Resp2, replies);
        pending.add(&mut changes, start..replies.len())
    }

    fn engine(batch_bytes: usize) -> MemoryEngine {
        MemoryEngine::with_limits(Limits {
            value_bytes: 4,
            batch_bytes,
            ..Limits::default()
        })
    }

    #[test]
    fn all_that_is_pending_becomes_one_batch() {
        let (engine, mut pending, mut replies) = (engine(100), Pending::default(), Vec::new());
        for key in ["a", "b", "a"] {
            assert!(!add(&mut pending, set(key, key), &mut replies));
        }
        pending.submit(&engine, false);
        pending.correct(&mut replies);
        assert_eq!(engine.applied(), 1);
        assert_eq!(replies, b"+OK\r\n+OK\r\n+OK\r\n");
        // Nothing is submitted twice.
        pending.submit(&engine, false);
        assert_eq!(engine.applied(), 1);
    }

    #[test]
    fn what_is_too_large_together_is_taken_one_by_one() {
        let (engine, mut pending, mut replies) = (engine(5), Pending::default(), Vec::new());
        for key in ["a", "b", "c"] {
            add(&mut pending, set(key, "1234"), &mut replies);
        }
        pending.submit(&engine, false);
        pending.correct(&mut replies);
        assert_eq!(engine.applied(), 3);
        assert_eq!(replies, b"+OK\r\n+OK\r\n+OK\r\n");
    }

    #[test]
    fn only_the_reply_of_what_is_refused_alone_is_replaced() {
        let (engine, mut pending) = (engine(100), Pending::default());
        let mut replies = b"+before\r\n".to_vec();
        add(&mut pending, set("a", "1"), &mut replies);
        add(&mut pending, set("b", "12345"), &mut replies);
        replies.extend_from_slice(b"+between\r\n");
        add(&mut pending, set("c", "3"), &mut replies);
        add(&mut pending, set("d", "12345"), &mut replies);
        replies.extend_from_slice(b"+after\r\n");
        pending.submit(&engine, false);
        pending.correct(&mut replies);
        let refused = "-ERR the value is 5 bytes long, the limit is 4\r\n";
        assert_eq!(
            String::from_utf8(replies).unwrap(),
            format!("+before\r\n+OK\r\n{refused}+between\r\n+OK\r\n{refused}+after\r\n")
        );
        let values = engine.multi_get(&[b"a", b"b", b"c", b"d"]).unwrap();
        let there: Vec<bool> = values.iter().map(Option::is_some).collect();
        assert_eq!(there, [true, false, true, false]);
    }

    #[test]
    fn enough_changes_or_bytes_are_to_be_submitted() {
        let (mut pending, mut replies) = (Pending::default(), Vec::new());
        for _ in 1..MAX_OPS {
            assert!(!add(&mut pending, set("k", "v"), &mut replies));
        }
        assert!(add(&mut pending, set("k", "v"), &mut replies));
        pending.clear();
        let mut large = Batch::new();
        large.put("k", vec![0; MAX_BYTES]);
        assert!(add(&mut pending, large, &mut replies));
    }

    #[test]
    fn what_a_burst_left_behind_is_never_submitted() {
        let (engine, mut pending, mut replies) = (engine(100), Pending::default(), Vec::new());
        add(&mut pending, set("a", "1"), &mut replies);
        pending.clear();
        add(&mut pending, set("b", "2"), &mut replies);
        pending.submit(&engine, false);
        assert_eq!(engine.get(b"a").unwrap(), None);
        assert!(engine.get(b"b").unwrap().is_some());
    }
}
