//! How a node shows to machines how it is: metrics and health, over HTTP.
//!
//! # What it is
//!
//! `/metrics` is a page for Prometheus ([`page`], [`text`]), `/healthz` says whether the node can serve, `/livez` whether its process does anything at all.
//! [`metrics`] is what the node counts, [`observer`] what it notices of its replica, for the log too.
//!
//! # What it guarantees
//!
//! A page comes also when the node's thread is stuck, and says so. Who asks cannot have more than one question wait for the thread, nor take
//! more than a few connections.
//!
//! # What it does not
//!
//! It asks for no password, and shows numbers only: no key, no value, no address. So it is on loopback unless that is allowed by name.

mod few;
mod metrics;
mod observer;
mod page;
mod text;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Mutex, oneshot};

use crate::access::is_local;
use crate::inbox::Inbox;
use crate::node::{Input, Report};
use crate::run::{self, RunError};
use few::Few;
pub(crate) use metrics::Metrics;
pub(crate) use observer::Observer;

/// A node that does not say how it is after this long is stuck.
const PATIENCE: Duration = Duration::from_secs(1);
/// Connections at a time.
const MAX_CONNECTIONS: usize = 64;
/// Whoever does not hear of its leader for so many election timeouts does not know it any more. A voter forgets it by itself; a learner does not.
const MAX_SILENCE: u32 = 4;

/// What the service looks at.
struct Watched {
    inbox: Inbox,
    max_silence: Duration,
    patience: Duration,
    /// The question that the node's thread has not answered.
    open: Mutex<Option<oneshot::Receiver<Report>>>,
}

/// Listens for those who want to see metrics: of this machine, or for anybody.
///
/// # Errors
/// [`RunError::MetricsNotLoopback`], [`RunError::Listen`].
pub(crate) fn listen(addr: SocketAddr, for_anybody: bool) -> Result<TcpListener, RunError> {
    if !is_local(addr.ip()) && !for_anybody {
        return Err(RunError::MetricsNotLoopback(addr));
    }
    let listener = run::listen(addr)?;
    tracing::info!(%addr, "metrics and health are shown");
    Ok(listener)
}

/// Serves until the listener fails.
///
/// # Errors
/// The listener's.
pub(crate) async fn serve(listener: TcpListener, pages: Router) -> std::io::Result<()> {
    axum::serve(Few::new(listener, MAX_CONNECTIONS), pages).await
}

/// The pages about a node.
pub(crate) fn pages(inbox: Inbox, election_timeout: Duration) -> Router {
    let watched = Arc::new(Watched {
        inbox,
        max_silence: election_timeout * MAX_SILENCE,
        patience: PATIENCE,
        open: Mutex::new(None),
    });
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(show_health))
        .route("/livez", get(async || "ok\n"))
        .with_state(watched)
}

async fn show_metrics(State(watched): State<Arc<Watched>>) -> Response {
    let report = watched.report().await;
    let page = page::render(&watched.inbox, report.as_ref());
    ([(CONTENT_TYPE, text::CONTENT_TYPE)], page).into_response()
}

