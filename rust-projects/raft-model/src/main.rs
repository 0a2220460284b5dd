//! `cargo run --release -p raft-model -- [SCENARIO] [SECONDS]`: goes through all states of the scenario, or of each, and says how many there were.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use raft_model::scenarios::{self, Scenario};
use raft_model::{Event, Outcome, check};

const USAGE: &str = "usage: raft-model [SCENARIO [SECONDS]]\nscenarios:";
const DEFAULT_SECONDS: u64 = 600;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let chosen: Option<Vec<&Scenario>> = match arguments.first() {
        None => Some(scenarios::ALL.iter().collect()),
        Some(name) => scenarios::find(name).map(|scenario| vec![scenario]),
    };
    let seconds = arguments
        .get(1)
        .map_or(Ok(DEFAULT_SECONDS), |text| text.parse());
    let (Some(chosen), Ok(seconds), ..=2) = (chosen, seconds, arguments.len()) else {
        eprintln!("{USAGE}");
        for scenario in scenarios::ALL {
            eprintln!("  {:<14}{}", scenario.name, scenario.about);
        }
        return ExitCode::from(2);
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut failed = false;
    for scenario in chosen {
        eprintln!("{}: {}", scenario.name, scenario.about);
        let outcome = check((scenario.model)(), threads, Duration::from_secs(seconds));
        report(&outcome);
        for event in scenario.meets {
            if outcome.count(*event) == 0 {
                println!("  never met: {event:?}");
                failed = true;
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
        if outcome.complete {
            ", complete"
        } else {
            ", cut short"
        },
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
            println!(
                "{state}{}",
                action
                    .as_ref()
                    .map_or(String::new(), |action| format!("then {action:?}"))
            );
        }
    }
}
