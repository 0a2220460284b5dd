//! The search for an order.

use std::collections::{HashMap, HashSet};

use crate::events::{END, Event, Events};
use crate::reduce::{Reduced, reduce};
use crate::{Call, Operation, State, Told, Verdict};

/// Searches an order that explains these calls, in any order, on a key that holds nothing at first, and looks at no more than so many states.
///
/// A state is a set of operations that have happened and what the key holds after them; it takes a bit for each call and some fifty bytes.
#[must_use]
pub fn search(calls: &[Call], max_states: usize) -> Verdict {
    let Some(reduced) = reduce(calls) else {
        return Verdict::Impossible;
    };
    Search::new(reduced).run(max_states)
}

/// Operations without an answer that are like each other, and told nobody anything: the earliest will do for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alike {
    Increment,
    Delete,
    /// Of a value that nobody read.
    Set,
}

/// An operation that was taken.
#[derive(Debug)]
struct Taken {
    number: usize,
    before: State,
    /// Whether it could do no harm, so that there is no other choice to try in its place.
    only_choice: bool,
}

struct Search {
    calls: Vec<Call>,
    alike: Vec<Option<Alike>>,
    /// For each value that one call writes: the reads of it that were not taken yet. Empty if values are not unique.
    reads_left: HashMap<i64, usize>,
    events: Events,
    done: Vec<u64>,
    state: State,
    seen: HashSet<(Box<[u64]>, State)>,
    stack: Vec<Taken>,
}

/// What to do next.
enum Next {
    Take(Taken),
    GoBack,
}

impl Search {
    fn new(reduced: Reduced) -> Self {
        let Reduced {
            calls,
            values_are_unique,
        } = reduced;
        let mut reads_left = HashMap::new();
        for call in &calls {
            if let Some((_, Told::Value(Some(value)))) = call.returned {
                *reads_left.entry(value).or_default() += 1;
            }
        }
        let alike = calls.iter().map(|call| match call.operation {
            _ if call.returned.is_some() => None,
            Operation::Increment => Some(Alike::Increment),
            Operation::Delete => Some(Alike::Delete),
            // Unanswered writes of unique values that somebody read were given an end.
            Operation::Set(_) if values_are_unique => Some(Alike::Set),
            Operation::Set(_) | Operation::Get => None,
        });
        let alike = alike.collect();
        if !values_are_unique {
            reads_left.clear();
        }
        Self {
            events: Events::of(&calls),
            done: vec![0; calls.len().div_ceil(64)],
            state: None,
            seen: HashSet::new(),
            stack: Vec::new(),
            alike,
            reads_left,
            calls,
        }
    }

    fn run(mut self, max_states: usize) -> Verdict {
        let mut next = self.harmless().unwrap_or_else(|| self.choice(END));
        loop {
            match next {
                Next::Take(taken) => {
                    self.take(taken);
                    if self.events.all_answered_are_taken() {
                        return Verdict::Linearizable;
                    }
                    if self.seen.len() > max_states {
                        return Verdict::Inconclusive;
                    }
                    next = self.harmless().unwrap_or_else(|| self.choice(END));
                }
                Next::GoBack => {
                    let Some(taken) = self.put_back() else {
                        return match self.events.all_answered_are_taken() {
                            true => Verdict::Linearizable,
                            false => Verdict::Impossible,
                        };
                    };
                    next = match taken.only_choice {
                        true => Next::GoBack,
                        false => self.choice(self.events.call_of(taken.number)),
                    };
                }
            }
        }
    }

    /// A read that may come now and was told what is there: it changes nothing, and what is left of an order that takes it later is an order
    /// that takes it now.
    fn harmless(&self) -> Option<Next> {
        self.candidates(END)
            .find(|&number| {
                let call = &self.calls[number];
                call.operation == Operation::Get
                    && call.returned.map(|(_, told)| told) == Some(Told::Value(self.state))
            })
            .map(|number| {
                Next::Take(Taken {
                    number,
                    before: self.state,
                    only_choice: true,
                })
            })
    }

    /// The first operation whose call is behind this node and that leads to a state not seen yet.
    fn choice(&mut self, behind: usize) -> Next {
        let candidates: Vec<_> = self.candidates(behind).collect();
        for number in candidates {
            if let Some(state) = self.state_after(number) {
                let mut done = self.done.clone();
                done[number / 64] |= 1 << (number % 64);
                if self.seen.insert((done.into(), state)) {
                    return Next::Take(Taken {
                        number,
                        before: self.state,
                        only_choice: false,
                    });
                }
            }
        }
        Next::GoBack
    }

    /// Operations that may come next: those called before the first answer of all that are left.
    fn candidates(&self, behind: usize) -> impl Iterator<Item = usize> {
        let mut node = behind;
        std::iter::from_fn(move || {
            node = self.events.after(node);
            if node == END {
                return None;
            }
            match self.events.at(node) {
                Event::Called(number) => Some(number),
                Event::Returned(_) => None,
            }
        })
    }

    /// The state after an operation; `None` if it cannot come next or would lead nowhere.
    fn state_after(&self, number: usize) -> Option<State> {
        let call = &self.calls[number];
        let (state, told) = call.operation.apply(self.state);
        if call.returned.is_some_and(|(_, answer)| answer != told) {
            return None;
        }
        if state != self.state && self.is_still_read() {
            return None;
        }
        match self.alike[number] {
            Some(alike) if !self.is_of_use(alike, number) => None,
            _ => Some(state),
        }
    }

    /// Whether what is there is still to be read by somebody, and never comes again.
    fn is_still_read(&self) -> bool {
        let left = self.state.and_then(|value| self.reads_left.get(&value));
        left.is_some_and(|&left| left > 0)
    }

    /// Whether an unanswered operation may make a difference here.
    fn is_of_use(&self, alike: Alike, number: usize) -> bool {
        let changes_something = match alike {
            Alike::Increment => true,
            Alike::Delete => self.state.is_some(),
            // Nobody reads its value: it can only give a removal something to remove.
            Alike::Set => self.state.is_none(),
        };
        let mut earlier = self.candidates(END).take_while(|&other| other != number);
        changes_something && !earlier.any(|other| self.alike[other] == Some(alike))
    }

    fn take(&mut self, taken: Taken) {
        let number = taken.number;
        self.state = self.calls[number].operation.apply(self.state).0;
        self.done[number / 64] |= 1 << (number % 64);
        self.count_read(number, |left| *left -= 1);
        self.events.take(number);
        self.stack.push(taken);
    }

    fn put_back(&mut self) -> Option<Taken> {
        let taken = self.stack.pop()?;
        let number = taken.number;
        self.state = taken.before;
        self.done[number / 64] &= !(1 << (number % 64));
        self.count_read(number, |left| *left += 1);
        self.events.put_back(number);
        Some(taken)
    }

    fn count_read(&mut self, number: usize, change: impl FnOnce(&mut usize)) {
        if let Some((_, Told::Value(Some(value)))) = self.calls[number].returned
            && let Some(left) = self.reads_left.get_mut(&value)
        {
            change(left);
        }
    }
}
