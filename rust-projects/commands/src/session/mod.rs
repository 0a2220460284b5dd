//! What a connection remembers, and the commands about it.
//!
//! # What it is
//!
//! [`Session`] takes the requests of one connection in order and decides each: the reply, the effects on the data, and
//! what the connection remembers from then on (protocol, authentication, name, MULTI queue, watched keys).
//!
//! # What it guarantees
//!
//! EXEC gives one batch: all of a transaction or nothing, decided in one call against one state. It gives nothing if a
//! watched key was changed or has expired since. What a connection can make it remember is bounded.
//!
//! # What it does not
//!
//! It reads no socket and no clock, and compares no password itself: see [`Host`].
//!
//! # How it works
//!
//! ```text
//!   request -> known? -> authenticated? -> in MULTI? --- yes -> queue
//!                                             `---- no --> connection.rs, transaction.rs or execute()
//! ```

mod connection;
mod route;
mod subcommand;
mod transaction;

use bytes::Bytes;
use storage::Batch;
use wire::{Protocol, Reply};

use crate::watch::Watches;
use crate::{Command, Context, Flow, Result, WatchTable};
pub use route::Route;
use transaction::Transaction;

/// What the server does after a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Send the reply.
    Reply(Reply),
    /// Send the reply, then close the connection.
    Close(Reply),
}

impl Decision {
    /// The reply, whatever follows it.
    pub fn into_reply(self) -> Reply {
        match self {
            Self::Reply(reply) | Self::Close(reply) => reply,
        }
    }
}

/// What a session asks of its server.
pub trait Host {
    /// Whether clients must authenticate.
    fn requires_password(&self) -> bool;

    /// Whether `user` (`default` unless the client names one) may enter with `password`. Compare in constant time.
    fn authenticate(&self, user: &[u8], password: &[u8]) -> bool;

    /// The text of INFO for `sections`, in lower case; none means the default ones.
    fn info(&self, sections: &[String]) -> String;

    /// The parameters that CONFIG GET shows, with their values.
    fn config(&self) -> Vec<(&'static str, String)>;

    /// The version that HELLO reports.
    fn version(&self) -> &'static str;
}

/// What one call of [`Session::handle`] works with.
pub struct Env<'a> {
    /// The data and the time.
    pub context: Context<'a>,
    /// Takes the effects. What it holds already must be visible through `context.reader`.
    pub batch: &'a mut Batch,
    /// The keys watched by all sessions over the same data.
    pub watches: &'a mut WatchTable,
    /// The server.
    pub host: &'a dyn Host,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    id: u64,
    protocol: Protocol,
    is_authenticated: bool,
    name: Bytes,
    transaction: Option<Transaction>,
    watches: Watches,
    reads_stale: bool,
}

impl Session {
    /// A new connection; `id` is what CLIENT ID shows.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            protocol: Protocol::Resp2,
            is_authenticated: false,
            name: Bytes::new(),
            transaction: None,
            watches: Watches::default(),
            reads_stale: false,
        }
    }

    /// What CLIENT ID shows.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The protocol to encode the reply in; look after [`Session::handle`], which may change it.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether the client gave a password that was accepted.
    pub fn is_authenticated(&self) -> bool {
        self.is_authenticated
    }

    /// Whether the client is content with what a replica of the data holds, however old (READONLY). Only [`Session::route`] lets it choose so;
    /// look after it.
    pub fn reads_stale(&self) -> bool {
        self.reads_stale
    }

    /// Decides one request, its name first. Effects are appended to `env.batch` and noted in `env.watches`.
    ///
    /// # Errors
    /// As [`crate::execute`]: nothing was appended, a transaction that EXEC was to run is discarded. Send [`crate::Error::to_reply`] and go on.
    pub fn handle(&mut self, args: &[Bytes], env: &mut Env<'_>) -> Result<Decision> {
        let command = match Command::parse(args) {
            Ok(command) => command,
            Err(reply) => return Ok(self.reject(args, reply, env.watches)),
        };
        if command.flow() == Flow::Connection
            && let Err(reply) = subcommand::check(&command)
        {
            return Ok(self.reject(args, reply, env.watches));
        }
        if env.host.requires_password() && !self.is_authenticated && !is_open(command.name()) {
            let reply = Reply::error("NOAUTH Authentication required.");
            return Ok(self.reject(args, reply, env.watches));
        }
        if let Some(transaction) = &mut self.transaction
            && !transaction::is_immediate(command.name())
        {
            let reply = transaction.queue(args, env.context.limits.batch_bytes);
            return Ok(Decision::Reply(reply));
        }
        match command.name() {
            "EXEC" => self.exec(env).map(Decision::Reply),
            "QUIT" => Ok(Decision::Close(Reply::OK)),
            _ => {
                let before = env.batch.len();
                let reply = self.decide(&command, env)?;
                env.watches.touch(&env.batch.ops()[before..]);
                Ok(Decision::Reply(reply))
            }
        }
    }

    /// Ends the session: forgets what it watched. Call it when the connection closes.
    pub fn end(mut self, watches: &mut WatchTable) {
        self.watches.clear(watches);
    }

    /// Decides a command now, queued before or not.
    fn decide(&mut self, command: &Command<'_>, env: &mut Env<'_>) -> Result<Reply> {
        if command.flow() == Flow::Connection {
            self.decide_connection(command, env)
        } else {
            crate::execute(command, &env.context, env.batch)
        }
    }

    /// A request refused before it was looked at spoils the transaction it belongs to; a refused EXEC ends it.
    fn reject(&mut self, args: &[Bytes], reply: Reply, watches: &mut WatchTable) -> Decision {
        let is_exec = |name: &Bytes| name.eq_ignore_ascii_case(b"EXEC");
        if args.first().is_some_and(is_exec) {
            return Decision::Reply(self.abort_exec(&reply, watches));
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.spoil();
        }
        Decision::Reply(reply)
    }
}

/// Whether a command needs no authentication.
fn is_open(name: &str) -> bool {
    matches!(name, "AUTH" | "HELLO" | "QUIT" | "RESET")
}
