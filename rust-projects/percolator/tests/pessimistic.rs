//! Transactions that lock before they write, through the client.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod support;

use percolator::client::{ClientError, Outcome};
use percolator::{ConflictReason, Refusal};
use support::world::{Fate, World, read};

fn two_accounts() -> World {
    let world = World::new();
    let client = world.client();
    let mut setup = client.begin().unwrap();
    setup.set("1", "10");
    setup.set("2", "20");
    assert!(setup.commit().is_committed());
    world
}

#[test]
fn a_lock_shows_what_is_committed_now_and_the_commit_needs_no_luck() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    let mut two = client.begin().unwrap();
    two.set("1", "11");
    assert!(two.commit().is_committed());
    assert_eq!(read(&mut one, "1"), "10");
    assert_eq!(one.lock("1").unwrap().unwrap(), "11");
    one.set("1", "12");
    assert!(one.commit().is_committed());
    assert_eq!(world.committed("1").unwrap(), "12");
    assert_eq!(world.locks(), 0);
}

#[test]
fn what_is_locked_and_not_written_does_not_change_before_the_commit() {
    let world = two_accounts();
    let client = world.client();
    let mut other = client.begin().unwrap();
    let mut one = client.begin().unwrap();
    assert_eq!(one.lock("1").unwrap().unwrap(), "10");
    one.set("2", "21");
    assert!(one.commit().is_committed());
    // Write skew would be that this one commits too.
    assert_eq!(read(&mut other, "2"), "20");
    other.set("1", "11");
    let Outcome::Aborted(error) = other.commit() else {
        panic!("committed");
    };
    assert!(matches!(
        error.refusal(),
        Some(Refusal::WriteConflict {
            reason: ConflictReason::Optimistic,
            ..
        })
    ));
}

#[test]
fn readers_pass_and_writers_wait_until_the_time_of_the_holder_is_over() {
    let world = two_accounts();
    let client = world.client();
    let mut holder = client.begin().unwrap();
    holder.lock("2").unwrap();
    holder.lock("1").unwrap();
    let before_ms = world.now_ms();
    assert_eq!(read(&mut client.begin().unwrap(), "1"), "10");
    assert_eq!(world.now_ms(), before_ms);

    let mut writer = client.begin().unwrap();
    writer.set("1", "11");
    assert!(writer.commit().is_committed());
    assert_eq!(world.now_ms() - before_ms, 100 + 200);
    // Its lock on the other key, the primary, was given up with it; what it wants to write on both is refused.
    holder.set("1", "12");
    holder.set("2", "22");
    let outcome = holder.commit();
    let Outcome::Aborted(error) = &outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        matches!(
            error.refusal(),
            Some(Refusal::PessimisticLockNotFound { .. })
        ),
        "{error}"
    );
    assert_eq!(world.committed("1").unwrap(), "11");
    assert_eq!(world.committed("2").unwrap(), "20");
}

#[test]
fn two_that_wait_for_each_other_do_not_wait_for_ever() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    let mut two = client.begin().unwrap();
    one.lock("1").unwrap();
    two.lock("2").unwrap();
    // The time of the other is over before this one's patience is.
    assert_eq!(one.lock("2").unwrap().unwrap(), "20");
    two.set("2", "22");
    assert!(!two.commit().is_committed());
    one.set("2", "21");
    assert!(one.commit().is_committed());
}

#[test]
fn a_rollback_gives_the_locks_back_and_leaves_no_trace() {
    let world = two_accounts();
    let client = world.client();
    let mut one = client.begin().unwrap();
    one.lock("1").unwrap();
    one.lock("2").unwrap();
    assert_eq!(world.locks(), 2);
    one.rollback().unwrap();
    assert_eq!(world.locks(), 0);
    let before_ms = world.now_ms();
    assert_eq!(client.begin().unwrap().lock("1").unwrap().unwrap(), "10");
    assert_eq!(world.now_ms(), before_ms);

    let mut unlucky = client.begin().unwrap();
    unlucky.lock("2").unwrap();
    world.network(|_| Fate::DropRequest);
    assert!(matches!(unlucky.rollback(), Err(ClientError::Unreachable)));
}
