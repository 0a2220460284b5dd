//! A state of the whole system: servers, messages under way, and what has to be remembered of the past to judge the future.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use raft::{Entry, Envelope, Index, NodeId, Role, Term};

use crate::disk::Server;
use crate::rules::Rule;

/// A value with its hash, computed once: most of a state is shared with the one before it.
pub struct Hashed<T> {
    hash: u64,
    /// The value.
    pub value: T,
}

impl<T: Hash> Hashed<T> {
    pub(crate) fn new(value: T) -> Arc<Self> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&value);
        Arc::new(Self { hash, value })
    }
}

impl<T> Hash for Hashed<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<T> PartialEq for Hashed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl<T: fmt::Debug> fmt::Debug for Hashed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// A message under way.
pub type Sent = Arc<Hashed<Envelope>>;

/// How many more of each there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// Commands proposed.
    pub commands: u8,
    /// Crashes.
    pub crashes: u8,
    /// Messages delivered twice.
    pub duplicates: u8,
    /// Rounds of heartbeats sent for no reason.
    pub heartbeats: u8,
    /// Reads begun.
    pub reads: u8,
    /// Snapshots taken and logs compacted.
    pub snapshots: u8,
}

/// A committed entry, and the term in which it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Committed {
    /// What was committed.
    pub entry: Entry,
    /// The term of the leader that committed it.
    pub in_term: Term,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct State {
    /// Server `n` at `n - 1`.
    pub servers: Vec<Arc<Hashed<Server>>>,
    /// A set, in the order of hashes.
    pub wire: Vec<Sent>,
    /// What was committed anywhere, from index 1 on.
    pub committed: Vec<Committed>,
    /// Who led each term.
    pub leaders: Vec<(Term, NodeId)>,
    /// Reads that wait for an answer, and what was committed when they began.
    pub reads: Vec<(u64, Index)>,
    /// What there may still be.
    pub left: Left,
    /// What was found broken on the way here.
    pub broken: Option<Rule>,
}

impl State {
    /// Server `id`.
    #[must_use]
    pub fn server(&self, id: NodeId) -> &Server {
        &self.servers[place(id)].value
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        1..=self.servers.len() as u64
    }

    pub(crate) fn put(&mut self, server: Server) {
        let place = place(server.core.id());
        self.servers[place] = Hashed::new(server);
    }

    /// A message that is under way already is not added: with duplication, one stands for many.
    pub(crate) fn send(&mut self, envelope: Envelope) {
        let sent = Hashed::new(envelope);
        if let Err(at) = self.wire.binary_search_by_key(&sent.hash, |held| held.hash) {
            self.wire.insert(at, sent);
        }
    }

    pub(crate) fn remove(&mut self, sent: &Sent) {
        self.wire.retain(|held| held.hash != sent.hash);
    }

    pub(crate) fn breaks(&mut self, rule: Rule) {
        self.broken.get_or_insert(rule);
    }
}

fn place(id: NodeId) -> usize {
    usize::try_from(id - 1).expect("servers are few")
}

/// One line a server: part, term, log, committed; then the messages.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for server in &self.servers {
            let (core, disk) = (&server.value.core, &server.value.disk);
            let part = match core.role() {
                Role::Follower => "follower",
                Role::PreCandidate => "pre-candidate",
                Role::Candidate => "candidate",
                Role::Leader => "leader",
            };
            let terms: Vec<_> = core.entries().map(|entry| entry.id.term).collect();
            let durable: Vec<_> = disk.entries.iter().map(|entry| entry.id.term).collect();
            writeln!(
                f,
                "  server {}: {part} in term {}, vote {:?}, log behind {} has terms {terms:?}, on disk {durable:?} of term {}, \
                 committed {}, {} writes under way",
                core.id(),
                core.hard_state().term,
                core.hard_state().voted_for,
                core.compacted().index,
                disk.hard_state.term,
                core.committed(),
                server.value.unsynced.len(),
            )?;
        }
        for sent in &self.wire {
            let Envelope {
                from,
                to,
                term,
                message,
            } = &sent.value;
            writeln!(f, "  {from} -> {to}, term {term}: {message:?}")?;
        }
        Ok(())
    }
}
