//! What a connection remembers.

use bytes::Bytes;
use storage::Batch;
use wire::{Protocol, Reply};

use crate::{Command, Context, Flow, Result, WatchTable};

/// What the server does after a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Send the reply.
    Reply(Reply),
    /// Send the reply, then close the connection.
    Close(Reply),
}

/// What a session asks of its server.
pub trait Host {
    /// Whether clients must authenticate.
    fn requires_password(&self) -> bool;

    /// Whether `user` (`default` unless the client names one) may enter with `password`. Compare in constant time.
    fn authenticate(&self, user: &[u8], password: &[u8]) -> bool;

    /// The text of INFO for `sections`, lower case; empty for the default ones.
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
}

impl Session {
    /// A new connection; `id` is what CLIENT ID shows.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            protocol: Protocol::Resp2,
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

    /// Decides one request, its name first. Effects are appended to `env.batch` and noted in `env.watches`.
    ///
    /// # Errors
    /// As [`crate::execute`]; send [`crate::Error::to_reply`] and go on.
    pub fn handle(&mut self, args: &[Bytes], env: &mut Env<'_>) -> Result<Decision> {
        let command = match Command::parse(args) {
            Ok(command) => command,
            Err(reply) => return Ok(Decision::Reply(reply)),
        };
        if command.flow() == Flow::Connection {
            return Ok(Decision::Reply(Reply::error("ERR not yet")));
        }
        let before = env.batch.len();
        let reply = crate::execute(&command, &env.context, env.batch)?;
        env.watches.touch(&env.batch.ops()[before..]);
        Ok(Decision::Reply(reply))
    }

    /// Ends the session: forgets what it watched.
    pub fn end(self, _watches: &mut WatchTable) {}
}
