//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use bytes::Bytes;
use storage::Batch;
use wire::Reply;

use super::{Env, Session};
use crate::error::{Outcome, Stop, settle};
use crate::items::Items;
use crate::watch::watched_bytes;
use crate::{Command, Context, Overlay, Result, WatchTable, keyspace};

/// Memory that one connection may fill with what it watches.
const MAX_WATCHED_BYTES: usize = 8 << 20;
/// What a queued argument takes in memory beyond its bytes, roughly.
const ARGUMENT_OVERHEAD_BYTES: usize = 64;
/// What EXEC answers when a request was refused before it was queued.
pub(super) const SPOILED: &str = "EXECABORT Transaction discarded because of previous errors.";

/// Requests queued since MULTI.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    requests: Vec<Vec<Bytes>>,
    queued_bytes: usize,
    is_spoiled: bool,
}

impl Transaction {
    /// Keeps a request for EXEC, or spoils the transaction if all of it would take more than `max_bytes`.
    pub(super) fn queue(&mut self, args: &[Bytes], max_bytes: usize) -> Reply {
        let bytes: usize = args
            .iter()
            .map(|arg| arg.len() + ARGUMENT_OVERHEAD_BYTES)
            .sum();
        if self.queued_bytes + bytes > max_bytes {
            self.spoil();
            return too_large(max_bytes);
        }
        // A spoiled transaction will never run.
        if !self.is_spoiled {
            self.queued_bytes += bytes;
            // Copies, because an argument may be a slice of a large read buffer that it would keep alive.
            let copies = args.iter().map(|arg| Bytes::copy_from_slice(arg));
            self.requests.push(copies.collect());
        }
        Reply::Simple("QUEUED".into())
    }

    /// The requests in their order; `None` if EXEC is to refuse.
    pub(super) fn into_requests(self) -> Option<Vec<Vec<Bytes>>> {
        (!self.is_spoiled).then_some(self.requests)
    }

    /// Makes EXEC refuse.
    pub(super) fn spoil(&mut self) {
        self.is_spoiled = true;
        self.requests = Vec::new();
    }
}

/// Whether a command is decided at once also after MULTI.
pub(super) fn is_immediate(name: &str) -> bool {
    matches!(
        name,
        "EXEC" | "DISCARD" | "MULTI" | "WATCH" | "QUIT" | "RESET"
    )
}

impl Session {
    pub(super) fn multi(&mut self) -> Reply {
        if self.transaction.is_some() {
            return Reply::error("ERR MULTI calls can not be nested");
        }
        self.transaction = Some(Transaction::default());
        Reply::OK
    }

    pub(super) fn discard(&mut self, env: &mut Env<'_>) -> Reply {
        if self.transaction.take().is_none() {
            return Reply::error("ERR DISCARD without MULTI");
        }
        self.watches.clear(env.watches);
        Reply::OK
    }

    pub(super) fn watch(&mut self, keys: &[Bytes], env: &mut Env<'_>) -> Result<Reply> {
        if self.transaction.is_some() {
            return Ok(Reply::error("ERR WATCH inside MULTI is not allowed"));
        }
        let bytes: usize = keys.iter().map(|key| watched_bytes(key)).sum();
        if self.watches.bytes() + bytes > MAX_WATCHED_BYTES {
            return Ok(Reply::error(format!(
                "ERR the watched keys take more than {MAX_WATCHED_BYTES} bytes"
            )));
        }
        let Context { reader, now_ms, .. } = env.context;
        for key in keys {
            self.watches.add(env.watches, reader, key, now_ms)?;
        }
        Ok(Reply::OK)
    }

    pub(super) fn unwatch(&mut self, env: &mut Env<'_>) -> Reply {
        self.watches.clear(env.watches);
        Reply::OK
    }

    pub(super) fn exec(&mut self, env: &mut Env<'_>) -> Result<Reply> {
        let Some(transaction) = self.transaction.take() else {
            return Ok(Reply::error("ERR EXEC without MULTI"));
        };
        let holds = self.watches.hold(env.watches, env.context.now_ms);
        self.watches.clear(env.watches);
        if transaction.is_spoiled {
            return Ok(Reply::error(SPOILED));
        }
        if !holds {
            return Ok(Reply::NullArray);
        }
        // Apart from the batch of the caller, which stays as it is if one of the requests cannot be decided.
        let mut batch = Batch::new();
        let outcome = self.run_all(&transaction.requests, env, &mut batch);
        if outcome.is_ok() {
            env.watches.touch(batch.ops());
            env.batch.extend(batch);
        }
        settle(outcome)
    }

    /// EXEC itself was refused, with `reply`.
    pub(super) fn abort_exec(&mut self, reply: &Reply, watches: &mut WatchTable) -> Reply {
        self.transaction = None;
        self.watches.clear(watches);
        let reason = match reply {
            Reply::Error(message) => message.strip_prefix("ERR ").unwrap_or(message),
            _ => "",
        };
        Reply::error(format!(
            "EXECABORT Transaction discarded because of: {reason}"
        ))
    }

    /// Decides `requests`, each seeing the effects of those before. Refuses what the engine would not take in one batch,
    /// and what would be answered with more than a reply may take.
    fn run_all(
        &mut self,
        requests: &[Vec<Bytes>],
        env: &mut Env<'_>,
        batch: &mut Batch,
    ) -> Outcome {
        let mut overlay = Overlay::new(env.context.reader);
        let mut replies = Items::new(
            &env.context,
            "the replies",
            "ask for less in one transaction",
        );
        let mut batch_bytes = 0_usize;
        for args in requests {
            let before = batch.len();
            let mut inner = Env {
                context: Context {
                    reader: &overlay,
                    ..env.context
                },
                batch: &mut *batch,
                watches: &mut *env.watches,
                host: env.host,
            };
            let reply = match Command::parse(args) {
                Ok(command) => self.decide(&command, &mut inner)?,
                Err(reply) => reply,
            };
            // Both are looked at after each request: short ones such as APPEND and GET can give what is long, and many
            // would fill memory.
            replies.push(reply)?;
            let added = &batch.ops()[before..];
            batch_bytes += added.iter().map(keyspace::op_bytes).sum::<usize>();
            if batch_bytes > env.context.limits.batch_bytes {
                return Err(Stop::Refuse(too_large(env.context.limits.batch_bytes)));
            }
            overlay.apply(added);
        }
        Ok(replies.into_reply())
    }
}

fn too_large(max_bytes: usize) -> Reply {
    Reply::error(format!(
        "ERR the transaction takes more than {max_bytes} bytes"
    ))
}
