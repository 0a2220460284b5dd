//! The RESP service: any node answers any client.
//!
//! Requests that a client pipelines are taken together as far as possible: writes that follow each other are one entry of the log, reads that follow each
//! other one question to the leader. A read waits for the writes before it, so a client sees its own writes, in order. After READONLY the
//! reads of a connection are answered from what this node has applied, without a question.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use commands::{Decision, Host, Route, Session};
use raft::Refused;
use replica::Answer;
use secrets::Secret;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use wire::{Limits, Reply, RequestParser};

use crate::access::Guard;
use crate::handshake::handshake;
use crate::node::{Inbox, Kind, Status};

/// The version of Redis whose commands these are; clients choose what to send by it.
const REDIS_VERSION: &str = "7.0.0";
/// Connections at a time.
const MAX_CONNECTIONS: usize = 10_000;
/// Commands and bytes that one entry of the log takes from a pipeline at most.
const MAX_GROUP_COMMANDS: usize = 256;
const MAX_GROUP_BYTES: usize = 1 << 20;
/// Bytes of one request at most.
const MAX_REQUEST_BYTES: usize = 16 << 20;

/// Serves clients until the listener fails.
///
/// # Errors
/// The listener's.
pub(crate) async fn serve(listener: TcpListener, inbox: Inbox, guard: Guard) -> io::Result<()> {
    let ids = Arc::new(AtomicU64::new(1));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let (stream, from) = listener.accept().await?;
        let id = ids.fetch_add(1, Ordering::Relaxed);
        let (inbox, guard) = (inbox.clone(), guard.clone());
        let connected = Arc::clone(inbox.metrics()).connected();
        tokio::spawn(async move {
            let _held = (place, connected);
            if let Err(error) = greet(stream, id, inbox, &guard).await {
                tracing::debug!(%from, %error, "a client's connection ended");
            }
        });
    }
}

async fn greet(stream: TcpStream, id: u64, inbox: Inbox, guard: &Guard) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match &guard.client_tls {
        None => Connection::new(stream, id, inbox, guard).run().await,
        Some(acceptor) => {
            let stream = handshake(acceptor, stream).await?;
            Connection::new(stream, id, inbox, guard).run().await
        }
    }
}

impl Guard {
    /// Of a client that is new.
    fn limits(&self) -> Limits {
        match self.password {
            None => limits(),
            Some(_) => Limits::UNAUTHENTICATED,
        }
    }
}

fn limits() -> Limits {
    Limits {
        max_arg_bytes: MAX_REQUEST_BYTES,
        max_request_bytes: MAX_REQUEST_BYTES,
        ..Limits::default()
    }
}

struct Connection<S> {
    stream: S,
    session: Session,
    parser: RequestParser,
    /// The parser has the limits of those who need not or did authenticate.
    is_trusted: bool,
    input: BytesMut,
    output: Vec<u8>,
    host: NodeHost,
    inbox: Inbox,
}

/// Commands of one kind that wait to be sent together.
#[derive(Default)]
struct Group {
    commands: Vec<Vec<Bytes>>,
    bytes: usize,
    kind: Kind,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(stream: S, id: u64, inbox: Inbox, guard: &Guard) -> Self {
        Self {
            stream,
            session: Session::new(id),
            parser: RequestParser::new(guard.limits()),
            is_trusted: guard.password.is_none(),
            input: BytesMut::new(),
            output: Vec::new(),
            host: NodeHost {
                password: guard.password.clone(),
                status: None,
            },
            inbox,
        }
    }

