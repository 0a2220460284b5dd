//! Taking connections in over TLS, and saying why one was refused.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Handshakes of nodes and operators at a time: each costs a signature.
const MAX_HANDSHAKES: usize = 256;
/// A line is not written again for so long.
const LINE_PAUSE: Duration = Duration::from_secs(10);
/// Nor more than so many.
const MAX_LINES: usize = 16;

/// The other side shows that it may speak, in time.
///
/// # Errors
/// It does not.
pub(crate) async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    shaken.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long")))
}

type Incoming = ReceiverStream<io::Result<TlsStream<TcpStream>>>;

/// Connections of nodes and operators that showed a certificate. Ends when the stream is dropped.
pub(crate) fn incoming(listener: TcpListener, acceptor: TlsAcceptor) -> Incoming {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = accept(&listener, &acceptor, &sender) => {}
            () = sender.closed() => {}
        }
    });
    ReceiverStream::new(receiver)
}

async fn accept(
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
    sender: &mpsc::Sender<io::Result<TlsStream<TcpStream>>>,
) {
    let places = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let refusals = Arc::new(Throttle::default());
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // It is for whoever serves to go on or not.
                let _ = sender.send(Err(error)).await;
                continue;
            }
        };
        // Without it answers are late, not wrong.
        let _ = stream.set_nodelay(true);
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        let refusals = Arc::clone(&refusals);
        tokio::spawn(async move {
            let shaken = handshake(&acceptor, stream).await;
            drop(place);
            match shaken {
                // Nobody serves any more.
                Ok(stream) => drop(sender.send(Ok(stream)).await),
                Err(error) => refused(from, &error, &refusals),
            }
        });
    }
}

/// Says why a node or operator was turned away.
fn refused(from: SocketAddr, error: &io::Error, lines: &Throttle) {
    let why = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not speak TLS: was it started without --tls-cert?".to_owned()
        }
        Some(error) => error.to_string(),
        None => error.to_string(),
    };
    if lines.lets_through(&why) {
        tracing::warn!(%from, why, "a node or operator was turned away");
    }
}

/// Why this side and the other do not trust each other, if this side knows it to be why a request failed.
pub(crate) fn distrust(status: &Status) -> Option<String> {
    let mut next = status.source();
    while let Some(error) = next {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let found = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(found) = error.downcast_ref().or(found) {
            return Some(explained(found));
        }
        next = error.source();
    }
    None
}

/// The connection ended in the middle. The other side went away, or does not trust this one: in TLS 1.3 this side is through with the handshake before the
/// other has seen its certificate, and what it says of it gets lost.
pub(crate) fn is_cut(status: &Status) -> bool {
    // Without a source it is the other side's answer.
    status.source().is_some() && status.code() != Code::Unavailable
}

/// The same as [`distrust`], and what may be why if this side shows a certificate and the connection was cut.
pub(crate) fn suspicion(status: &Status, shows_certificate: bool) -> Option<String> {
    let may_be = || {
        (shows_certificate && is_cut(status)).then(|| {
            "it cut the connection, and its log says whether it takes this certificate".to_owned()
        })
    };
    distrust(status).or_else(may_be)
}

fn explained(error: &rustls::Error) -> String {
    match error {
        rustls::Error::AlertReceived(alert) => {
            format!("it does not take this certificate: {alert:?}")
        }
        rustls::Error::InvalidMessage(_) => "it does not speak TLS".to_owned(),
        other => format!("its certificate is not taken: {other}"),
    }
}

/// Keeps lines that are due again and again from filling the log.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<BTreeMap<String, Instant>>);

impl Throttle {
    /// Whether to write `line` now.
    pub(crate) fn lets_through(&self, line: &str) -> bool {
        // What is in it is whole at any time.
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, at| at.elapsed() < LINE_PAUSE);
        let is_due = !recent.contains_key(line) && recent.len() < MAX_LINES;
        if is_due {
            recent.insert(line.to_owned(), Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_once_in_a_while_and_not_too_many_others() {
        let lines = Throttle::default();
        assert!(lines.lets_through("a"));
        assert!(lines.lets_through("b"));
        assert!(!lines.lets_through("a"));
        let others = (0..2 * MAX_LINES).filter(|n| lines.lets_through(&n.to_string()));
        assert_eq!(others.count(), MAX_LINES - 2);
    }
}
