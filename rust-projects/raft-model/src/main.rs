//! `cargo run --release -p raft-model -- [SCENARIO [SECONDS]]`: goes through all states of the scenario, or of each, and says how many there were.
//! `... -- SCENARIO nearest TRANSITIONS` goes breadth first, so that a violation is shown by the shortest path.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use raft_model::scenarios::{self, Scenario};
use raft_model::{Event, Outcome, check, check_nearest};

const USAGE: &str = "usage: raft-model [SCENARIO [SECONDS | nearest TRANSITIONS]]\nscenarios:";
const DEFAULT_TIME: Duration = Duration::from_mins(10);

/// How far to go.
enum Extent {
    Time(Duration),
    Nearest(usize),
}

impl Extent {
    fn parse(arguments: &[String]) -> Option<Self> {
        match arguments {
            [] | [_] => Some(Self::Time(DEFAULT_TIME)),
            [_, seconds] => Some(Self::Time(Duration::from_secs(seconds.parse().ok()?))),
            [_, word, transitions] if word == "nearest" => {
                Some(Self::Nearest(transitions.parse().ok()?))
            }
            _ => None,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let chosen: Option<Vec<&Scenario>> = match arguments.first() {
        None => Some(scenarios::ALL.iter().collect()),
        Some(name) => scenarios::find(name).map(|scenario| vec![scenario]),
    };
    let (Some(chosen), Some(extent)) = (chosen, Extent::parse(&arguments)) else {
        eprintln!("{USAGE}");
        for scenario in scenarios::ALL {
            eprintln!("  {:<14}{}", scenario.name, scenario.about);
        }
        return ExitCode::from(2);
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut failed = false;
    for scenario in chosen {
        println!("{}: {}", scenario.name, scenario.about);
        let model = (scenario.model)();
        let outcome = match extent {
            Extent::Time(limit) => check(model, threads, limit),
            Extent::Nearest(transitions) => check_nearest(model, transitions),
        };
        report(&outcome);
        for event in scenario.meets {
            if outcome.count(*event) == 0 {
                println!("  never met: {event:?}");
                // What was cut short may meet it yet.
                failed |= outcome.complete;
            }
        }
        failed |= outcome.violation.is_some();
    }
    ExitCode::from(u8::from(failed))
}

fn report(outcome: &Outcome) {
    println!(
        "  {} states, {} transitions, depth {}, {:.1} s{}",
        outcome.states,
        outcome.transitions,
        outcome.depth,
        outcome.time.as_secs_f64(),
        if outcome.complete { ", complete" } else { "" },
    );
    let counts: Vec<_> = Event::ALL
        .iter()
        .filter(|event| outcome.count(**event) > 0)
        .map(|event| format!("{event:?} {}", outcome.count(*event)))
        .collect();
    println!("  met: {}", counts.join(", "));
    if let Some(violation) = &outcome.violation {
        println!("  VIOLATED: {}", violation.rule);
        for (state, action) in &violation.path {
            print!("{state}");
            if let Some(action) = action {
                println!("then {action:?}");
            }
        }
    }
}
