//! Lab 2C: what outlives a crash, and a network that loses and delays. `cargo test -p raft-sim --test lab_2c`

use std::time::Duration;

use raft_sim::lab::{Lab, Proposed, expect, on_seeds};
use raft_sim::{Network, Sometimes, Stepped, Stop};

/// Some time between crashes: mostly shorter than an agreement takes, sometimes longer.
fn pause(lab: &mut Lab) -> Stepped {
    let millis = if lab.random.chance(100) {
        lab.random.below(500)
    } else {
        lab.random.below(13)
    };
    lab.pass(millis)
}

#[test]
fn servers_that_restart_have_their_log() {
    on_seeds(|seed| {
        let mut lab = Lab::new(3, seed)?;
        lab.agree(3)?;
        for id in 1..=3 {
            lab.cluster.stop(id, Stop::PowerLoss);
        }
        lab.cluster.start_all()?;
        lab.agree(3)?;
        let leader = lab.leader()?;
        lab.restart(leader)?;
        lab.agree(3)?;
        let leader = lab.leader()?;
        lab.cluster.stop(leader, Stop::PowerLoss);
        lab.agree(2)?;
        lab.cluster.start(leader)?;
        lab.agree(3)?;
        let leader = lab.leader()?;
        let follower = lab.other_than(&[leader]).unwrap_or(1);
        lab.cluster.stop(follower, Stop::PowerLoss);
        lab.agree(2)?;
        lab.cluster.start(follower)?;
        lab.agree(3)?;
        lab.end().map(drop)
    });
}

#[test]
fn a_majority_made_of_other_servers_each_time_goes_on() {
    on_seeds(|seed| {
        let mut lab = Lab::new(5, seed)?;
        for _ in 0..5 {
            lab.agree(5)?;
            let leader = lab.leader()?;
            let mut lost = Vec::new();
            while lost.len() < 2 {
                lost.extend(lab.other_than(&[&[leader], &lost[..]].concat()));
            }
            lost.iter()
                .for_each(|&id| lab.cluster.stop(id, Stop::PowerLoss));
            lab.agree(3)?;
            for id in lab.on() {
                lab.cluster.stop(id, Stop::PowerLoss);
            }
            // Two that have missed something, and one that has not.
            lost.into_iter().try_for_each(|id| lab.cluster.start(id))?;
            lab.pass(500)?;
            lab.cluster.start(leader)?;
            lab.agree(3)?;
            lab.cluster.start_all()?;
        }
        lab.end().map(drop)
    });
}

#[test]
fn a_cut_off_leader_that_restarts_gives_way() {
    on_seeds(|seed| {
        let mut lab = Lab::new(3, seed)?;
        lab.agree(3)?;
        let leader = lab.leader()?;
        lab.disconnect(leader);
        lab.propose_many(leader, 3)?;
        lab.pass(50)?;
        lab.agree(2)?;
        lab.restart(leader)?;
        lab.connect(leader);
        let others = lab.other_than(&[leader]).unwrap_or(1);
        lab.cluster.stop(others, Stop::PowerLoss);
        lab.agree(2)?;
        lab.cluster.start(others)?;
        lab.agree(3)?;
        lab.end().map(drop)
    });
}

/// Figure 8 of the paper by chance: leaders crash at any moment between proposing and agreeing, just enough servers run. Returns the lab
/// and what leaders took.
fn figure_8(seed: u64, rounds: u32) -> Stepped<(Lab, u64)> {
    let mut lab = Lab::new(5, seed)?;
    let mut taken = 0;
    lab.agree(1)?;
    for _ in 0..rounds {
        let leading: Vec<_> = lab.on();
        let mut leader = None;
        for id in leading {
            if lab.propose(id)?.is_some() {
                (leader, taken) = (Some(id), taken + 1);
            }
        }
        pause(&mut lab)?;
        if let Some(leader) = leader {
            lab.cluster.stop(leader, Stop::PowerLoss);
        }
        if lab.on().len() < 3 {
            let down: Vec<_> = lab
                .cluster
                .ids()
                .filter(|&id| lab.cluster.replica(id).is_none())
                .collect();
            if let Some(id) = lab.random.pick(&down) {
                lab.cluster.start(id)?;
            }
        }
    }
    Ok((lab, taken))
}

