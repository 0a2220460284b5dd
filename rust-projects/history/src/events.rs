//! The calls and answers that the search has not taken yet, in the order of their moments: Lowe's doubly linked list, from which an
//! operation is taken, and into which it is put back, in constant time.

use crate::Call;

/// One end of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The operation of this number was called.
    Called(usize),
    /// It was answered.
    Returned(usize),
}

/// See the module's page. Nodes are numbered from 1; 0 is before the first and behind the last.
#[derive(Debug)]
pub(crate) struct Events {
    events: Vec<Event>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// The nodes of each operation's call and answer.
    places: Vec<(usize, Option<usize>)>,
    /// Answers in the list.
    answers: usize,
}

/// The place before the first node and behind the last.
pub(crate) const END: usize = 0;

impl Events {
    /// All calls and answers. Of those at the same moment calls come first: operations that touch are concurrent.
    pub(crate) fn of(calls: &[Call]) -> Self {
        let mut moments = Vec::with_capacity(calls.len() * 2);
        for (number, call) in calls.iter().enumerate() {
            moments.push((call.called, 0, Event::Called(number)));
            if let Some((at, _)) = call.returned {
                // An answer before its call would be the clock's fault, not the store's.
                moments.push((at.max(call.called), 1, Event::Returned(number)));
            }
        }
        moments.sort_by_key(|&(at, kind, _)| (at, kind));
        let mut places = vec![(END, None); calls.len()];
        let mut answers = 0;
        for (position, &(_, _, event)) in moments.iter().enumerate() {
            match event {
                Event::Called(number) => places[number].0 = position + 1,
                Event::Returned(number) => {
                    places[number].1 = Some(position + 1);
                    answers += 1;
                }
            }
        }
        let nodes = moments.len() + 1;
        Self {
            events: moments.into_iter().map(|(_, _, event)| event).collect(),
            next: (0..nodes).map(|node| (node + 1) % nodes).collect(),
            previous: (0..nodes).map(|node| (node + nodes - 1) % nodes).collect(),
            places,
            answers,
        }
    }

    /// Whether every operation with an answer was taken.
    pub(crate) fn all_answered_are_taken(&self) -> bool {
        self.answers == 0
    }

    /// The node that follows, [`END`] behind the last; the first one follows [`END`].
    pub(crate) fn after(&self, node: usize) -> usize {
        self.next[node]
    }

    /// What stands at a node, which must not be [`END`].
    pub(crate) fn at(&self, node: usize) -> Event {
        self.events[node - 1]
    }

    /// The node of an operation's call.
    pub(crate) fn call_of(&self, number: usize) -> usize {
        self.places[number].0
    }

    /// Takes an operation out.
    pub(crate) fn take(&mut self, number: usize) {
        let (call, answer) = self.places[number];
        self.unlink(call);
        if let Some(answer) = answer {
            self.unlink(answer);
            self.answers -= 1;
        }
    }

    /// Puts the operation back that was taken last of those still out.
    pub(crate) fn put_back(&mut self, number: usize) {
        let (call, answer) = self.places[number];
        if let Some(answer) = answer {
            self.link(answer);
            self.answers += 1;
        }
        self.link(call);
    }

    fn unlink(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn link(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        self.next[previous] = node;
        self.previous[next] = node;
    }
}
