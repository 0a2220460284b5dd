//! The scenarios of the course's Percolator lab. Most are Hermitage's (Martin Kleppmann, 2014: "Hermitage: Testing transaction
//! isolation levels"), whose names for the anomalies are given; the others of its suite are in `hermitage.rs`.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod support;

use std::cell::Cell;
use std::rc::Rc;

use percolator::client::{AskError, ClientError, Outcome, Store};
use percolator::{
    Commit, ConflictReason, Error, Intent, Mode, Mutation, Prewrite, Refusal, Timestamp,
};
use storage::KeyRange;
use support::world::{Fate, World, divisible, read};

/// Two accounts, as most of Hermitage's tests begin.
fn two_accounts() -> World {
    let world = World::new();
    let client = world.client();
    let mut setup = client.begin().unwrap();
    setup.set("1", "10");
    setup.set("2", "20");
    assert!(setup.commit().is_committed());
    world
}

fn assert_conflict(outcome: &Outcome) {
    let Outcome::Aborted(error) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        matches!(
            error.refusal(),
            Some(Refusal::WriteConflict {
                reason: ConflictReason::Optimistic,
                ..
            })
        ),
        "{error}"
    );
}

#[test]
fn timestamps_rise_also_over_a_network_that_dies_and_recovers() {
    let world = World::new();
    let client = world.client();
    let first = client.begin().unwrap().start_ts();
    let second = client.begin().unwrap().start_ts();
    assert!(first < second);

    world.network(|_| Fate::DropRequest);
    let before_ms = world.now_ms();
    let error = client.begin().err().unwrap();
    assert!(matches!(error, ClientError::Unreachable), "{error}");
    assert_eq!(world.now_ms() - before_ms, 100 + 200 + 400);

    let recovers_at_ms = world.now_ms() + 250;
    world.network(move |message| match message.now_ms < recovers_at_ms {
        true => Fate::DropReply,
        false => Fate::Deliver,
    });
    let third = client.begin().unwrap().start_ts();
    assert!(second < third);
    assert!(world.now_ms() >= recovers_at_ms);
}

/// PMP: a predicate read sees nothing that was committed after the start.
#[test]
fn predicate_many_preceders_read_predicates() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    assert!(divisible(&mut one, 30).is_empty());

    let mut two = client.begin().unwrap();
    two.set("3", "30");
    assert!(two.commit().is_committed());

    assert!(divisible(&mut one, 3).is_empty());
    assert!(one.commit().is_committed());
}

/// PMP for a write predicate: it changes what it saw, and is refused as somebody changed that meanwhile.
#[test]
fn predicate_many_preceders_write_predicates() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    let mut two = client.begin().unwrap();
    for key in ["1", "2"] {
        let value: u64 = read(&mut one, key).parse().unwrap();
        one.set(key, (value + 10).to_string());
    }
    assert_eq!(divisible(&mut two, 20), ["2=20"]);
    two.delete("2");
    assert!(one.commit().is_committed());
    assert_conflict(&two.commit());
    assert_eq!(divisible(&mut client.begin().unwrap(), 1), ["1=20", "2=30"]);
}

/// P4: two that read and write the same key.
#[test]
fn lost_update() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    let mut two = client.begin().unwrap();
    for transaction in [&mut one, &mut two] {
        assert_eq!(read(transaction, "1"), "10");
        transaction.set("1", "11");
    }
    assert!(one.commit().is_committed());
    assert_conflict(&two.commit());
}

/// G-single: a reader sees all of a transaction or nothing.
#[test]
fn read_skew_read_only() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    assert_eq!(read(&mut one, "1"), "10");

    let mut two = client.begin().unwrap();
    assert_eq!(read(&mut two, "1"), "10");
    assert_eq!(read(&mut two, "2"), "20");
    two.set("1", "12");
    two.set("2", "18");
    assert!(two.commit().is_committed());

    assert_eq!(read(&mut one, "2"), "20");
    assert!(one.commit().is_committed());
}

/// G-single with predicates: what a condition finds does not change either.
#[test]
fn read_skew_predicate_dependencies() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    assert_eq!(divisible(&mut one, 5), ["1=10", "2=20"]);

    let mut two = client.begin().unwrap();
    two.set("1", "12");
    assert!(two.commit().is_committed());

    assert!(divisible(&mut one, 3).is_empty());
    assert!(one.commit().is_committed());
}

/// G-single with a write predicate: it would delete what is not there any more.
#[test]
fn read_skew_write_predicate() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    assert_eq!(read(&mut one, "1"), "10");

    let mut two = client.begin().unwrap();
    two.set("1", "12");
    two.set("2", "18");
    assert!(two.commit().is_committed());

    assert_eq!(divisible(&mut one, 20), ["2=20"]);
    one.delete("2");
    assert_conflict(&one.commit());
    assert_eq!(world.committed("2").unwrap(), "18");
}

