//! Histories that can be explained, and histories that cannot, one sentence each.

use history::{Call, Operation, Told, Verdict, search};

const STATES: usize = 100_000;

fn call(operation: Operation, called: u64, returned: Option<(u64, Told)>) -> Call {
    Call {
        operation,
        called,
        returned,
    }
}

fn set(value: i64, called: u64, returned: u64) -> Call {
    call(Operation::Set(value), called, Some((returned, Told::Done)))
}

fn get(value: impl Into<Option<i64>>, called: u64, returned: u64) -> Call {
    let told = Told::Value(value.into());
    call(Operation::Get, called, Some((returned, told)))
}

fn delete(number: i64, called: u64, returned: u64) -> Call {
    call(
        Operation::Delete,
        called,
        Some((returned, Told::Number(number))),
    )
}

fn increment(number: i64, called: u64, returned: u64) -> Call {
    call(
        Operation::Increment,
        called,
        Some((returned, Told::Number(number))),
    )
}

fn unknown(operation: Operation, called: u64) -> Call {
    call(operation, called, None)
}

#[track_caller]
fn good(calls: &[Call]) {
    assert_eq!(search(calls, STATES), Verdict::Linearizable);
}

#[track_caller]
fn bad(calls: &[Call]) {
    assert_eq!(search(calls, STATES), Verdict::Impossible);
}

#[test]
fn nothing_happened_and_that_is_fine() {
    good(&[]);
    good(&[unknown(Operation::Get, 1)]);
    good(&[unknown(Operation::Set(1), 1)]);
}

#[test]
fn a_read_after_an_acknowledged_write_must_see_it() {
    good(&[set(7, 1, 2), get(7, 3, 4)]);
    bad(&[set(7, 1, 2), get(None, 3, 4)]);
}

#[test]
fn a_read_during_a_write_may_see_either_but_two_in_a_row_not_new_then_old() {
    let reads = |first: Option<i64>, second: Option<i64>| {
        [set(7, 1, 9), get(first, 2, 3), get(second, 4, 5)]
    };
    good(&reads(None, None));
    good(&reads(None, Some(7)));
    good(&reads(Some(7), Some(7)));
    bad(&reads(Some(7), None));
}

#[test]
fn a_stale_read_is_seen() {
    let writes = [set(1, 1, 2), set(2, 3, 4)];
    good(&[writes[0], writes[1], get(2, 5, 6)]);
    bad(&[writes[0], writes[1], get(1, 5, 6)]);
}

#[test]
fn a_lost_write_is_seen_even_among_concurrent_ones() {
    // One of the two was last; nothing removes it.
    let writes = [set(1, 1, 5), set(2, 2, 6)];
    good(&[writes[0], writes[1], get(1, 7, 8)]);
    good(&[writes[0], writes[1], get(2, 7, 8)]);
    bad(&[writes[0], writes[1], get(None, 7, 8)]);
}

#[test]
fn concurrent_writes_take_one_order_for_all_readers() {
    let writes = [set(1, 1, 5), set(2, 2, 6)];
    bad(&[writes[0], writes[1], get(1, 7, 8), get(2, 9, 10)]);
}

#[test]
fn a_value_from_nowhere_is_seen() {
    bad(&[set(1, 1, 2), get(3, 3, 4)]);
    bad(&[get(3, 3, 4)]);
}

#[test]
fn a_value_read_before_its_write_was_called_is_seen() {
    bad(&[get(1, 1, 2), set(1, 3, 4)]);
    bad(&[get(1, 1, 2), unknown(Operation::Set(1), 3)]);
}

#[test]
fn operations_that_touch_are_concurrent() {
    good(&[set(1, 1, 2), get(None, 2, 3)]);
}

#[test]
fn a_write_of_unknown_outcome_may_appear_at_any_time_or_never_but_not_vanish() {
    let lost = unknown(Operation::Set(7), 1);
    good(&[lost, get(None, 3, 4), get(7, 5, 6)]);
    good(&[lost, get(None, 3, 4)]);
    bad(&[lost, get(7, 3, 4), get(None, 5, 6)]);
}

#[test]
fn a_write_of_unknown_outcome_may_overwrite_later_ones_once() {
    let lost = unknown(Operation::Set(7), 1);
    good(&[lost, set(8, 2, 3), get(8, 4, 5), get(7, 6, 7)]);
    bad(&[lost, set(8, 2, 3), get(7, 4, 5), set(9, 6, 7), get(7, 8, 9)]);
}

