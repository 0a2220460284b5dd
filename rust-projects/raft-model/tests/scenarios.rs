//! Every scenario as far as a few seconds go: all that can happen within so many steps of where it begins. The command in the crate's page goes
//! through all of it.

use raft_model::scenarios::{ALL, find};
use raft_model::{Event, check_nearest};

/// Some gigabytes less than the machine of whoever runs the tests has.
const TRANSITIONS: usize = 60_000;

fn holds(name: &str, meets: &[Event]) {
    let scenario = find(name).expect("a scenario of this name");
    let outcome = check_nearest((scenario.model)(), TRANSITIONS);
    let (states, depth) = (outcome.states, outcome.depth);
    println!("{name}: {states} states, up to {depth} steps from the beginning");
    if let Some(violation) = outcome.violation {
        for (state, action) in &violation.path {
            println!("{state}then {action:?}");
        }
        panic!(
            "{name}: not so: {} ({states} states, {depth} steps)",
            violation.rule
        );
    }
    for event in meets {
        assert!(
            outcome.count(*event) > 0,
            "{name}: {event:?} never happened"
        );
    }
}

macro_rules! scenarios {
    ($(fn $test:ident() = $name:literal meets $meets:expr;)*) => {
        $(#[test]
        fn $test() {
            holds($name, &$meets);
        })*

        #[test]
        fn every_scenario_has_a_test() {
            let tested = [$($name),*];
            for scenario in ALL {
                assert!(tested.contains(&scenario.name), "{} has no test", scenario.name);
            }
        }
    };
}

scenarios! {
    fn small() = "small" meets [Event::ElectedInTerm1, Event::ElectedInTerm2, Event::WriteLost, Event::Lost];
    fn two() = "two" meets [Event::ElectedInTerm1, Event::WriteLost, Event::CleanCrash];
    fn full() = "full" meets [Event::ElectedInTerm1, Event::WriteLost, Event::CleanCrash, Event::Duplicated];
    fn pre_vote() = "pre-vote" meets [Event::ElectedInTerm1, Event::Lost, Event::Duplicated];
    fn late() = "late" meets [Event::ElectedInTerm1, Event::WriteLost];
    fn lagging() = "lagging" meets [Event::ElectedInTerm2, Event::CommandCommitted, Event::WriteLost];
    fn figure_8() = "figure-8" meets [Event::ElectedLater, Event::OlderTermCommitted, Event::Truncated];
    fn joint() = "joint" meets [Event::WriteLost, Event::CleanCrash];
    fn self_removal() = "self-removal" meets [Event::ChangeCommitted, Event::SteppedDown, Event::CleanCrash];
    fn snapshot() = "snapshot" meets [Event::Installed, Event::WriteLost];
    fn old_snapshot() = "old-snapshot" meets [Event::CleanCrash];
    fn read() = "read" meets [Event::ReadAnswered, Event::ReadFailed];
}
