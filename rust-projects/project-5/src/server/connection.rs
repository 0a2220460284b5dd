//! One connection: reads requests, has them decided in bursts, sends the replies when they are safe to send.
//!
//! Memory per connection is bounded: while replies are unsent no further request is read, a burst ends after
//! [`BURST_REQUESTS`] requests or [`BURST_REPLY_BYTES`] of replies, and buffers that grew are given back when the
//! connection falls idle.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use commands::Session;
use storage::Seq;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;
use wire::{Limits, Reply, RequestParser};

use super::Shared;
use super::decider::Then;
use super::stats::add;

/// Requests decided under one lock at most.
const BURST_REQUESTS: usize = 1024;
/// A burst ends once its replies take so many bytes.
const BURST_REPLY_BYTES: usize = 1 << 20;
/// Buffers up to this size stay with an idle connection.
const IDLE_BUFFER_BYTES: usize = 4 << 10;
/// Room made for one read at most, unless a large argument is on its way.
const MAX_ROOM_BYTES: usize = 64 << 10;
/// How long and how much is read after a refusal, so that closing does not destroy the reply on its way.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 << 20;

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("nothing was sent or taken for too long")]
    Idle,
}

/// What is to be done after the replies are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// All complete requests are answered.
    Read,
    /// The burst was full; there may be more requests in the buffer.
    Decide,
    /// The client asked for the end.
    Close,
    /// The stream of requests cannot be read on.
    Refuse,
}

/// What became of the requests at hand.
struct Decided {
    requests: usize,
    /// Must be acknowledged before the replies are sent.
    position: Seq,
    next: Next,
}