/// G2-item: each writes what the other read. Snapshot isolation allows it; who must not have it sets what he read, too.
#[test]
fn write_skew_is_allowed() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    let mut two = client.begin().unwrap();
    for transaction in [&mut one, &mut two] {
        assert_eq!(read(transaction, "1"), "10");
        assert_eq!(read(transaction, "2"), "20");
    }
    one.set("1", "11");
    two.set("2", "21");
    assert!(one.commit().is_committed());
    assert!(two.commit().is_committed());
    assert_eq!(divisible(&mut client.begin().unwrap(), 1), ["1=11", "2=21"]);
}

/// G2: as write skew, with predicates. Allowed too.
#[test]
fn anti_dependency_cycles_are_allowed() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    let mut two = client.begin().unwrap();
    assert!(divisible(&mut one, 3).is_empty());
    assert!(divisible(&mut two, 3).is_empty());
    one.set("3", "30");
    two.set("4", "42");
    assert!(one.commit().is_committed());
    assert!(two.commit().is_committed());
    assert_eq!(divisible(&mut client.begin().unwrap(), 3), ["3=30", "4=42"]);
}

/// A transaction of three keys, of which the first is the primary.
fn three_keys(world: &World) -> Outcome {
    let client = world.client();
    let mut transaction = client.begin().unwrap();
    transaction.set("3", "30");
    transaction.set("4", "40");
    transaction.set("5", "50");
    transaction.commit()
}

fn assert_all_there(world: &World) {
    let client = world.client();
    let mut reader = client.begin().unwrap();
    assert_eq!(divisible(&mut reader, 1), ["3=30", "4=40", "5=50"]);
}

#[test]
fn commit_with_the_secondary_requests_dropped_is_finished_by_the_next_reader() {
    let world = World::new();
    world.network(
        |message| match message.name == "commit" && !message.commits("3") {
            true => Fate::DropRequest,
            false => Fate::Deliver,
        },
    );
    assert!(three_keys(&world).is_committed());
    assert_eq!(world.locks(), 2);

    world.reliable();
    assert_all_there(&world);
    assert_eq!(world.locks(), 0);
}

#[test]
fn commit_with_the_response_of_the_primary_dropped_is_undetermined_and_the_data_is_committed() {
    let world = World::new();
    world.network(|message| match message.commits("3") {
        true => Fate::DropReply,
        false => Fate::Deliver,
    });
    let outcome = three_keys(&world);
    assert!(matches!(outcome, Outcome::Undetermined), "{outcome:?}");

    world.reliable();
    assert_all_there(&world);
}

#[test]
fn commit_with_only_the_first_response_dropped_is_found_to_be_committed() {
    let world = World::new();
    let start_ms = world.now_ms();
    world.network(
        move |message| match message.commits("3") && message.now_ms == start_ms {
            true => Fate::DropReply,
            false => Fate::Deliver,
        },
    );
    assert!(three_keys(&world).is_committed());
    assert!(world.now_ms() > start_ms, "it was asked again");
    assert_all_there(&world);
}

#[test]
fn commit_with_the_primary_failing_leaves_nothing_visible() {
    let world = World::new();
    world.network(|message| match message.name == "commit" {
        true => Fate::DropRequest,
        false => Fate::Deliver,
    });
    // The requests were lost before they arrived, which the client cannot know.
    let outcome = three_keys(&world);
    assert!(matches!(outcome, Outcome::Undetermined), "{outcome:?}");

    world.reliable();
    let client = world.client();
    assert!(divisible(&mut client.begin().unwrap(), 1).is_empty());
    assert_eq!(world.locks(), 0);
}

#[test]
fn commit_whose_locks_were_taken_for_dead_is_refused_and_says_so() {
    let world = Rc::new(World::new());
    // Before the commit arrives, the time to live goes by and a reader comes.
    let inner = Rc::clone(&world);
    world.network(move |message| {
        if message.commits("3") {
            inner.wait(150);
            assert_eq!(read(&mut inner.client().begin().unwrap(), "3"), "-");
        }
        Fate::Deliver
    });
    let outcome = three_keys(&world);
    let Outcome::Aborted(error) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        matches!(error.refusal(), Some(Refusal::LockNotFound { .. })),
        "{error}"
    );
    world.reliable();
    assert_eq!(world.locks(), 0);
    assert!(divisible(&mut world.client().begin().unwrap(), 1).is_empty());
}

