//! Whether what clients saw of one key can be explained by operations that took effect one at a time, each between its call and its
//! answer (Herlihy and Wing 1990). The search is Wing and Gong's (1993) with Lowe's memory (2017) of what was tried.
//!
//! Linearizability is local: a history is linearizable if that of each key is, so keys are searched one by one. A key is left for a new
//! one after some operations, which bounds the search.

use std::collections::BTreeSet;

/// Most operations on one key: one bit each in the search.
pub(crate) const MAX_OPERATIONS: usize = 48;

/// What an operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Set to this value, which nobody else writes.
    Set(i64),
    /// Add one; gives the sum.
    Increment,
    /// What is there: 0 if nothing.
    Get,
}

/// One operation of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// What it asked for.
    pub operation: Operation,
    /// When; moments are numbered in their order.
    pub called: u64,
    /// When it was answered and what it was told (of [`Operation::Set`] nothing, 0); `None`: its outcome is not known, and it may take
    /// effect at any time from its call on, or never.
    pub returned: Option<(u64, i64)>,
}

/// What a search says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is an order that explains everything.
    Linearizable,
    /// There is none.
    Impossible,
    /// The search was given up; this says nothing.
    Inconclusive,
}

impl Operation {
    /// The state after it, and what it gives.
    fn apply(self, state: i64) -> (i64, i64) {
        match self {
            Self::Set(value) => (value, 0),
            Self::Increment => (state + 1, state + 1),
            Self::Get => (state, state),
        }
    }
}

/// Searches an order for these calls, in the order in which they were called and at most [`MAX_OPERATIONS`], on a key that holds nothing, and
/// looks at no more than so many states.
#[must_use]
pub(crate) fn search(calls: &[Call], max_states: usize) -> Verdict {
    let calls: Vec<_> = calls.iter().filter(|call| matters(call, calls)).collect();
    if calls.len() > 64 {
        return Verdict::Inconclusive;
    }
    let must: u64 = bits(&calls, |call| call.returned.is_some());
    let lost: u64 = bits(&calls, is_lost_increment);
    let mut seen = BTreeSet::from([(0_u64, 0_i64)]);
    let mut open = vec![(0_u64, 0_i64)];
    while let Some((done, state)) = open.pop() {
        if done & must == must {
            return Verdict::Linearizable;
        }
        let pending = |position: &usize| done >> position & 1 == 0;
        let returns = (0..calls.len())
            .filter(pending)
            .filter_map(|position| calls[position].returned);
        let first_return = returns.map(|(at, _)| at).min();
        for position in (0..calls.len()).filter(pending) {
            let call = calls[position];
            // What began after another had ended must come after it.
            if first_return.is_some_and(|first| first < call.called) {
                break;
            }
            // One lost increment is like another: the earliest will do.
            let earlier = (1 << position) - 1;
            if is_lost_increment(call) && lost & !done & earlier != 0 {
                continue;
            }
            let (next, told) = call.operation.apply(state);
            if call.returned.is_some_and(|(_, seen)| seen != told) {
                continue;
            }
            let found = (done | 1 << position, next);
            if seen.insert(found) {
                open.push(found);
            }
        }
        if seen.len() > max_states {
            return Verdict::Inconclusive;
        }
    }
    Verdict::Impossible
}

/// Whether a call may make a difference: one without an answer does not if it tells nothing, or wrote what nobody has seen, since it may as well
/// not have happened.
fn matters(call: &Call, calls: &[Call]) -> bool {
    let was_seen = |value| {
        let told = calls
            .iter()
            .filter_map(|call| Some((call.operation, call.returned?.1)));
        told.into_iter().any(|told| told == (Operation::Get, value))
    };
    call.returned.is_some()
        || match call.operation {
            Operation::Get => false,
            Operation::Increment => true,
            Operation::Set(value) => was_seen(value),
        }
}

fn is_lost_increment(call: &Call) -> bool {
    call.returned.is_none() && call.operation == Operation::Increment
}

fn bits(calls: &[&Call], wanted: impl Fn(&Call) -> bool) -> u64 {
    let wanted = calls.iter().enumerate().filter(|(_, call)| wanted(call));
    wanted.fold(0, |bits, (position, _)| bits | 1 << position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: Operation, called: u64, returned: Option<(u64, i64)>) -> Call {
        Call {
            operation,
            called,
            returned,
        }
    }

    const SET: Operation = Operation::Set(7);

    #[test]
    fn a_read_during_a_write_may_see_either_but_two_in_a_row_not_new_then_old() {
        for (first, second, verdict) in [
            (0, 0, Verdict::Linearizable),
            (0, 7, Verdict::Linearizable),
            (7, 7, Verdict::Linearizable),
            (7, 0, Verdict::Impossible),
        ] {
            let calls = [
                call(SET, 1, Some((9, 0))),
                call(Operation::Get, 2, Some((3, first))),
                call(Operation::Get, 4, Some((5, second))),
            ];
            assert_eq!(search(&calls, 1000), verdict, "{first} then {second}");
        }
    }

    #[test]
    fn a_read_after_an_acknowledged_write_must_see_it() {
        let write = call(SET, 1, Some((2, 0)));
        let stale = call(Operation::Get, 3, Some((4, 0)));
        assert_eq!(search(&[write, stale], 1000), Verdict::Impossible);
    }

    #[test]
    fn a_write_of_unknown_outcome_may_appear_at_any_time_or_never_but_not_vanish() {
        let write = call(SET, 1, None);
        let read = |at, value| call(Operation::Get, at, Some((at + 1, value)));
        assert_eq!(
            search(&[write, read(3, 0), read(5, 7)], 1000),
            Verdict::Linearizable
        );
        assert_eq!(search(&[write, read(3, 0)], 1000), Verdict::Linearizable);
        assert_eq!(
            search(&[write, read(3, 7), read(5, 0)], 1000),
            Verdict::Impossible
        );
    }

    #[test]
    fn an_increment_applied_twice_is_seen() {
        let increment = |at, value| call(Operation::Increment, at, Some((at + 1, value)));
        let good = [increment(1, 1), increment(3, 2)];
        assert_eq!(search(&good, 1000), Verdict::Linearizable);
        let bad = [increment(1, 1), increment(3, 3)];
        assert_eq!(search(&bad, 1000), Verdict::Impossible);
    }

    #[test]
    fn lost_increments_may_come_late_or_never_but_not_more_than_once() {
        let lost = call(Operation::Increment, 1, None);
        let read = |at, value| call(Operation::Get, at, Some((at + 1, value)));
        let late = [lost, lost, read(3, 0), read(5, 1), read(7, 2)];
        assert_eq!(search(&late, 1000), Verdict::Linearizable);
        let twice = [lost, lost, read(3, 1), read(5, 3)];
        assert_eq!(search(&twice, 1000), Verdict::Impossible);
        let too_early = [read(1, 1), call(Operation::Increment, 3, None)];
        assert_eq!(search(&too_early, 1000), Verdict::Impossible);
    }

    #[test]
    fn a_search_that_is_given_up_says_so() {
        let mut calls: Vec<_> = (0..20)
            .map(|value| call(Operation::Set(value + 1), 1, Some((100, 0))))
            .collect();
        calls.push(call(Operation::Get, 2, Some((3, 99))));
        assert_eq!(search(&calls, 1000), Verdict::Inconclusive);
    }
}