pub(crate) struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
    session: Session,
    parser: RequestParser,
    /// The parser has the limits of those who need not or did authenticate.
    is_trusted: bool,
    input: BytesMut,
    output: Vec<u8>,
    room: Room,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, shared: Arc<Shared>, id: u64) -> Self {
        let is_trusted = shared.host.config.password.is_none();
        let limits = if is_trusted {
            shared.limits
        } else {
            Limits::UNAUTHENTICATED
        };
        Self {
            stream,
            session: Session::new(id),
            parser: RequestParser::new(limits),
            is_trusted,
            input: BytesMut::new(),
            output: Vec::new(),
            room: Room(IDLE_BUFFER_BYTES),
            shared,
        }
    }

    /// Serves until the client leaves, `stop` completes, or an error.
    pub(crate) async fn serve(mut self, stop: impl Future<Output = ()>) {
        let served = self.requests(pin!(stop)).await;
        if let Err(error) = served {
            tracing::debug!(id = self.session.id(), %error, "connection closed");
        }
        self.shared.decider.end(self.session);
    }

    async fn requests(
        &mut self,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), ConnectionError> {
        loop {
            let Decided {
                requests,
                position,
                mut next,
            } = self.burst();
            if !self.output.is_empty() {
                let committer = &self.shared.committer;
                // Connections that have requests at hand decide theirs first: one commit covers them all, and a client
                // that pipelines on many connections is woken once for many replies.
                if requests > 1 || !committer.has_acknowledged(position) {
                    tokio::task::yield_now().await;
                }
                if let Err(unknown) = committer.wait(position).await {
                    // None of these replies may be sent: each may speak of what is lost.
                    self.output.clear();
                    self.reply(&Reply::error(unknown.to_string()));
                    next = Next::Refuse;
                }
                self.send().await?;
            }
            // A client that never pauses must not hold up the stop.
            if self.shared.stopping.load(Ordering::Relaxed) && next != Next::Refuse {
                return Ok(());
            }
            match next {
                Next::Read => {
                    if !self.receive(stop.as_mut()).await? {
                        return Ok(());
                    }
                }
                Next::Decide => tokio::task::yield_now().await,
                Next::Close => return Ok(self.stream.shutdown().await?),
                Next::Refuse => return self.linger().await,
            }
        }
    }

    /// Decides the requests at hand and encodes their replies.
    fn burst(&mut self) -> Decided {
        let mut decided = Decided {
            requests: 0,
            position: 0,
            next: Next::Read,
        };
        // Without a complete request there is no need for the lock.
        let mut request = match self.parser.parse(&mut self.input) {
            Ok(Some(request)) => request,
            Ok(None) => return decided,
            Err(error) => {
                decided.next = self.refuse(error);
                return decided;
            }
        };
        let shared = Arc::clone(&self.shared);
        let mut burst = shared.decider.burst();
        loop {
            let then = burst.decide(
                &mut self.session,
                &request.args,
                &shared.host,
                &mut self.output,
            );
            self.parser.recycle(request);
            decided.requests += 1;
            if then == Then::Close {
                decided.next = Next::Close;
                break;
            }
            self.adjust_limits();
            if decided.requests == BURST_REQUESTS || self.output.len() >= BURST_REPLY_BYTES {
                decided.next = Next::Decide;
                break;
            }
            match self.parser.parse(&mut self.input) {
                Ok(Some(following)) => request = following,
                Ok(None) => break,
                Err(error) => {
                    decided.next = self.refuse(error);
                    break;
                }
            }
        }
        decided.position = burst.finish(&mut self.output);
        add(&shared.stats.requests, decided.requests as u64);
        decided
    }

    fn reply(&mut self, reply: &Reply) {
        reply.encode(self.session.protocol(), &mut self.output);
    }

    fn refuse(&mut self, error: wire::ProtocolError) -> Next {
        add(&self.shared.stats.protocol_errors, 1);
        if error == wire::ProtocolError::Http {
            let peer = self.stream.peer_addr().map(|addr| addr.to_string());
            tracing::warn!(
                peer = peer.unwrap_or_default(),
                "HTTP on the port of the server, possibly an attack through a browser: connection closed"
            );
        }
        self.reply(&error.to_reply());
        Next::Refuse
    }

    /// Large requests are for those who have authenticated.
    fn adjust_limits(&mut self) {
        if !self.is_trusted && self.session.is_authenticated() {
            self.parser.set_limits(self.shared.limits);
            self.is_trusted = true;
        }
    }

    /// Waits for bytes from the client; `false` at the end of the stream, or when the server stops.
    async fn receive(
        &mut self,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<bool, ConnectionError> {
        loop {
            self.make_room();
            let room = self.input.capacity() - self.input.len();
            // Tried once at first: an idle connection must not hold a buffer while it waits.
            if let Poll::Ready(read) = poll_once(self.stream.read_buf(&mut self.input)).await {
                let received = read?;
                self.room.adapt(received, room);
                add(&self.shared.stats.bytes_in, received as u64);
                return Ok(received > 0);
            }
            self.shrink();
            let stream = &self.stream;
            tokio::select! {
                biased;
                ready = poll_fn(|context| stream.poll_read_ready(context)) => ready?,
                () = stop.as_mut() => return Ok(false),
                () = timeout(self.shared.host.config.idle_timeout) => return Err(ConnectionError::Idle),
            }
        }
    }

    fn make_room(&mut self) {
        if self.input.is_empty() {
            // Takes back the memory of the requests before if they are gone, so it seldom allocates.
            self.input.reserve(self.room.0);
        } else {
            self.parser.reserve(&mut self.input);
        }
    }

    /// Gives back what an idle connection does not need.
    fn shrink(&mut self) {
        if self.input.is_empty() && self.input.capacity() > IDLE_BUFFER_BYTES {
            self.input = BytesMut::new();
        }
        if self.output.capacity() > IDLE_BUFFER_BYTES {
            self.output = Vec::new();
        }
    }

    /// Sends the output buffer.
    async fn send(&mut self) -> Result<(), ConnectionError> {
        let mut sent = 0;
        while sent < self.output.len() {
            let written = tokio::select! {
                biased;
                written = self.stream.write(&self.output[sent..]) => written?,
                () = timeout(self.shared.host.config.idle_timeout) => return Err(ConnectionError::Idle),
            };
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            sent += written;
        }
        add(&self.shared.stats.bytes_out, sent as u64);
        self.output.clear();
        Ok(())
    }

    /// Ends the stream towards the client and reads on a little: closing with unread input would reset the
    /// connection, and the reply that says why might never be seen.
    async fn linger(&mut self) -> Result<(), ConnectionError> {
        self.stream.shutdown().await?;
        self.input = BytesMut::new();
        let discard = async {
            let mut discarded = 0;
            let mut scrap = BytesMut::with_capacity(IDLE_BUFFER_BYTES);
            while discarded < LINGER_BYTES {
                scrap.clear();
                match self.stream.read_buf(&mut scrap).await {
                    Ok(0) | Err(_) => return,
                    Ok(received) => discarded += received,
                }
            }
        };
        // Late is as good as done.
        let _ = time::timeout(LINGER, discard).await;
        Ok(())
    }
}

/// Bytes of room to make for the next read of a client.
#[derive(Debug, PartialEq, Eq)]
struct Room(usize);

impl Room {
    /// More for a client whose bytes filled the room there was, less for one that left most of it empty.
    fn adapt(&mut self, received: usize, room: usize) {
        if received >= room {
            self.0 = (self.0 * 2).min(MAX_ROOM_BYTES);
        } else if received < self.0 / 4 {
            self.0 = (self.0 / 2).max(IDLE_BUFFER_BYTES);
        }
    }
}

/// One try at `future`.
async fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

async fn timeout(after: Option<Duration>) {
    match after {
        Some(after) => time::sleep(after).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_follows_what_a_client_sends_within_bounds() {
        let mut room = Room(IDLE_BUFFER_BYTES);
        for _ in 0..10 {
            let filled = room.0;
            room.adapt(filled, filled);
        }
        assert_eq!(room, Room(MAX_ROOM_BYTES));
        // Half full is left as it is.
        room.adapt(MAX_ROOM_BYTES / 2, MAX_ROOM_BYTES);
        assert_eq!(room, Room(MAX_ROOM_BYTES));
        for _ in 0..10 {
            room.adapt(100, room.0);
        }
        assert_eq!(room, Room(IDLE_BUFFER_BYTES));
    }
}
