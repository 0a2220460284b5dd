//! Histories made by a store that is linearizable pass; made wrong, they fail; and on small ones the search agrees with trying all orders.

use history::{Call, Operation, Told, Verdict, search};
use proptest::prelude::*;

const STATES: usize = 1_000_000;

/// What one operation does on a store that works, and when: its call, its effect and its answer are so far apart.
#[derive(Clone, Debug)]
struct Plan {
    kind: u8,
    before: u64,
    after: u64,
    /// Whether its outcome stays unknown, and if so whether it takes effect.
    lost: Option<bool>,
}

fn plans(kinds: std::ops::Range<u8>, longest: usize) -> impl Strategy<Value = Vec<Plan>> {
    let lost = prop_oneof![6 => Just(None), 1 => Just(Some(true)), 1 => Just(Some(false))];
    let plan = (kinds, 0..40_u64, 0..40_u64, lost).prop_map(|(kind, before, after, lost)| Plan {
        kind,
        before,
        after,
        lost,
    });
    prop::collection::vec(plan, 1..longest)
}

fn apply(operation: Operation, state: &mut Option<i64>) -> Told {
    match operation {
        Operation::Set(value) => {
            *state = Some(value);
            Told::Done
        }
        Operation::Delete => Told::Number(i64::from(state.take().is_some())),
        Operation::Increment => {
            let sum = state.unwrap_or(0) + 1;
            *state = Some(sum);
            Told::Number(sum)
        }
        Operation::Get => Told::Value(*state),
    }
}

/// What clients see of a store where these operations take effect one after another.
fn history(plans: &[Plan]) -> Vec<Call> {
    let mut state = None;
    let effects = plans.iter().enumerate().map(|(number, plan)| {
        let at = 100 + 10 * number as u64;
        let operation = match plan.kind {
            0 | 1 => Operation::Get,
            2 | 3 => Operation::Set(1 + number as i64),
            4 => Operation::Delete,
            _ => Operation::Increment,
        };
        let told = (plan.lost != Some(false)).then(|| apply(operation, &mut state));
        Call {
            operation,
            called: at - plan.before,
            returned: told
                .filter(|_| plan.lost.is_none())
                .map(|told| (at + plan.after, told)),
        }
    });
    effects.collect()
}

fn end(calls: &[Call]) -> u64 {
    let moments = calls.iter().flat_map(|call| {
        let returned = call.returned.map_or(0, |(at, _)| at);
        [call.called, returned]
    });
    moments.max().unwrap_or(0) + 1
}

fn read_at_end(calls: &mut Vec<Call>, value: Option<i64>) {
    let at = end(calls);
    calls.push(Call {
        operation: Operation::Get,
        called: at,
        returned: Some((at + 1, Told::Value(value))),
    });
}

/// Tries all orders, with nothing clever: whether some order of the calls, leaving out any of those without an answer, explains everything.
fn is_explained(calls: &[Call], done: u32, state: Option<i64>) -> bool {
    let left = |number: &usize| done >> number & 1 == 0;
    let numbers = || (0..calls.len()).filter(left);
    if numbers().all(|number| calls[number].returned.is_none()) {
        return true;
    }
    numbers().any(|number| {
        let call = calls[number];
        let mut others = numbers().filter_map(|other| calls[other].returned);
        if others.any(|(at, _)| at < call.called) {
            return false;
        }
        let mut after = state;
        let told = apply(call.operation, &mut after);
        call.returned.is_none_or(|(_, answer)| answer == told)
            && is_explained(calls, done | 1 << number, after)
    })
}

fn any_call() -> impl Strategy<Value = Call> {
    let operation = prop_oneof![
        2 => (1..4_i64).prop_map(Operation::Set),
        1 => Just(Operation::Delete),
        1 => Just(Operation::Increment),
        3 => Just(Operation::Get),
    ];
    let moments = (0..12_u64, 0..6_u64);
    (operation, moments, 0..4_i64, prop::bool::weighted(0.8)).prop_map(
        |(operation, (called, length), number, is_answered)| {
            let told = match operation {
                Operation::Set(_) => Told::Done,
                Operation::Delete => Told::Number(number % 2),
                Operation::Increment => Told::Number(1 + number % 3),
                Operation::Get => Told::Value((number > 0).then_some(number)),
            };
            Call {
                operation,
                called,
                returned: is_answered.then_some((called + length, told)),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_linearizable_register_shows_passes(plans in plans(0..5, 200)) {
        prop_assert_eq!(search(&history(&plans), STATES), Verdict::Linearizable);
    }

    #[test]
    fn what_a_linearizable_counter_shows_passes(plans in plans(0..7, 60)) {
        let plans: Vec<_> = plans.into_iter().filter(|plan| ![2, 3, 4].contains(&plan.kind)).collect();
        prop_assert_eq!(search(&history(&plans), STATES), Verdict::Linearizable);
    }

    #[test]
    fn a_value_overwritten_long_ago_is_not_read_at_the_end(plans in plans(0..5, 100)) {
        let mut calls = history(&plans);
        let mut writes = calls.iter().filter(|call| call.returned.is_some() && matches!(call.operation, Operation::Set(_)));
        let old = writes.next().copied();
        let new = writes.find(|new| old.and_then(|old| old.returned).is_some_and(|(at, _)| at < new.called));
        prop_assume!(new.is_some());
        if let Some(Call { operation: Operation::Set(value), .. }) = old {
            read_at_end(&mut calls, Some(value));
        }
        prop_assert_eq!(search(&calls, STATES), Verdict::Impossible);
    }

    #[test]
    fn an_acknowledged_write_does_not_vanish(plans in plans(0..4, 100)) {
        let mut calls = history(&plans);
        let is_write = |call: &Call| call.returned.is_some() && matches!(call.operation, Operation::Set(_));
        prop_assume!(calls.iter().any(is_write));
        read_at_end(&mut calls, None);
        prop_assert_eq!(search(&calls, STATES), Verdict::Impossible);
    }

    #[test]
    fn a_count_is_not_told_twice(plans in plans(5..7, 30), at in any::<prop::sample::Index>()) {
        let mut calls = history(&plans);
        let told: Vec<_> = calls.iter().filter(|call| call.returned.is_some()).copied().collect();
        prop_assume!(!told.is_empty());
        let again = told[at.index(told.len())];
        let moment = end(&calls);
        calls.push(Call { called: moment, returned: again.returned.map(|(_, told)| (moment + 1, told)), ..again });
        prop_assert_eq!(search(&calls, STATES), Verdict::Impossible);
    }

    #[test]
    fn the_search_agrees_with_trying_all_orders(calls in prop::collection::vec(any_call(), 1..7)) {
        let expected = if is_explained(&calls, 0, None) { Verdict::Linearizable } else { Verdict::Impossible };
        prop_assert_eq!(search(&calls, STATES), expected);
    }

    #[test]
    fn the_search_agrees_with_trying_all_orders_of_unique_values(calls in prop::collection::vec(any_call(), 1..7)) {
        let mut next = 0;
        let mut calls: Vec<_> = calls.into_iter().filter(|call| call.operation != Operation::Increment).collect();
        for call in &mut calls {
            if let Operation::Set(value) = &mut call.operation {
                next += 1;
                *value = next;
            }
        }
        let expected = if is_explained(&calls, 0, None) { Verdict::Linearizable } else { Verdict::Impossible };
        prop_assert_eq!(search(&calls, STATES), expected);
    }
}
