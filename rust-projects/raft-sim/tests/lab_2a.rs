//! Lab 2A: leader election. `cargo test -p raft-sim --test lab_2a`

use raft_sim::lab::{Lab, expect, on_seeds};

#[test]
fn a_leader_is_elected_and_stays_while_nothing_fails() {
    on_seeds(|seed| {
        let mut lab = Lab::new(3, seed)?;
        let leader = lab.leader()?;
        // Others may learn of the term a little later.
        lab.pass(100)?;
        let term = lab.term();
        expect(term >= 1, || "an election raises the term".to_owned())?;
        lab.pass(5000)?;
        expect((lab.leader()?, lab.term()) == (leader, term), || {
            format!("{leader} led term {term}; without a failure that changed")
        })?;
        lab.end().map(drop)
    });
}

#[test]
fn a_lost_leader_is_replaced_and_disturbs_nobody_when_it_is_back() {
    on_seeds(|seed| {
        let mut lab = Lab::new(3, seed)?;
        let first = lab.leader()?;
        lab.disconnect(first);
        let second = lab.leader()?;
        expect(second != first, || {
            "a server that hears nobody cannot be elected".to_owned()
        })?;
        let term = lab.term();
        lab.connect(first);
        lab.pass(2000)?;
        expect((lab.leader()?, lab.term()) == (second, term), || {
            format!("{second} led term {term} until {first} came back")
        })?;
        lab.end().map(drop)
    });
}

#[test]
fn without_a_majority_nobody_leads_and_with_one_again_somebody_does() {
    on_seeds(|seed| {
        let mut lab = Lab::new(3, seed)?;
        let leader = lab.leader()?;
        lab.disconnect(leader);
        let other = lab.leader()?;
        lab.disconnect(other);
        lab.nobody_leads()?;
        lab.connect(other);
        lab.leader()?;
        lab.connect(leader);
        lab.leader()?;
        lab.end().map(drop)
    });
}

#[test]
fn among_seven_servers_of_which_three_at_a_time_are_lost_a_leader_is_always_found() {
    on_seeds(|seed| {
        let mut lab = Lab::new(7, seed)?;
        lab.leader()?;
        for _ in 0..10 {
            let mut lost = Vec::new();
            while lost.len() < 3 {
                lost.extend(lab.other_than(&lost));
                lost.iter().for_each(|&id| lab.disconnect(id));
            }
            let leader = lab.leader()?;
            expect(!lost.contains(&leader), || {
                format!("{leader} is cut off and leads")
            })?;
            lost.iter().for_each(|&id| lab.connect(id));
        }
        lab.leader()?;
        lab.end().map(drop)
    });
}
