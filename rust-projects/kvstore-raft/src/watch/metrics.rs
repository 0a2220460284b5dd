//! What a node counts while it runs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use raft::Refused;
use replica::Answer;

use crate::inbox::Kind;

/// Upper bounds of the buckets of durations, in seconds: from a fast disk to a client's patience.
pub(crate) const BOUNDS: [f64; 14] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How long something takes.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    counts: [Counter; BOUNDS.len() + 1],
    sum_ns: Counter,
}

impl Durations {
    pub(crate) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.partition_point(|&bound| bound < seconds);
        self.counts[bucket].add(1);
        self.sum_ns
            .add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// See [`super::text::Distribution::counts`].
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.counts.iter().map(Counter::get).collect()
    }

    pub(crate) fn sum_seconds(&self) -> f64 {
        Duration::from_nanos(self.sum_ns.get()).as_secs_f64()
    }
}

/// What became of a client's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was decided; the reply may be an error of its own, such as WRONGTYPE.
    Answered,
    /// Nothing was done, as there was too much to do.
    Busy,
    /// Nothing was done, as no leader was found in time.
    NoLeader,
    /// Nothing was done, for another reason.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// Each with its name.
pub(crate) const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Answered, "answered"),
    (Outcome::Busy, "busy"),
    (Outcome::NoLeader, "no_leader"),
    (Outcome::Refused, "refused"),
    (Outcome::Unknown, "unknown"),
];

/// Each with its name.
pub(crate) const KINDS: [(Kind, &str); 3] = [
    (Kind::Write, "write"),
    (Kind::Read, "read"),
    (Kind::StaleRead, "stale_read"),
];

impl Outcome {
    pub(crate) fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Replies(_) | Answer::Done(_) | Answer::Leads(_) => Self::Answered,
            Answer::Refused(Refused::Busy) => Self::Busy,
            Answer::Refused(_) | Answer::Declined(_) | Answer::Stale => Self::Refused,
            Answer::NoLeader => Self::NoLeader,
            Answer::Unknown => Self::Unknown,
        }
    }
}

/// Requests of one kind.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    outcomes: [Counter; OUTCOMES.len()],
    pub(crate) seconds: Durations,
}

impl Requests {
    pub(crate) fn of(&self, outcome: Outcome) -> &Counter {
        &self.outcomes[outcome as usize]
    }
}

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) elections_started: Counter,
    pub(crate) elections_won: Counter,
    pub(crate) leader_changes: Counter,
    pub(crate) log_appends: Counter,
    pub(crate) log_entries: Counter,
    pub(crate) log_sync: Durations,
    /// Of writes: from the proposal, or its way to the leader, until they are applied here.
    pub(crate) commit: Durations,
    requests: [Requests; KINDS.len()],
    /// Refused at the door; of the outcomes `busy` the others were refused by this node's replica or the leader's.
    pub(crate) no_room: Counter,
    pub(crate) snapshots_delivered: Counter,
    pub(crate) snapshots_failed: Counter,
    pub(crate) snapshots_installed: Counter,
    clients: AtomicU64,
}

impl Metrics {
    pub(crate) fn requests(&self, kind: Kind) -> &Requests {
        &self.requests[kind as usize]
    }

    /// A client's request has ended.
    pub(crate) fn answered(&self, kind: Kind, answer: &Answer, took: Duration) {
        let requests = self.requests(kind);
        requests.of(Outcome::of(answer)).add(1);
        requests.seconds.observe(took);
    }

    /// A client is connected until the result is dropped.
    pub(crate) fn connected(self: std::sync::Arc<Self>) -> Connected {
        self.clients.fetch_add(1, Relaxed);
        Connected(self)
    }

    pub(crate) fn clients(&self) -> u64 {
        self.clients.load(Relaxed)
    }
}

/// See [`Metrics::connected`].
pub(crate) struct Connected(std::sync::Arc<Metrics>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_it_does_not_exceed() {
        let durations = Durations::default();
        for micros in [0, 100, 101, 1000, 5_000_000, 5_000_001] {
            durations.observe(Duration::from_micros(micros));
        }
        let counts = durations.counts();
        assert_eq!((counts[0], counts[1]), (2, 1));
        assert_eq!(counts[3], 1, "a millisecond");
        assert_eq!((counts[13], counts[14]), (1, 1));
        let sum = durations.sum_seconds();
        assert!((sum - 10.001_202).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn requests_are_counted_by_kind_and_outcome() {
        for (place, (outcome, name)) in OUTCOMES.iter().enumerate() {
            assert_eq!(*outcome as usize, place, "{name}");
        }
        for (place, (kind, name)) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, place, "{name}");
        }
        let metrics = Metrics::default();
        let busy = Answer::Refused(Refused::Busy);
        metrics.answered(Kind::Read, &busy, Duration::ZERO);
        metrics.answered(Kind::Write, &Answer::Replies(Vec::new()), Duration::ZERO);
        assert_eq!(metrics.requests(Kind::Read).of(Outcome::Busy).get(), 1);
        assert_eq!(metrics.requests(Kind::Write).of(Outcome::Busy).get(), 0);
        assert_eq!(metrics.requests(Kind::Write).of(Outcome::Answered).get(), 1);
        assert_eq!(metrics.requests(Kind::Write).seconds.counts()[0], 1);
    }

    #[test]
    fn a_client_counts_until_it_leaves() {
        let metrics = Arc::new(Metrics::default());
        let first = Arc::clone(&metrics).connected();
        let second = Arc::clone(&metrics).connected();
        assert_eq!(metrics.clients(), 2);
        drop((first, second));
        assert_eq!(metrics.clients(), 0);
    }
}