#[test]
fn figure_8_by_chance_loses_nothing_that_was_agreed_on() {
    on_seeds(|seed| {
        let (lab, taken) = figure_8(seed, 1000)?;
        let lab = lab.end()?;
        let terms = lab.term();
        expect(taken >= 5 && terms >= 5, || {
            format!("only {taken} commands in {terms} terms: nothing was tried")
        })
    });
}

/// Commands by several clients at once on a bad network.
#[test]
fn an_unreliable_network_delays_agreement_and_no_more() {
    on_seeds(|seed| {
        let mut lab = Lab::new(5, seed)?;
        lab.cluster.network = Network::unreliable();
        for _ in 0..30 {
            let leader = lab.leader()?;
            lab.propose_many(leader, 4)?;
            lab.agree(1)?;
        }
        let lab = lab.end()?;
        let lost = lab.cluster.counters.count(Sometimes::MessageLost);
        expect(lost >= 10, || format!("only {lost} messages were lost"))
    });
}

#[test]
fn figure_8_on_an_unreliable_network_loses_nothing_that_was_agreed_on() {
    on_seeds(|seed| {
        let mut lab = Lab::new(5, seed)?;
        lab.cluster.network = Network::unreliable();
        lab.agree(1)?;
        let mut cut_off = 0;
        for round in 0..1000 {
            if round == 200 {
                lab.cluster.network.straggle = 600;
            }
            let mut leader = None;
            for id in lab.on() {
                leader = lab.propose(id)?.map(|_| id).or(leader);
            }
            pause(&mut lab)?;
            if let Some(leader) = leader
                && lab.random.chance(500)
            {
                lab.disconnect(leader);
                cut_off += 1;
            }
            if lab.on().len() < 3 {
                let on = lab.on();
                let off: Vec<_> = lab.cluster.ids().filter(|id| !on.contains(id)).collect();
                if let Some(id) = lab.random.pick(&off) {
                    lab.connect(id);
                }
            }
        }
        let lab = lab.end()?;
        let lost = lab.cluster.counters.count(Sometimes::MessageLost);
        expect(cut_off >= 5 && lost >= 10, || {
            format!("{cut_off} leaders cut off, {lost} messages lost")
        })
    });
}

/// Servers come and go while commands are proposed everywhere. What was answered must be in the log: [`Lab::end`] looks.
fn churn(seed: u64, network_is_unreliable: bool) -> Stepped {
    let mut lab = Lab::new(5, seed)?;
    if network_is_unreliable {
        lab.cluster.network = Network::unreliable();
    }
    let (mut open, mut applied) = (Vec::<Proposed>::new(), 0);
    for _ in 0..40 {
        if lab.on().len() > 2
            && lab.random.chance(250)
            && let Some(id) = lab.other_than(&[])
        {
            lab.disconnect(id);
        }
        let on = lab.on();
        let lost: Vec<_> = lab.cluster.ids().filter(|id| !on.contains(id)).collect();
        if lab.random.chance(500)
            && let Some(id) = lab.random.pick(&lost)
        {
            lab.cluster.start(id)?;
            lab.connect(id);
        }
        if lab.on().len() > 2
            && lab.random.chance(250)
            && let Some(id) = lab.other_than(&[])
        {
            lab.cluster.stop(id, Stop::PowerLoss);
        }
        for _ in 0..3 {
            for id in lab.on() {
                open.extend(lab.propose(id)?);
            }
            let waits = lab.random.between(10, 200);
            lab.pass(waits)?;
        }
        let mut unanswered = Vec::new();
        for proposed in open {
            if lab.was_applied(proposed, Duration::ZERO)? {
                applied += 1;
            } else {
                unanswered.push(proposed);
            }
        }
        open = unanswered;
        lab.pass(200)?;
    }
    lab.end()?;
    expect(applied >= 5, || {
        format!("only {applied} commands were answered")
    })
}

#[test]
fn what_was_answered_outlives_servers_that_come_and_go() {
    on_seeds(|seed| churn(seed, false));
}

#[test]
fn what_was_answered_outlives_servers_that_come_and_go_on_an_unreliable_network() {
    on_seeds(|seed| churn(seed, true));
}
