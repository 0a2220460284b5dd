//! What can be said of a history before any search: which calls cannot matter, by when an unanswered write must have happened, and what
//! no order can explain.

use std::collections::BTreeMap;

use crate::{Call, Operation, Told};

/// A history made ready for the search.
#[derive(Debug)]
pub(crate) struct Reduced {
    /// The calls that matter.
    pub(crate) calls: Vec<Call>,
    /// Whether values come from [`Operation::Set`] alone, each from one call.
    pub(crate) values_are_unique: bool,
}

/// Makes a history ready; `None` if an answer holds a value that nobody wrote.
pub(crate) fn reduce(calls: &[Call]) -> Option<Reduced> {
    let increments = calls
        .iter()
        .any(|call| call.operation == Operation::Increment);
    let mut writers: BTreeMap<i64, usize> = BTreeMap::new();
    for call in calls {
        if let Operation::Set(value) = call.operation {
            *writers.entry(value).or_default() += 1;
        }
    }
    let values_are_unique = !increments && writers.values().all(|&count| count == 1);
    let mut first_seen = BTreeMap::new();
    for (value, at) in calls.iter().filter_map(seen) {
        if !increments && !writers.contains_key(&value) {
            return None;
        }
        let first = first_seen.entry(value).or_insert(at);
        *first = at.min(*first);
    }
    let matter = calls.iter().filter(|call| {
        // Without an answer it told nobody anything.
        call.returned.is_some() || call.operation != Operation::Get
    });
    let mut calls: Vec<_> = matter.copied().collect();
    if values_are_unique {
        calls.iter_mut().for_each(|call| bound(call, &first_seen));
    }
    Some(Reduced {
        calls,
        values_are_unique,
    })
}

/// The value that a read was told, and when.
fn seen(call: &Call) -> Option<(i64, u64)> {
    match (call.operation, call.returned) {
        (Operation::Get, Some((at, Told::Value(Some(value))))) => Some((value, at)),
        _ => None,
    }
}

/// A write without an answer whose value was read, and that nobody else can have written, happened before that read ended.
fn bound(call: &mut Call, first_seen: &BTreeMap<i64, u64>) {
    if let (Operation::Set(value), None) = (call.operation, call.returned)
        && let Some(&at) = first_seen.get(&value)
    {
        call.returned = Some((at, Told::Done));
    }
}
