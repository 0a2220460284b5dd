//! What must always hold, and what must happen at times.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use raft::{Configuration, Entry, NodeId, Role, Term};

use crate::disk::Server;

/// What must always hold: the five properties of Figure 3, and what they rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// At most one leader a term (section 5.2).
    ElectionSafety,
    /// A leader never overwrites or deletes its own entries (section 5.3).
    LeaderAppendOnly,
    /// Logs that share an entry are equal up to it (section 5.3).
    LogMatching,
    /// What was committed in a term is in the logs of the leaders of all later ones (section 5.4).
    LeaderCompleteness,
    /// No two servers apply different entries at one index, and each applies in order (section 5.4.3).
    StateMachineSafety,
    /// What one server knows to be committed, all do who know of that index, and none forgets it but by a crash.
    CommittedNeverUndone,
    /// What a leader commits is on the disks of a majority, in both halves of a joint configuration.
    CommittedIsDurable,
    /// A leader's votes are on the disks of a majority.
    VotesAreDurable,
    /// A read sees what was committed before it began (thesis, 6.4).
    ReadSafety,
    /// The log on a disk has no gap.
    NoGap,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ElectionSafety,
        Self::LeaderAppendOnly,
        Self::LogMatching,
        Self::LeaderCompleteness,
        Self::StateMachineSafety,
        Self::CommittedNeverUndone,
        Self::CommittedIsDurable,
        Self::VotesAreDurable,
        Self::ReadSafety,
        Self::NoGap,
    ];
}

/// What a run must have met to mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A leader was elected in term 1.
    ElectedInTerm1,
    /// A leader was elected in term 2.
    ElectedInTerm2,
    /// A leader was elected in a later term.
    ElectedLater,
    /// A command was committed.
    CommandCommitted,
    /// An entry of an earlier term was committed.
    OlderTermCommitted,
    /// A log lost entries to another leader's.
    Truncated,
    /// A crash lost writes.
    WriteLost,
    /// A crash lost nothing.
    CleanCrash,
    /// A message arrived twice.
    Duplicated,
    /// A message was lost.
    Lost,
    /// A snapshot replaced a state machine.
    Installed,
    /// A read was answered.
    ReadAnswered,
    /// A read was refused, because the leader changed or there was none.
    ReadFailed,
    /// A joint configuration was committed.
    JointCommitted,
    /// The configuration behind a joint one was committed.
    ChangeCommitted,
    /// A leader stepped down in its own term.
    SteppedDown,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::ElectedInTerm1,
        Self::ElectedInTerm2,
        Self::ElectedLater,
        Self::CommandCommitted,
        Self::OlderTermCommitted,
        Self::Truncated,
        Self::WriteLost,
        Self::CleanCrash,
        Self::Duplicated,
        Self::Lost,
        Self::Installed,
        Self::ReadAnswered,
        Self::ReadFailed,
        Self::JointCommitted,
        Self::ChangeCommitted,
        Self::SteppedDown,
    ];
}

/// How often each event happened, on all transitions taken, also those to states met before.
#[derive(Debug, Default)]
pub struct Seen([AtomicU64; Event::ALL.len()]);

impl Seen {
    pub(crate) fn note(&self, event: Event) {
        self.0[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often it happened.
    #[must_use]
    pub fn count(&self, event: Event) -> u64 {
        self.0[event as usize].load(Ordering::Relaxed)
    }
}

/// Whether those for whom `agrees` are a majority of the voters and, while there are any, of the outgoing ones: said here again, by counting,
/// so that an error in the code under test does not excuse itself.
pub(crate) fn majority(configuration: &Configuration, agrees: impl Fn(NodeId) -> bool) -> bool {
    let of = |half: &BTreeSet<NodeId>| {
        half.is_empty() || 2 * half.iter().filter(|&&node| agrees(node)).count() > half.len()
    };
    !configuration.voters.is_empty() && of(&configuration.voters) && of(&configuration.outgoing)
}

/// Whether the logs are equal up to the last entry that they share.
pub(crate) fn logs_match(a: &Server, b: &Server) -> bool {
    let theirs: Vec<&Entry> = b.core.entries().collect();
    let Some(first) = theirs.first().map(|entry| entry.id.index) else {
        return true;
    };
    let mut shared = false;
    for entry in a.core.entries().rev() {
        let other = entry
            .id
            .index
            .checked_sub(first)
            .and_then(|at| theirs.get(usize::try_from(at).ok()?));
        let Some(other) = other else { continue };
        shared |= other.id == entry.id;
        if shared && **other != *entry {
            return false;
        }
    }
    true
}

/// Whether a leader that stayed one only appended.
pub(crate) fn only_appended(before: &Server, after: &Server) -> bool {
    let led = |server: &Server| {
        (server.core.role() == Role::Leader).then(|| server.core.hard_state().term)
    };
    if led(before).is_none() || led(before) != led(after) {
        return true;
    }
    let compacted = after.core.compacted().index;
    let kept = before
        .core
        .entries()
        .filter(|entry| entry.id.index > compacted);
    let mut now = after.core.entries();
    kept.into_iter().all(|entry| now.next() == Some(entry))
}

/// Whether entries were dropped for another leader's.
pub(crate) fn truncated(before: &Server, after: &Server) -> bool {
    let compacted = after.core.compacted().index;
    before.core.entries().any(|entry| {
        entry.id.index > compacted && after.core.term_at(entry.id.index) != Some(entry.id.term)
    })
}

/// The event that an election in `term` is.
pub(crate) fn elected(term: Term) -> Event {
    match term {
        0 | 1 => Event::ElectedInTerm1,
        2 => Event::ElectedInTerm2,
        _ => Event::ElectedLater,
    }
}
