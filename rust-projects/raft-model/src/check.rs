//! Runs the checker and sums up.

use std::time::{Duration, Instant};

use stateright::report::{ReportData, ReportDiscovery, Reporter};
use stateright::{Checker, HasDiscoveries, Model};

use crate::model::{Action, RaftModel};
use crate::rules::Event;
use crate::state::State;

/// What a run saw.
pub struct Outcome {
    /// Different states.
    pub states: usize,
    /// Steps taken, also to states met before.
    pub transitions: usize,
    /// Steps from the beginning to the state farthest from it on the path taken there.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// Whether that was all there is.
    pub complete: bool,
    /// What was found broken.
    pub violation: Option<Violation>,
    counts: Vec<u64>,
}

impl Outcome {
    /// How often an event happened.
    #[must_use]
    pub fn count(&self, event: Event) -> u64 {
        self.counts[event as usize]
    }
}

/// A rule that does not hold.
pub struct Violation {
    /// Which.
    pub rule: &'static str,
    /// How to get there; the last state breaks it.
    pub path: Vec<(State, Option<Action>)>,
}

/// Goes through the states of `model`, depth first, for at most `limit`.
///
/// # Panics
/// If the code under test does.
#[must_use]
pub fn check(model: RaftModel, threads: usize, limit: Duration) -> Outcome {
    let begin = Instant::now();
    let checker = model
        .checker()
        // A single thread would never look at the clock.
        .threads(threads.max(2))
        .timeout(limit)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_dfs()
        .join_and_report(&mut Progress::default());
    let time = begin.elapsed();
    sum_up(&checker, time, time < limit)
}

/// As [`check`], breadth first and on one thread, until so many transitions were taken: needs some two gigabytes a million, but sees all that can
/// happen in so many steps, and finds the shortest path to a violation.
///
/// # Panics
/// If the code under test does.
#[must_use]
pub fn check_nearest(model: RaftModel, transitions: usize) -> Outcome {
    let begin = Instant::now();
    let checker = model
        .checker()
        .target_state_count(transitions)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join_and_report(&mut Progress::default());
    let complete = checker.state_count() < transitions;
    sum_up(&checker, begin.elapsed(), complete)
}

fn sum_up(checker: &impl Checker<RaftModel>, time: Duration, complete: bool) -> Outcome {
    let violation = checker.discoveries().into_iter().next();
    Outcome {
        states: checker.unique_state_count(),
        transitions: checker.state_count(),
        depth: checker.max_depth(),
        time,
        complete: violation.is_none() && complete,
        violation: violation.map(|(rule, path)| Violation {
            rule,
            path: path.into_vec(),
        }),
        counts: Event::ALL
            .iter()
            .map(|event| checker.model().seen.count(*event))
            .collect(),
    }
}

/// One line every ten seconds.
#[derive(Default)]
struct Progress {
    reported: u64,
}

impl Reporter<RaftModel> for Progress {
    fn report_checking(&mut self, data: ReportData) {
        let tens = data.duration.as_secs() / 10;
        if tens > self.reported {
            self.reported = tens;
            eprintln!(
                "  {:>4} s: {} states, {} transitions, depth {}",
                data.duration.as_secs(),
                data.unique_states,
                data.total_states,
                data.max_depth
            );
        }
    }

    fn report_discoveries(
        &mut self,
        _: &RaftModel,
        _: std::collections::BTreeMap<&'static str, ReportDiscovery<RaftModel>>,
    ) {
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(50)
    }
}
