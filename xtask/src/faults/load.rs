//! The clients of a run: each asks one thing at a time, at its own pace, of a node that it changes when it fails, and now and then without need.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use history::Call;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::record::{Outcome, Recorder, Ticket, Verdicts, name, outcome};
use crate::cluster::resp::Resp;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a client waits for an answer: some give up early, the others hear what the node has to say of its own giving up.
const PATIENCE: [Duration; 2] = [Duration::from_millis(1500), Duration::from_secs(8)];
/// After a refusal or a failure.
const PAUSE: Duration = Duration::from_millis(50);
/// States that the search in a history may look at; some 50 MB.
const MAX_STATES: usize = 200_000;

/// What all tasks of a run share.
pub(crate) struct Shared {
    pub(crate) recorder: Recorder,
    /// Where clients find the nodes.
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) stop: AtomicBool,
    pub(crate) verdicts: Mutex<Verdicts>,
    /// What must not happen and did.
    violations: Mutex<Vec<String>>,
}

impl Shared {
    pub(crate) fn new(addrs: Vec<SocketAddr>) -> Self {
        Self {
            recorder: Recorder::new(),
            addrs,
            stop: AtomicBool::new(false),
            verdicts: Mutex::default(),
            violations: Mutex::default(),
        }
    }

    /// Takes note of what must not happen, and ends the run early.
    pub(crate) fn violated(&self, what: String) {
        eprintln!("faults: VIOLATION: {what}");
        let mut violations = self
            .violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        violations.push(what);
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        let violations = self
            .violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        violations.clone()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Searches the history of a key; the last verdict on it counts.
    pub(crate) fn judge(&self, key: usize, calls: &[Call], when: &str) {
        let verdict = history::search(calls, MAX_STATES);
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_violated = verdicts.add(key, verdict);
        drop(verdicts);
        if is_violated {
            self.violated(format!(
                "no order explains what was seen of {} {when}",
                name(key)
            ));
        }
    }
}

/// Runs clients until the run is stopped; together they ask so many times a second, as far as answers come.
pub(crate) async fn run(shared: Arc<Shared>, clients: usize, per_s: u32, seed: u64) {
    let pace = Duration::from_secs(1) * u32::try_from(clients).unwrap_or(u32::MAX) / per_s;
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let rng = SmallRng::seed_from_u64(seed ^ (client as u64 + 1) << 32);
        tasks.spawn(one(Arc::clone(&shared), rng, pace, PATIENCE[client % 2]));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            shared.violated(format!("a client: {error}"));
        }
    }
}

async fn one(shared: Arc<Shared>, mut rng: SmallRng, pace: Duration, patience: Duration) {
    let mut connection = None;
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset_after(pace.mul_f64(rng.random_range(0.0..1.0)));
    while !shared.is_stopped() {
        ticks.tick().await;
        if rng.random_bool(0.002) {
            connection = None;
        }
        let node = match connection.take() {
            Some(node) => node,
            None => {
                let addr = shared.addrs[rng.random_range(0..shared.addrs.len())];
                match Resp::connect(addr, CONNECT_TIMEOUT).await {
                    Ok(node) => node,
                    Err(_) => {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                }
            }
        };
        let ticket = shared.recorder.begin(&mut rng);
        let (outcome, node) = ask(&shared, node, &ticket, patience).await;
        connection = node;
        let is_good = matches!(outcome, Outcome::Told(_));
        if let Some((key, calls)) = shared.recorder.end(&ticket, outcome) {
            let shared = Arc::clone(&shared);
            tokio::task::spawn_blocking(move || shared.judge(key, &calls, "during the run"));
        }
        if !is_good {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Asks, and gives the connection back if it can be used again.
async fn ask(
    shared: &Shared,
    mut node: Resp,
    ticket: &Ticket,
    patience: Duration,
) -> (Outcome, Option<Resp>) {
    let words: Vec<_> = ticket.words.iter().map(Vec::as_slice).collect();
    let Ok(Ok(reply)) = timeout(patience, node.call(&words)).await else {
        return (Outcome::Unknown, None);
    };
    match outcome(ticket.operation, &reply) {
        // Whoever is refused, or not told, tries elsewhere.
        Ok(outcome @ Outcome::Told(_)) => (outcome, Some(node)),
        Ok(outcome) => (outcome, None),
        Err(what) => {
            shared.violated(what);
            (Outcome::Unknown, None)
        }
    }
}

/// Reads every key once more, each from one node after another, and judges all histories with that. Nothing else may be under way, and
/// all nodes must serve.
pub(crate) async fn read_all(shared: &Arc<Shared>, patience: Duration) {
    judge_all(shared, "during the run").await;
    let deadline = Instant::now() + patience;
    for key in 0..shared.recorder.keys() {
        if shared.recorder.history(key).is_empty() {
            continue;
        }
        let addr = shared.addrs[key % shared.addrs.len()];
        while !read_once(shared, addr, key).await {
            if Instant::now() > deadline {
                shared.violated(format!(
                    "{} cannot be read although all faults have ended",
                    name(key)
                ));
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    judge_all(shared, "with a read at the end").await;
}

async fn read_once(shared: &Shared, addr: SocketAddr, key: usize) -> bool {
    let Ok(node) = Resp::connect(addr, CONNECT_TIMEOUT).await else {
        return false;
    };
    let ticket = shared.recorder.begin_last_read(key);
    let (outcome, _) = ask(shared, node, &ticket, PATIENCE[1]).await;
    shared.recorder.end(&ticket, outcome);
    matches!(outcome, Outcome::Told(_))
}

/// Judges all histories as they are, on all cores.
async fn judge_all(shared: &Arc<Shared>, when: &'static str) {
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let mut tasks = JoinSet::new();
    for core in 0..cores {
        let shared = Arc::clone(shared);
        tasks.spawn_blocking(move || {
            for key in (core..shared.recorder.keys()).step_by(cores) {
                let calls = shared.recorder.history(key);
                if !calls.is_empty() {
                    shared.judge(key, &calls, when);
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            shared.violated(format!("a search: {error}"));
        }
    }
}