    async fn run(mut self) -> io::Result<()> {
        loop {
            let goes_on = self.answer_what_is_there().await;
            self.stream.write_all(&self.output).await?;
            // TLS holds back what the socket does not take at once.
            self.stream.flush().await?;
            self.output.clear();
            if !goes_on {
                return self.stream.shutdown().await;
            }
            self.parser.reserve(&mut self.input);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Answers all complete requests; false when the connection is to be closed.
    async fn answer_what_is_there(&mut self) -> bool {
        let mut group = Group::default();
        loop {
            let request = match self.parser.parse(&mut self.input) {
                Ok(Some(request)) => request,
                Ok(None) => {
                    self.send(&mut group).await;
                    return true;
                }
                Err(error) => {
                    self.send(&mut group).await;
                    self.reply(&error.to_reply());
                    return false;
                }
            };
            if request
                .args
                .first()
                .is_some_and(|name| name.eq_ignore_ascii_case(b"INFO"))
            {
                self.host.status = self.inbox.status().await;
            }
            match self.session.route(&request.args, &self.host) {
                Route::Data {
                    commands,
                    writes,
                    is_transaction: false,
                } => {
                    let kind = self.kind(writes);
                    if group.is_full() || group.kind != kind {
                        self.send(&mut group).await;
                    }
                    group.kind = kind;
                    group.add(commands);
                }
                Route::Data {
                    commands,
                    writes,
                    is_transaction: true,
                } => {
                    self.send(&mut group).await;
                    let answer = self.inbox.ask(commands, self.kind(writes)).await;
                    let reply = match answer {
                        Answer::Replies(replies) => Reply::Array(replies),
                        other => refusal(&other),
                    };
                    self.reply(&reply);
                }
                Route::Decided(decision) => {
                    self.send(&mut group).await;
                    let is_last = matches!(decision, Decision::Close(_));
                    self.reply(&decision.into_reply());
                    self.adjust_limits();
                    if is_last {
                        return false;
                    }
                }
            }
        }
    }

    /// What requests are that come now.
    fn kind(&self, writes: bool) -> Kind {
        match (writes, self.session.reads_stale()) {
            (true, _) => Kind::Write,
            (false, false) => Kind::Read,
            (false, true) => Kind::StaleRead,
        }
    }

    /// Sends a group, if there is one, and encodes its replies.
    async fn send(&mut self, group: &mut Group) {
        let Group { commands, kind, .. } = std::mem::take(group);
        let count = commands.len();
        if count == 0 {
            return;
        }
        match self.inbox.ask(commands, kind).await {
            Answer::Replies(replies) => replies.iter().for_each(|reply| self.reply(reply)),
            other => {
                let refusal = refusal(&other);
                for _ in 0..count {
                    self.reply(&refusal);
                }
            }
        }
    }

    /// Large requests are for those who have authenticated.
    fn adjust_limits(&mut self) {
        if !self.is_trusted && self.session.is_authenticated() {
            self.parser.set_limits(limits());
            self.is_trusted = true;
        }
    }

    fn reply(&mut self, reply: &Reply) {
        reply.encode(self.session.protocol(), &mut self.output);
    }
}

impl Group {
    fn is_full(&self) -> bool {
        self.commands.len() >= MAX_GROUP_COMMANDS || self.bytes >= MAX_GROUP_BYTES
    }

    fn add(&mut self, commands: Vec<Vec<Bytes>>) {
        self.bytes += commands.iter().flatten().map(Bytes::len).sum::<usize>();
        self.commands.extend(commands);
    }
}

/// What a client is told when its request has no reply.
fn refusal(answer: &Answer) -> Reply {
    match answer {
        Answer::Refused(Refused::Busy) => Reply::error(
            "BUSY this node or the leader has too much to do; nothing was done, try again later",
        ),
        Answer::Refused(why) => Reply::error(format!("ERR {why}; nothing was done")),
        Answer::NoLeader => Reply::error(
            "CLUSTERDOWN no leader was found in time; nothing was done, try again later",
        ),
        Answer::Replies(_)
        | Answer::Done(_)
        | Answer::Leads(_)
        | Answer::Stale
        | Answer::Declined(_)
        | Answer::Unknown => Reply::error(
            "UNKNOWN outcome: the request may have been applied, or may still be; read before you try again",
        ),
    }
}

/// What sessions ask of a node.
struct NodeHost {
    password: Option<Arc<Secret>>,
    /// As of the last INFO.
    status: Option<Status>,
}

impl Host for NodeHost {
    fn requires_password(&self) -> bool {
        self.password.is_some()
    }

    fn authenticate(&self, user: &[u8], password: &[u8]) -> bool {
        match &self.password {
            // Compared for any user, so that time does not tell whether a user exists.
            Some(expected) => expected.matches(password) & (user == b"default"),
            None => user == b"default",
        }
    }

    fn info(&self, _: &[String]) -> String {
        let mut text = format!(
            "# Server\r\nredis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\n# Raft\r\n"
        );
        if let Some(status) = self.status {
            let leader = status
                .leader
                .map_or("none".to_owned(), |leader| leader.to_string());
            let role = format!("{:?}", status.role).to_lowercase();
            for (name, value) in [
                ("raft_node", status.id.to_string()),
                ("raft_role", role),
                ("raft_term", status.term.to_string()),
                ("raft_leader", leader),
                ("raft_last_index", status.last.index.to_string()),
                ("raft_committed", status.committed.to_string()),
                ("raft_applied", status.applied.to_string()),
                ("raft_state_hash", format!("{:016x}", status.hash)),
            ] {
                text.push_str(&format!("{name}:{value}\r\n"));
            }
        }
        text
    }

    fn config(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn version(&self) -> &'static str {
        REDIS_VERSION
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::Access;
    use crate::inbox::{Bounds, Limit};
    use crate::node::Input;

    #[tokio::test(flavor = "multi_thread")]
    async fn who_finds_no_room_is_told_to_try_again_later_and_nothing_is_done() {
        let clients = Limit {
            count: 1,
            bytes: 1 << 20,
        };
        let bounds = Bounds {
            clients,
            ..Bounds::default()
        };
        let (inbox, incoming) = Inbox::new(bounds);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let guard = Access::default().guard(addr, addr).unwrap();
        tokio::spawn(serve(listener, inbox, guard));
        let mut first = TcpStream::connect(addr).await.unwrap();
        first.write_all(b"SET first x\r\n").await.unwrap();
        // The node's part, which does not answer yet.
        let next = || incoming.next(Duration::from_secs(10));
        let Some(Input::Write(request, asker)) = tokio::task::block_in_place(next) else {
            panic!("the first client's request comes");
        };
        assert_eq!(request[0][1], "first");
        let mut second = TcpStream::connect(addr).await.unwrap();
        second.write_all(b"SET second x\r\n").await.unwrap();
        let mut told = [0; 5];
        second.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"-BUSY");
        assert!(incoming.try_next().is_none());
        asker.tell(Answer::Replies(vec![Reply::OK]));
        first.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"+OK\r\n");
    }
}
