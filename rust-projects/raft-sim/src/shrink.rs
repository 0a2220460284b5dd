//! Makes a failing run smaller: fewer events, then fewer kinds of faults, for as long as the same invariant breaks.

use crate::faults::Fault;
use crate::run::{Options, Outcome, run};

/// The smallest failing run found, and what it came to; its trace is recorded. `None` if the run does not fail.
#[must_use]
pub fn shrink(options: &Options) -> Option<(Options, Outcome)> {
    let mut best = options.clone();
    let invariant = run(&best).violation?.invariant;
    let fails = |options: &Options| {
        let outcome = run(options);
        let same = outcome.violation.as_ref()?.invariant == invariant;
        same.then_some(outcome.events)
    };
    let mut events = fails(&best)?;
    loop {
        let before = best.clone();
        // What came after the failure, or after the last fault that it needs, does not matter.
        for candidate in [events, best.events * 3 / 4, best.events / 2] {
            let fewer = Options {
                events: candidate,
                ..best.clone()
            };
            if candidate < best.events
                && let Some(seen) = fails(&fewer)
            {
                (best, events) = (fewer, seen);
            }
        }
        for &fault in Fault::ALL {
            let mut fewer = best.clone();
            if fewer.without.insert(fault)
                && let Some(seen) = fails(&fewer)
            {
                (best, events) = (fewer, seen);
            }
        }
        if best == before {
            break;
        }
    }
    best.record = true;
    let outcome = run(&best);
    Some((best, outcome))
}