#[test]
fn a_lock_is_respected_for_its_time_to_live_and_not_for_longer() {
    let world = World::new();
    let client = world.client();
    let mut dead = client.begin().unwrap();
    dead.set("3", "dead");
    world.network(|message| match message.name {
        "prewrite" => Fate::Deliver,
        _ => Fate::DropRequest,
    });
    let start_ms = world.now_ms();
    assert!(matches!(
        dead.commit(),
        Outcome::Aborted(ClientError::Unreachable)
    ));
    assert_eq!(world.locks(), 1);
    assert!(
        world.now_ms() > start_ms + 100,
        "the client itself waited that long"
    );

    // Nobody can be told of the rollback, but a writer who comes finds out by himself.
    world.reliable();
    let mut writer = client.begin().unwrap();
    writer.set("3", "new");
    let before_ms = world.now_ms();
    assert!(writer.commit().is_committed());
    assert_eq!(world.now_ms(), before_ms, "its time was over");
}

/// The locks of a client that stands still between its two phases.
fn prewritten(world: &World, keys: &[&'static str], ttl_ms: u64) -> Timestamp {
    let start_ts = world.timestamp().unwrap();
    let mutation = |key: &&'static str| Mutation::new(*key, Intent::Put("alive".into()));
    let request = Prewrite {
        mutations: keys.iter().map(mutation).collect(),
        primary: keys[0].into(),
        start_ts,
        ttl_ms,
        txn_size: keys.len() as u64,
        min_commit_ts: start_ts.next(),
        for_update_ts: Timestamp::ZERO,
        mode: Mode::TwoPhases,
    };
    world.ask(&request).unwrap();
    start_ts
}

/// What the store says to a commit of `key`.
fn commit(
    world: &World,
    key: &'static str,
    start_ts: Timestamp,
    commit_ts: Timestamp,
) -> Result<Timestamp, Refusal> {
    let request = Commit {
        keys: vec![key.into()],
        start_ts,
        commit_ts,
        held: KeyRange::all(),
    };
    world.ask(&request).map_err(|error| match error {
        AskError::Decision(Error::Refused(refusal)) => refusal,
        other => panic!("{other}"),
    })
}

#[test]
fn a_writer_waits_for_one_who_lives() {
    let world = World::new();
    let client = world.client();
    let alive = prewritten(&world, &["3"], 250);
    let mut writer = client.begin().unwrap();
    writer.set("3", "new");
    let before_ms = world.now_ms();
    assert!(writer.commit().is_committed());
    assert_eq!(
        world.now_ms() - before_ms,
        100 + 200,
        "waits until 250 ms are over"
    );
    let late = commit(&world, "3", alive, world.timestamp().unwrap());
    assert!(matches!(late, Err(Refusal::LockNotFound { .. })));
    assert_eq!(world.committed("3").unwrap(), "new");
}

#[test]
fn a_writer_gives_up_before_one_who_lives_for_long_and_leaves_no_locks() {
    let world = World::new();
    let client = world.client();
    prewritten(&world, &["3"], 10_000);
    let mut writer = client.begin().unwrap();
    writer.set("2", "new");
    writer.set("3", "new");
    let outcome = writer.commit();
    assert!(
        matches!(outcome, Outcome::Aborted(ClientError::StaysLocked(_))),
        "{outcome:?}"
    );
    assert_eq!(world.locks(), 1, "that of the one who lives");
}

#[test]
fn a_reader_does_not_wait_for_one_who_lives_and_who_then_commits_above_it() {
    let world = two_accounts();
    let client = world.client();
    let alive = prewritten(&world, &["1", "2"], 10_000);
    let below_reader = world.timestamp().unwrap();
    let mut reader = client.begin().unwrap();
    let before_ms = world.now_ms();
    assert_eq!(read(&mut reader, "2"), "20");
    assert_eq!(divisible(&mut reader, 1), ["1=10", "2=20"]);
    assert_eq!(world.now_ms(), before_ms);

    let refused = commit(&world, "1", alive, below_reader);
    assert!(
        matches!(refused, Err(Refusal::CommitTsExpired { .. })),
        "{refused:?}"
    );
    let commit_ts = world.timestamp().unwrap();
    assert_eq!(commit(&world, "1", alive, commit_ts), Ok(commit_ts));
    assert_eq!(read(&mut reader, "1"), "10");
    let mut later = client.begin().unwrap();
    assert_eq!(read(&mut later, "2"), "alive");
}

#[test]
fn a_commit_that_a_reader_pushed_takes_a_later_timestamp() {
    let world = Rc::new(two_accounts());
    let client = world.client();
    let mut writer = client.begin().unwrap();
    writer.set("1", "11");
    // After the writer has its commit timestamp and before its commit arrives, a reader with a later one passes the lock.
    let seen = Rc::new(Cell::new(false));
    let (inner, was_seen) = (Rc::clone(&world), Rc::clone(&seen));
    world.network(move |message| {
        if message.commits("1") && !was_seen.replace(true) {
            let client = inner.client();
            let mut reader = client.begin().unwrap();
            assert_eq!(read(&mut reader, "1"), "10");
        }
        Fate::Deliver
    });
    assert!(writer.commit().is_committed());
    assert!(seen.get());
    world.reliable();
    assert_eq!(world.committed("1").unwrap(), "11");
}
