//! Requests of servers that do not decide where the request arrives: what concerns the connection is decided here, the rest
//! is handed back as commands over the data, to be decided elsewhere with [`crate::execute`].

use bytes::Bytes;
use storage::{Batch, Direction, Entries, KeyRange, Limits, Reader, Result as StorageResult};
use wire::Reply;

use super::{Decision, Env, Host, Session, is_open, subcommand, transaction};
use crate::{Command, Context, Flow, ScanCursors, WatchTable};

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// It concerned the connection, and is decided.
    Decided(Decision),
    /// Commands over the data, to be decided together, with nothing between.
    Data {
        /// The arguments of each, the name first.
        commands: Vec<Vec<Bytes>>,
        /// Whether one of them may write.
        writes: bool,
        /// Whether their replies are one array, the reply of EXEC, rather than the only one.
        is_transaction: bool,
    },
}

/// Nothing: commands about the connection read no data.
struct NoData;

impl Reader for NoData {
    fn get(&self, _: &[u8]) -> StorageResult<Option<Bytes>> {
        Ok(None)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> StorageResult<Vec<Option<Bytes>>> {
        Ok(vec![None; keys.len()])
    }

    fn scan(&self, _: &KeyRange, _: Direction) -> Entries<'_> {
        Box::new(std::iter::empty())
    }

    fn approximate_size(&self, _: &KeyRange) -> StorageResult<u64> {
        Ok(0)
    }
}

impl Session {
    /// Decides a request about the connection, and hands back one about the data. WATCH is refused: who decides elsewhere does not know what
    /// changed since. A transaction is queued here, and handed back whole by EXEC. READONLY and READWRITE are remembered, see [`Session::reads_stale`].
    pub fn route(&mut self, args: &[Bytes], host: &dyn Host) -> Route {
        let mut watches = WatchTable::new();
        let command = match Command::parse(args) {
            Ok(command) => command,
            Err(reply) => return Route::Decided(self.reject(args, reply, &mut watches)),
        };
        if command.flow() == Flow::Connection
            && let Err(reply) = subcommand::check(&command)
        {
            return Route::Decided(self.reject(args, reply, &mut watches));
        }
        if host.requires_password() && !self.is_authenticated && !is_open(command.name()) {
            let reply = Reply::error("NOAUTH Authentication required.");
            return Route::Decided(self.reject(args, reply, &mut watches));
        }
        match command.name() {
            "EXEC" => self.route_exec(),
            "QUIT" => Route::Decided(Decision::Close(Reply::OK)),
            name @ ("WATCH" | "UNWATCH") => self.not_replicated(args, name, &mut watches),
            name if self.transaction.is_some() && !transaction::is_immediate(name) => {
                if command.flow() == Flow::Connection {
                    return self.not_replicated(args, name, &mut watches);
                }
                let reply = match &mut self.transaction {
                    Some(transaction) => transaction.queue(args, Limits::default().batch_bytes),
                    None => unreachable!("looked at above"),
                };
                Route::Decided(Decision::Reply(reply))
            }
            name @ ("READONLY" | "READWRITE") => {
                self.reads_stale = name == "READONLY";
                Route::Decided(Decision::Reply(Reply::OK))
            }
            _ if command.flow() == Flow::Connection => self.route_connection(&command, host),
            _ => Route::Data {
                writes: command.is_write(),
                commands: vec![args.to_vec()],
                is_transaction: false,
            },
        }
    }

    fn not_replicated(&mut self, args: &[Bytes], name: &str, watches: &mut WatchTable) -> Route {
        let reply = match name {
            "WATCH" | "UNWATCH" => {
                Reply::error(format!("ERR {name} is not supported by a replicated store"))
            }
            _ => Reply::error(format!(
                "ERR {name} is not allowed in a transaction of a replicated store"
            )),
        };
        Route::Decided(self.reject(args, reply, watches))
    }

    fn route_exec(&mut self) -> Route {
        let decided = |reply| Route::Decided(Decision::Reply(reply));
        match self
            .transaction
            .take()
            .map(transaction::Transaction::into_requests)
        {
            None => decided(Reply::error("ERR EXEC without MULTI")),
            Some(None) => decided(Reply::error(transaction::SPOILED)),
            Some(Some(commands)) if commands.is_empty() => decided(Reply::Array(Vec::new())),
            Some(Some(commands)) => Route::Data {
                writes: commands
                    .iter()
                    .any(|args| Command::parse(args).is_ok_and(|command| command.is_write())),
                commands,
                is_transaction: true,
            },
        }
    }

    fn route_connection(&mut self, command: &Command<'_>, host: &dyn Host) -> Route {
        let cursors = ScanCursors::new(0);
        let mut env = Env {
            context: Context {
                reader: &NoData,
                now_ms: 0,
                limits: Limits::default(),
                max_reply_bytes: usize::MAX,
                cursors: &cursors,
            },
            batch: &mut Batch::new(),
            watches: &mut WatchTable::new(),
            host,
        };
        let decided = self.decide_connection(command, &mut env);
        let reply = decided.unwrap_or_else(|error| error.to_reply());
        Route::Decided(Decision::Reply(reply))
    }
}
