//! Hermitage's anomalies for snapshot isolation (Martin Kleppmann, 2014) that the lab does not have: those of lower levels. PMP, P4, G-single,
//! G2-item and G2 are in `lab.rs`.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod support;

use percolator::client::Outcome;
use storage::{Direction, KeyRange};
use support::world::{World, divisible, read};

fn two_accounts() -> World {
    let world = World::new();
    let client = world.client();
    let mut setup = client.begin().unwrap();
    setup.set("1", "10");
    setup.set("2", "20");
    assert!(setup.commit().is_committed());
    world
}

fn aborted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Aborted(_))
}

/// G0, dirty write: writes of two transactions do not mix.
#[test]
fn g0_write_cycles_do_not_happen() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    let mut two = client.begin().unwrap();
    one.set("1", "11");
    two.set("1", "12");
    one.set("2", "21");
    assert!(one.commit().is_committed());
    assert_eq!(divisible(&mut client.begin().unwrap(), 1), ["1=11", "2=21"]);
    two.set("2", "22");
    assert!(aborted(&two.commit()));
    assert_eq!(divisible(&mut client.begin().unwrap(), 1), ["1=11", "2=21"]);
}

/// G1a, aborted read: what is given up is never seen.
#[test]
fn g1a_nobody_reads_what_is_aborted() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    let mut two = client.begin().unwrap();
    let mut three = client.begin().unwrap();
    three.set("2", "21");
    one.set("1", "101");
    one.set("2", "201");
    assert_eq!(read(&mut two, "1"), "10");
    assert!(three.commit().is_committed());
    // Its first key is prewritten before the second is refused.
    assert!(aborted(&one.commit()));
    assert_eq!(read(&mut two, "1"), "10");
    assert_eq!(read(&mut client.begin().unwrap(), "1"), "10");
    assert_eq!(world.locks(), 0);
}

/// G1b, intermediate read: what is overwritten before the commit is never seen.
#[test]
fn g1b_nobody_reads_what_is_intermediate() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    let mut two = client.begin().unwrap();
    one.set("1", "101");
    assert_eq!(read(&mut two, "1"), "10");
    one.set("1", "11");
    assert!(one.commit().is_committed());
    assert_eq!(read(&mut two, "1"), "10");
    assert_eq!(read(&mut client.begin().unwrap(), "1"), "11");
}

/// G1c, circular information flow: of two that are under way neither sees the other.
#[test]
fn g1c_information_does_not_flow_in_circles() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    let mut two = client.begin().unwrap();
    one.set("1", "11");
    two.set("2", "22");
    assert_eq!(read(&mut one, "2"), "20");
    assert_eq!(read(&mut two, "1"), "10");
    assert!(one.commit().is_committed());
    assert!(two.commit().is_committed());
}

/// OTV, observed transaction vanishes: who saw a part of a transaction does not find the rest gone.
#[test]
fn otv_an_observed_transaction_does_not_vanish() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    let mut two = client.begin().unwrap();
    one.set("1", "11");
    one.set("2", "19");
    two.set("1", "12");
    assert!(one.commit().is_committed());
    let mut three = client.begin().unwrap();
    assert_eq!(read(&mut three, "1"), "11");
    two.set("2", "18");
    assert!(aborted(&two.commit()));
    assert_eq!(read(&mut three, "2"), "19");
    assert_eq!(read(&mut three, "1"), "11");
}

#[test]
fn a_transaction_reads_what_it_wrote_by_get_and_by_scan() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    one.set("0", "5");
    one.delete("1");
    one.set("3", "30");
    assert_eq!(read(&mut one, "1"), "-");
    assert_eq!(read(&mut one, "3"), "30");
    assert_eq!(divisible(&mut one, 1), ["0=5", "2=20", "3=30"]);
    let mut scan = |range: &KeyRange, direction, limit| {
        let pairs = one.scan(range, direction, limit).unwrap();
        let names: Vec<_> = pairs.iter().map(|(key, _)| key[0] as char).collect();
        names.iter().collect::<String>()
    };
    assert_eq!(scan(&KeyRange::all(), Direction::Forward, 2), "02");
    assert_eq!(scan(&KeyRange::all(), Direction::Reverse, 2), "32");
    assert_eq!(
        scan(&KeyRange::half_open("1", "3"), Direction::Forward, 9),
        "2"
    );
    assert_eq!(scan(&KeyRange::all(), Direction::Forward, 0), "");
    assert!(one.commit().is_committed());
    assert_eq!(
        divisible(&mut client.begin().unwrap(), 1),
        ["0=5", "2=20", "3=30"]
    );
}

#[test]
fn a_transaction_that_wrote_nothing_commits_without_asking_anybody() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    read(&mut one, "1");
    let asked = world.asked();
    let start_ts = one.start_ts();
    assert!(matches!(one.commit(), Outcome::Committed(at) if at == start_ts));
    assert_eq!(world.asked(), asked);
}