async fn show_health(State(watched): State<Arc<Watched>>) -> (StatusCode, String) {
    let health = match watched.inbox.is_taken_from() {
        false => {
            Err("the node waits for the other founders of its cluster, or to be let in".to_owned())
        }
        true => health(watched.report().await.as_ref(), watched.max_silence),
    };
    match health {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

fn health(report: Option<&Report>, max_silence: Duration) -> Result<(), String> {
    let report =
        report.ok_or("the node's thread does not answer: it has stopped, or the disk is stuck")?;
    let leader = report.status.leader.ok_or("no leader is known")?;
    if report.leader_silent > max_silence {
        let silent = report.leader_silent.as_millis();
        return Err(format!(
            "node {leader} led, and was not heard of for {silent} ms"
        ));
    }
    Ok(())
}

impl Watched {
    /// What the node's thread says of itself, if it does in time.
    async fn report(&self) -> Option<Report> {
        if !self.inbox.is_taken_from() {
            return None;
        }
        tokio::time::timeout(self.patience, self.ask()).await.ok()?
    }

    async fn ask(&self) -> Option<Report> {
        let mut open = self.open.lock().await;
        // An answer that came after its asker had gone is old.
        open.take_if(|question| !matches!(question.try_recv(), Err(TryRecvError::Empty)));
        let question = open.get_or_insert_with(|| {
            let (sender, receiver) = oneshot::channel();
            self.inbox.send(Input::Report(sender));
            receiver
        });
        // Stays open if the asker goes meanwhile.
        let report = question.await.ok();
        *open = None;
        report
    }
}

#[cfg(test)]
mod tests {
    use raft::{Configuration, LogId, Role};

    use super::*;
    use crate::inbox::Bounds;
    use crate::node;

    fn report(leader: Option<u64>, silent_ms: u64) -> Report {
        Report {
            status: node::Status {
                id: 1,
                role: Role::Follower,
                term: 3,
                leader,
                last: LogId::new(3, 9),
                committed: 8,
                applied: 7,
                hash: 0,
            },
            first: 1,
            log: raft_log::Stats {
                segments: 1,
                bytes: 1000,
                live_bytes: 100,
                groups: 1,
            },
            leader_silent: Duration::from_millis(silent_ms),
            configuration: Configuration::of_voters([1, 2]),
            progress: [].into(),
        }
    }

    #[test]
    fn who_knows_a_leader_and_heard_of_it_lately_is_in_good_health() {
        let health = |report: Option<&Report>| health(report, Duration::from_millis(600));
        assert_eq!(health(Some(&report(Some(2), 600))), Ok(()));
        let why = health(Some(&report(Some(2), 601))).unwrap_err();
        assert!(why.contains("601 ms"), "a learner that is cut off: {why}");
        assert!(health(Some(&report(None, 0))).is_err());
        assert!(health(None).is_err());
    }

    #[tokio::test]
    async fn a_thread_that_is_stuck_is_asked_once_and_its_old_answer_is_not_shown() {
        let (inbox, incoming) = Inbox::new(Bounds::default());
        let watched = Watched {
            inbox,
            max_silence: Duration::ZERO,
            patience: Duration::from_millis(20),
            open: Mutex::new(None),
        };
        assert!(watched.report().await.is_none());
        assert!(incoming.next(Duration::ZERO).is_none(), "it was not asked");
        for _ in 0..3 {
            assert!(watched.report().await.is_none());
        }
        let Some(Input::Report(late)) = incoming.try_next() else {
            panic!("it was asked");
        };
        assert!(incoming.try_next().is_none(), "once");
        assert!(late.send(report(Some(1), 0)).is_ok());
        let (found, ()) = tokio::join!(watched.report(), async {
            tokio::task::yield_now().await;
            let Some(Input::Report(asked)) = incoming.try_next() else {
                panic!("it is asked anew");
            };
            assert!(asked.send(report(Some(2), 0)).is_ok());
        });
        assert_eq!(found.unwrap().status.leader, Some(2));
    }

    #[tokio::test]
    async fn a_page_without_the_threads_word_says_so_and_shows_the_rest() {
        let (inbox, _incoming) = Inbox::new(Bounds::default());
        let page = page::render(&inbox, None);
        assert!(page.contains("\nkvs_up 0\n"), "{page}");
        assert!(page.contains("\nkvs_clients 0\n"), "{page}");
        assert!(!page.contains("kvs_raft_term"), "{page}");
        let page = page::render(&inbox, Some(&report(Some(2), 1500)));
        for line in [
            "kvs_up 1",
            "kvs_raft_term 3",
            "kvs_raft_leader_id 2",
            "kvs_raft_leader_silent_seconds 1.5",
            "kvs_raft_role{role=\"follower\"} 1",
            "kvs_raft_role{role=\"leader\"} 0",
            "kvs_inbox_limit_requests{from=\"clients\"} 16384",
        ] {
            assert!(page.contains(&format!("\n{line}\n")), "{line}: {page}");
        }
    }
}