#[test]
fn a_removal_tells_whether_there_was_something() {
    good(&[set(1, 1, 2), delete(1, 3, 4), get(None, 5, 6)]);
    good(&[delete(0, 1, 2), set(1, 3, 4)]);
    bad(&[set(1, 1, 2), delete(0, 3, 4)]);
    bad(&[delete(1, 1, 2)]);
    bad(&[set(1, 1, 2), delete(1, 3, 4), get(1, 5, 6)]);
}

#[test]
fn a_removal_of_unknown_outcome_may_explain_an_absence_but_only_from_its_call_on() {
    let lost = |at| unknown(Operation::Delete, at);
    good(&[set(1, 1, 2), lost(3), get(1, 4, 5), get(None, 6, 7)]);
    bad(&[set(1, 1, 2), get(None, 4, 5), lost(6)]);
    bad(&[set(1, 1, 2), lost(3), get(None, 4, 5), get(1, 6, 7)]);
}

#[test]
fn a_write_that_nobody_read_may_still_be_what_was_removed() {
    let lost = unknown(Operation::Set(7), 1);
    good(&[lost, delete(1, 2, 3)]);
    bad(&[lost, delete(1, 2, 3), delete(1, 4, 5)]);
    good(&[lost, lost_set(8), delete(1, 2, 3), delete(1, 4, 5)]);
}

fn lost_set(value: i64) -> Call {
    unknown(Operation::Set(value), 1)
}

#[test]
fn an_increment_applied_twice_or_not_at_all_is_seen() {
    good(&[increment(1, 1, 2), increment(2, 3, 4)]);
    bad(&[increment(1, 1, 2), increment(3, 3, 4)]);
    bad(&[increment(1, 1, 2), increment(1, 3, 4)]);
}

#[test]
fn increments_of_unknown_outcome_may_come_late_or_never_but_each_only_once() {
    let lost = unknown(Operation::Increment, 1);
    good(&[lost, lost, get(None, 3, 4), get(1, 5, 6), get(2, 7, 8)]);
    bad(&[lost, lost, get(1, 3, 4), get(3, 5, 6)]);
    bad(&[get(1, 1, 2), unknown(Operation::Increment, 3)]);
}

#[test]
fn increments_and_writes_of_the_same_number_are_told_apart_by_their_order() {
    good(&[set(1, 1, 2), increment(2, 3, 4), set(1, 5, 6), get(1, 7, 8)]);
    bad(&[set(1, 1, 2), increment(2, 3, 4), get(1, 5, 6)]);
}

#[test]
fn calls_may_be_given_in_any_order() {
    good(&[get(7, 3, 4), set(7, 1, 2)]);
    bad(&[get(None, 3, 4), set(7, 1, 2)]);
}

#[test]
fn a_search_that_is_given_up_says_so() {
    // The last two reads contradict each other, but to see it all orders of the writes have to be tried.
    let mut calls: Vec<_> = (0..30).map(|value| set(value, 1, 100)).collect();
    calls.extend((0..30).map(|value| get(value, 1, 100)));
    calls.extend([get(0, 101, 102), get(1, 103, 104)]);
    assert_eq!(search(&calls, 1000), Verdict::Inconclusive);
}

/// A long history of a key under faults: some seven operations at a time, a tenth of unknown outcome.
#[test]
fn a_thousand_operations_are_searched_within_a_few_thousand_states() {
    let mut calls = Vec::new();
    let mut state = None;
    for number in 0..1000_i64 {
        let at = number.unsigned_abs() * 10;
        let (from, to) = (at.saturating_sub(35), at + 35);
        let is_lost = number % 10 == 3;
        match number % 2 {
            0 => calls.push(get(state, from, to)),
            _ if is_lost => calls.push(unknown(Operation::Set(number), from)),
            _ => calls.push(set(number, from, to)),
        }
        // Half of the lost ones happen.
        if number % 2 == 1 && (!is_lost || number % 20 == 3) {
            state = Some(number);
        }
    }
    assert_eq!(search(&calls, 5000), Verdict::Linearizable);
    calls.push(get(1, 20_000, 20_001));
    assert_eq!(search(&calls, 5000), Verdict::Impossible);
}
