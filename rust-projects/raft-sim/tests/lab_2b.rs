//! Lab 2B: agreement on a log. `cargo test -p raft-sim --test lab_2b`

use std::time::Duration;

use raft_sim::Stepped;
use raft_sim::lab::{Lab, Proposed, expect, fail, on_seeds};

const SOON: Duration = Duration::from_secs(2);

/// All of these are answered as applied.
fn all_applied(lab: &mut Lab, proposed: &[Proposed]) -> Stepped {
    for proposed in proposed {
        let applied = lab.was_applied(*proposed, SOON)?;
        expect(applied, || format!("{proposed:?} is not applied"))?;
    }
    Ok(())
}

#[test]
fn commands_are_agreed_on_in_their_order() {
    on_seeds(|seed| {
        let mut lab = Lab::new(3, seed)?;
        let mut last = 0;
        for _ in 0..10 {
            let index = lab.agree(3)?;
            expect(index > last, || format!("entry {index} after entry {last}"))?;
            last = index;
        }
        lab.end().map(drop)
    });
}

#[test]
fn a_majority_goes_on_without_a_follower_which_catches_up() {
    on_seeds(|seed| {
        let mut lab = Lab::new(3, seed)?;
        lab.agree(3)?;
        let leader = lab.leader()?;
        let follower = lab.other_than(&[leader]).unwrap_or(1);
        lab.disconnect(follower);
        for _ in 0..4 {
            lab.agree(2)?;
        }
        lab.pass(1000)?;
        lab.agree(2)?;
        lab.connect(follower);
        for _ in 0..3 {
            lab.agree(3)?;
        }
        lab.end().map(drop)
    });
}

#[test]
fn a_minority_agrees_on_nothing() {
    on_seeds(|seed| {
        let mut lab = Lab::new(5, seed)?;
        lab.agree(5)?;
        let leader = lab.leader()?;
        let mut lost = vec![leader];
        while lost.len() < 4 {
            lost.extend(lab.other_than(&lost));
        }
        lost[1..].iter().for_each(|&id| lab.disconnect(id));
        let Some(proposed) = lab.propose(leader)? else {
            return fail("the leader does not take a command");
        };
        lab.pass(2000)?;
        let applied = lab.applied(proposed.at.index);
        expect(applied == 0, || format!("two of five applied {proposed:?}"))?;
        lost[1..].iter().for_each(|&id| lab.connect(id));
        lab.agree(5)?;
        lab.end().map(drop)
    });
}

#[test]
fn commands_proposed_at_once_are_all_applied() {
    on_seeds(|seed| {
        let mut lab = Lab::new(3, seed)?;
        lab.agree(3)?;
        let leader = lab.leader()?;
        let proposed = lab.propose_many(leader, 5)?;
        expect(proposed.len() == 5, || {
            format!("the leader took {proposed:?}")
        })?;
        let places: Vec<_> = proposed.iter().map(|p| p.at.index).collect();
        let first = places[0];
        expect(places == (first..first + 5).collect::<Vec<_>>(), || {
            format!("one after the other: {places:?}")
        })?;
        all_applied(&mut lab, &proposed)?;
        lab.end().map(drop)
    });
}

#[test]
fn what_a_cut_off_leader_took_gives_way_when_it_is_back() {
    on_seeds(|seed| {
        let mut lab = Lab::new(3, seed)?;
        lab.agree(3)?;
        let first = lab.leader()?;
        lab.disconnect(first);
        let lost = lab.propose_many(first, 3)?;
        expect(lost.len() == 3, || {
            "it does not know yet that it is alone".to_owned()
        })?;
        let agreed = lab.agree(2)?;
        expect(lost[0].at.index <= agreed, || {
            "another entry stands where the lost one did".to_owned()
        })?;
        let second = lab.leader()?;
        lab.disconnect(second);
        lab.connect(first);
        lab.agree(2)?;
        lab.connect(second);
        lab.agree(3)?;
        lab.end().map(drop)
    });
}

#[test]
fn long_logs_that_contradict_each_other_are_mended_quickly() {
    on_seeds(|seed| {
        let mut lab = Lab::new(5, seed)?;
        lab.agree(5)?;
        let all: Vec<_> = lab.on();
        // A leader and one follower take what will not be agreed on.
        let first = lab.leader()?;
        let friend = lab.other_than(&[first]).unwrap_or(1);
        let others: Vec<_> = all
            .iter()
            .copied()
            .filter(|id| ![first, friend].contains(id))
            .collect();
        others.iter().for_each(|&id| lab.disconnect(id));
        lab.propose_many(first, 50)?;
        lab.pass(200)?;
        [first, friend]
            .into_iter()
            .for_each(|id| lab.disconnect(id));
        others.iter().for_each(|&id| lab.connect(id));
        // The other three agree on as much; then their leader, with one of them, takes what will not be.
        let second = lab.leader()?;
        let agreed = lab.propose_many(second, 50)?;
        all_applied(&mut lab, &agreed)?;
        let left = lab.other_than(&[second]).unwrap_or(1);
        lab.disconnect(left);
        lab.propose_many(second, 50)?;
        lab.pass(200)?;
        // Back to the first two, with the one that was left: it alone has the agreed commands, and must lead.
        all.iter().for_each(|&id| lab.disconnect(id));
        [first, friend, left]
            .into_iter()
            .for_each(|id| lab.connect(id));
        let third = lab.leader()?;
        expect(third == left, || {
            format!("{third} leads without what was agreed on")
        })?;
        let before = lab.cluster.sent_by_all();
        let agreed = lab.propose_many(third, 50)?;
        all_applied(&mut lab, &agreed)?;
        // An entry at a time would take a hundred of them for each follower.
        let sent = lab.cluster.sent_by_all() - before;
        expect(sent < 400, || {
            format!("{sent} messages to mend two logs and agree on fifty commands")
        })?;
        all.iter().for_each(|&id| lab.connect(id));
        lab.agree(5)?;
        lab.end().map(drop)
    });
}

#[test]
fn few_messages_are_needed() {
    on_seeds(|seed| {
        let mut lab = Lab::new(3, seed)?;
        let leader = lab.leader()?;
        let elected = lab.cluster.sent_by_all();
        expect(elected <= 60, || {
            format!("{elected} messages to elect a leader")
        })?;
        lab.agree(3)?;
        let before = lab.cluster.sent_by_all();
        let proposed = lab.propose_many(leader, 10)?;
        all_applied(&mut lab, &proposed)?;
        let sent = lab.cluster.sent_by_all() - before;
        expect(sent <= 80, || {
            format!("{sent} messages to agree on ten commands")
        })?;
        lab.pass(1000)?;
        let pairs: Vec<_> = lab.on().into_iter().filter(|&id| id != leader).collect();
        let before: Vec<_> = pairs
            .iter()
            .map(|&id| lab.cluster.sent(leader, id))
            .collect();
        lab.pass(10_000)?;
        for (follower, before) in pairs.into_iter().zip(before) {
            let sent = lab.cluster.sent(leader, follower) - before;
            expect(sent <= 110, || {
                format!("{sent} messages to {follower} in ten idle seconds")
            })?;
        }
        lab.end().map(drop)
    });
}
