//! A TCP proxy for one direction between two nodes, which delays, cuts and breaks what passes.
//!
//! A node keeps one connection to each peer for what it has to say, so a link from A to B that is cut silences A towards B and nothing
//! else. A cut link is either *silent*, as when packets get lost: connections stay, what was sent arrives when the link is whole again; or
//! *refused*: connections end, and new ones do too.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Pieces under way in one direction of a connection; more make the sender wait, as full buffers do.
const PIECES: usize = 1024;
const PIECE_BYTES: usize = 64 << 10;

/// How a link is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Silent,
    Refused,
}

/// What a link does to what passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// How long each piece is under way.
    pub(crate) delay: Duration,
    pub(crate) cut: Option<Cut>,
    /// Connections made under another number end.
    pub(crate) break_number: u64,
}

/// A link; it ends with this value.
pub(crate) struct Link {
    /// Where whoever wants to go through connects to.
    pub(crate) addr: SocketAddr,
    rule: watch::Sender<Rule>,
}

impl Link {
    /// A link to `target`; must be called within a runtime.
    pub(crate) async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let (rule, rules) = watch::channel(Rule::default());
        tokio::spawn(accept(listener, target, rules));
        Ok(Self { addr, rule })
    }

    /// From now on this rule holds, except that connections are not broken.
    pub(crate) fn set(&self, delay: Duration, cut: Option<Cut>) {
        self.rule.send_modify(|rule| {
            rule.delay = delay;
            rule.cut = cut;
        });
    }

    /// Ends all connections there are.
    pub(crate) fn break_connections(&self) {
        self.rule.send_modify(|rule| rule.break_number += 1);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, mut rules: watch::Receiver<Rule>) {
    loop {
        tokio::select! {
            // The link is gone.
            () = closed(&mut rules) => return,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    continue;
                };
                let rules = rules.clone();
                tokio::spawn(async move {
                    // A connection that fails ends, which is all that the ends are to see.
                    let _ = carry(stream, target, rules).await;
                });
            }
        }
    }
}

async fn closed(rules: &mut watch::Receiver<Rule>) {
    while rules.changed().await.is_ok() {}
}

/// Carries one connection until an end closes it or a rule ends it.
async fn carry(
    stream: TcpStream,
    target: SocketAddr,
    rules: watch::Receiver<Rule>,
) -> io::Result<()> {
    let made_under = rules.borrow().break_number;
    let mut ends = rules.clone();
    let pass = async {
        let other = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        other.set_nodelay(true)?;
        let (from_stream, to_stream) = stream.into_split();
        let (from_other, to_other) = other.into_split();
        tokio::select! {
            there = pipe(from_stream, to_other, rules.clone()) => there,
            back = pipe(from_other, to_stream, rules) => back,
        }
    };
    let must_end = |rule: &Rule| rule.cut == Some(Cut::Refused) || rule.break_number != made_under;
    tokio::select! {
        // First: a refused connection never reaches the target.
        biased;
        _ = ends.wait_for(must_end) => Ok(()),
        passed = pass => passed,
    }
}

/// One direction, until its beginning or its end is closed.
async fn pipe(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut rules: watch::Receiver<Rule>,
) -> io::Result<()> {
    let (sender, mut receiver) = mpsc::channel(PIECES);
    let delays = rules.clone();
    let read = async move {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(PIECE_BYTES);
            if from.read_buf(&mut buffer).await? == 0 {
                return io::Result::Ok(());
            }
            let due = Instant::now() + delays.borrow().delay;
            if sender.send((due, buffer.split())).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = receiver.recv().await {
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            if rules.wait_for(|rule| rule.cut.is_none()).await.is_err() {
                return Ok(());
            }
            to.write_all(&piece).await?;
        }
        io::Result::Ok(())
    };
    tokio::try_join!(read, write).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link with both ends of a connection through it.
    async fn connected() -> (Link, TcpListener, TcpStream, TcpStream) {
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let link = Link::to(target.local_addr().unwrap()).await.unwrap();
        let mut here = TcpStream::connect(link.addr).await.unwrap();
        let (mut there, _) = target.accept().await.unwrap();
        send(&mut here, b"a").await;
        receive(&mut there, b"a").await;
        send(&mut there, b"b").await;
        receive(&mut here, b"b").await;
        (link, target, here, there)
    }

    async fn send(stream: &mut TcpStream, bytes: &[u8]) {
        stream.write_all(bytes).await.unwrap();
    }

    async fn receive(stream: &mut TcpStream, expected: &[u8]) {
        let mut found = vec![0; expected.len()];
        stream.read_exact(&mut found).await.unwrap();
        assert_eq!(found, expected);
    }

    /// Whether the connection was ended by its other end.
    async fn is_ended(stream: &mut TcpStream) -> bool {
        !matches!(stream.read(&mut [0; 1]).await, Ok(1..))
    }

    #[tokio::test]
    async fn a_silent_cut_holds_back_what_was_sent_until_the_link_is_whole_again() {
        let (link, _target, mut here, mut there) = connected().await;
        link.set(Duration::ZERO, Some(Cut::Silent));
        send(&mut here, b"late").await;
        // What is seen within this time shows a failure; that nothing is seen proves little, which the next lines make up for.
        let mut found = [0; 1];
        let early = tokio::time::timeout(Duration::from_millis(50), there.peek(&mut found)).await;
        assert!(early.is_err(), "it came through a cut link");
        link.set(Duration::ZERO, None);
        receive(&mut there, b"late").await;
    }

    #[tokio::test]
    async fn a_refused_link_ends_connections_and_takes_none_until_it_is_whole_again() {
        let (link, target, mut here, mut there) = connected().await;
        link.set(Duration::ZERO, Some(Cut::Refused));
        assert!(is_ended(&mut here).await);
        assert!(is_ended(&mut there).await);
        let mut refused = TcpStream::connect(link.addr).await.unwrap();
        assert!(is_ended(&mut refused).await);
        link.set(Duration::ZERO, None);
        let mut here = TcpStream::connect(link.addr).await.unwrap();
        send(&mut here, b"again").await;
        let (mut there, _) = target.accept().await.unwrap();
        receive(&mut there, b"again").await;
    }

    #[tokio::test]
    async fn a_broken_link_ends_the_connections_of_before_and_takes_new_ones() {
        let (link, target, mut here, _there) = connected().await;
        link.break_connections();
        assert!(is_ended(&mut here).await);
        let mut here = TcpStream::connect(link.addr).await.unwrap();
        let (mut there, _) = target.accept().await.unwrap();
        send(&mut here, b"new").await;
        receive(&mut there, b"new").await;
    }

    #[tokio::test]
    async fn a_delayed_link_delivers_in_order_and_not_before_time() {
        let (link, _target, mut here, mut there) = connected().await;
        let delay = Duration::from_millis(30);
        link.set(delay, None);
        let began = Instant::now();
        send(&mut here, b"one").await;
        send(&mut here, b"two").await;
        receive(&mut there, b"onetwo").await;
        assert!(began.elapsed() >= delay);
    }
}
