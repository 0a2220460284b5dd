//! Whether what clients saw of one key can be explained by operations that took effect one at a time, each between its call and its
//! answer. For transactions there is [`snapshot`].
//!
//! # What it is
//!
//! A checker of linearizability (Herlihy and Wing, "Linearizability", 1990). The search is Wing and Gong's ("Testing and verifying
//! concurrent objects", 1993) with Lowe's memory of what was tried ("Testing for linearizability", 2017). Linearizability is local:
//! a history is linearizable if that of each key is, so keys are searched one by one (Horn and Kroening call it P-compositionality, 2015).
//!
//! # What it guarantees
//!
//! [`Verdict::Linearizable`] and [`Verdict::Impossible`] are proofs, of an order and of the absence of one. A search that is given up is
//! [`Verdict::Inconclusive`], never a pass. An operation of unknown outcome may take effect at any time after its call, or never.
//!
//! # What it does not
//!
//! Moments must come from one monotonic clock; two that are equal are taken to be concurrent. There are single operations on single keys only: no
//! transactions. The worst case stays exponential in the number of operations that are under way at a time.
//!
//! # How it works
//!
//! ```text
//!   Set(1) |------------|             one order:   Set(1)  Get=1  Set(2)  Get=2
//!   Set(2)      |---------------|
//!   Get=1         |--|                Get=2 before Get=1 would need Set(1) after Set(2),
//!   Get=2                  |--|       and then nobody could have read 2 afterwards
//! ```
//!
//! The search takes one operation after another out of the history, each of those that began before the first answer of the rest, and goes
//! back where none fits. Steps that can do no harm are taken at once, and those that lead nowhere are not: see `search`.

mod events;
mod reduce;
mod search;
pub mod snapshot;

pub use search::search;

/// What an operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set the key to this value.
    Set(i64),
    /// Remove the key.
    Delete,
    /// Add one to what is there, nothing counting as 0.
    Increment,
    /// What is there?
    Get,
}

/// What the answer to an operation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was done: the answer to [`Operation::Set`].
    Done,
    /// What is there, or nothing: the answer to [`Operation::Get`].
    Value(Option<i64>),
    /// A number: the sum after [`Operation::Increment`]; after [`Operation::Delete`] 1 if there was something, else 0.
    Number(i64),
}

/// One operation of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it asked for.
    pub operation: Operation,
    /// When, on some monotonic clock.
    pub called: u64,
    /// When it was answered, on the same clock, and what it was told. `None`: its outcome is not known, and it may take effect at any time
    /// from its call on, or never. An operation that certainly had no effect is no part of the history.
    pub returned: Option<(u64, Told)>,
}

/// What a search says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains everything.
    Linearizable,
    /// There is none.
    Impossible,
    /// The search was given up; this says nothing.
    Inconclusive,
}

/// What a key holds.
pub(crate) type State = Option<i64>;

impl Operation {
    /// The state after it, and what it tells. A sum beyond 64 bits wraps, which no history comes near.
    fn apply(self, state: State) -> (State, Told) {
        match self {
            Self::Set(value) => (Some(value), Told::Done),
            Self::Delete => (None, Told::Number(i64::from(state.is_some()))),
            Self::Increment => {
                let sum = state.unwrap_or(0).wrapping_add(1);
                (Some(sum), Told::Number(sum))
            }
            Self::Get => (state, Told::Value(state)),
        }
    }
}
