//! Lab 2D: snapshots. `cargo test -p raft-sim --test lab_2d`

use raft_sim::lab::{Lab, compacting, expect, on_seeds, settings};
use raft_sim::{Network, Sometimes, Stepped, Stop};

/// A log of so many bytes is compacted.
const COMPACT_BYTES: usize = 500;

#[test]
fn logs_are_compacted_behind_what_was_applied() {
    on_seeds(|seed| {
        let mut lab = Lab::with(3, seed, compacting(settings(), COMPACT_BYTES))?;
        for _ in 0..60 {
            lab.agree(3)?;
        }
        lab.pass(1000)?;
        for id in 1..=3 {
            let bytes = lab.cluster.log_bytes(id);
            expect(bytes <= 4 * COMPACT_BYTES, || {
                format!("server {id} keeps {bytes} bytes")
            })?;
        }
        let lab = lab.end()?;
        let compacted = lab.cluster.counters.count(Sometimes::LogCompacted);
        expect(compacted >= 3, || {
            format!("logs were compacted {compacted} times")
        })
    });
}

#[derive(Clone, Copy)]
struct Hardship {
    cut_off: bool,
    unreliable: bool,
    crash: bool,
}

/// A follower, or the leader, misses so much that what it lacks is no longer in anybody's log.
fn miss_much(seed: u64, hardship: Hardship) -> Stepped {
    let mut lab = Lab::with(3, seed, compacting(settings(), COMPACT_BYTES))?;
    if hardship.unreliable {
        lab.cluster.network = Network::unreliable();
    }
    lab.agree(3)?;
    for round in 0..12 {
        let leader = lab.leader()?;
        let follower = lab.other_than(&[leader]).unwrap_or(1);
        // Every third time the leader itself.
        let victim = if round % 3 == 1 { leader } else { follower };
        if hardship.cut_off {
            lab.disconnect(victim);
            lab.agree(2)?;
        }
        if hardship.crash {
            lab.cluster.stop(victim, Stop::PowerLoss);
            lab.agree(2)?;
        }
        let commands = lab.random.between(25, 40);
        for _ in 0..commands {
            lab.agree(2)?;
        }
        lab.cluster.start(victim)?;
        lab.connect(victim);
        lab.agree(3)?;
    }
    let lab = lab.end()?;
    let installed = lab.cluster.counters.count(Sometimes::SnapshotInstalled);
    expect(installed >= 3, || {
        format!("only {installed} snapshots were installed")
    })
}

#[test]
fn a_server_that_was_cut_off_for_long_gets_a_snapshot() {
    let hardship = Hardship {
        cut_off: true,
        unreliable: false,
        crash: false,
    };
    on_seeds(|seed| miss_much(seed, hardship));
}

#[test]
fn a_server_that_was_cut_off_for_long_gets_a_snapshot_over_an_unreliable_network() {
    let hardship = Hardship {
        cut_off: true,
        unreliable: true,
        crash: false,
    };
    on_seeds(|seed| miss_much(seed, hardship));
}

#[test]
fn a_server_that_was_down_for_long_gets_a_snapshot() {
    let hardship = Hardship {
        cut_off: false,
        unreliable: false,
        crash: true,
    };
    on_seeds(|seed| miss_much(seed, hardship));
}

#[test]
fn a_server_that_was_down_for_long_gets_a_snapshot_over_an_unreliable_network() {
    let hardship = Hardship {
        cut_off: false,
        unreliable: true,
        crash: true,
    };
    on_seeds(|seed| miss_much(seed, hardship));
}

#[test]
fn servers_that_all_lose_power_begin_from_their_snapshots() {
    on_seeds(|seed| {
        let mut lab = Lab::with(3, seed, compacting(settings(), COMPACT_BYTES))?;
        for _ in 0..4 {
            for _ in 0..40 {
                lab.agree(3)?;
            }
            for id in 1..=3 {
                lab.cluster.stop(id, Stop::PowerLoss);
            }
            lab.cluster.start_all()?;
        }
        let lab = lab.end()?;
        let compacted = lab.cluster.counters.count(Sometimes::LogCompacted);
        expect(compacted >= 3, || {
            format!("logs were compacted {compacted} times")
        })
    });
}
