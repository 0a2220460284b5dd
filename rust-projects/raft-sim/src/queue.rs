//! What will happen, by time; of two things at one time what was planned first comes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use raft::Time;

/// A queue of things to come.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    /// Where the things themselves lie, so that sorting does not move them.
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    planned: u64,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            planned: 0,
        }
    }

    pub(crate) fn push(&mut self, at: Time, what: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(what);
        self.planned += 1;
        self.heap.push(Reverse((at, self.planned, slot)));
    }

    pub(crate) fn next_time(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, T)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        let what = self.slots[slot].take();
        Some((at, what.expect("a slot in the heap is filled")))
    }
}
