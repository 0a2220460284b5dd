//! What the labs of the course say to a cluster: propose here, cut that one off, agree on the next command.
//!
//! Each command appends its number to one value, so that value is the order in which commands were applied. What the labs ask of each
//! server is checked after every step, by the cluster's invariants; a lab adds what its scenario is about.
//!
//! ```text
//!   lab_2a ... lab_2d  -->  Lab: propose, agree, disconnect, crash   \
//!                                                                     >-->  Cluster
//!   lab_3a, lab_3b     -->  Service: clients that ask and judge      /
//! ```

mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft::{Index, LogId, NodeId};
use replica::{Answer, Client, Settings};
use wire::Reply;

use crate::cluster::{Cluster, Occurrence, Setup, Stepped, request};
use crate::invariants::Violation;
use crate::node::Stop;
use crate::random::Random;

pub use service::{Plan, Service, impatient};

/// A leader must be found within this time (the course's bound).
pub const ELECTION: Duration = Duration::from_secs(5);

/// A command that can be agreed on must be within this time (the course's bound).
pub const AGREEMENT: Duration = Duration::from_secs(10);

/// How long one leader may take before the next is asked.
const ATTEMPT: Duration = Duration::from_secs(2);

/// The value that holds the numbers of all commands, in their order.
const LOG: &str = "log";

/// A command that a leader took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// Its number.
    pub number: u64,
    /// Where it stands, unless a later leader overwrites it.
    pub at: LogId,
    leader: NodeId,
    client: Client,
}

/// See the module's page.
#[derive(Debug)]
pub struct Lab {
    /// The servers.
    pub cluster: Cluster,
    /// What the scenario leaves to chance.
    pub random: Random,
    off: BTreeSet<NodeId>,
    /// To whom nobody has listened yet.
    answers: BTreeMap<Client, Answer>,
    commands: u64,
    /// Commands that were answered.
    answered: BTreeSet<u64>,
    /// Those whose entries are known.
    placed: BTreeMap<Index, u64>,
}

/// The settings of the labs: at most ten heartbeats a second, as the course has it.
#[must_use]
pub fn settings() -> Settings {
    let mut settings = Settings::new(0);
    settings.raft.heartbeat_interval = Duration::from_millis(100);
    settings.raft.election_timeout = Duration::from_millis(300);
    settings.raft.election_spread = Duration::from_millis(300);
    settings.raft.leader_stickiness = Duration::from_millis(300);
    settings
}

/// The same, with logs that are compacted at so many bytes and keep nothing of what is applied and durable.
#[must_use]
pub fn compacting(settings: Settings, bytes: usize) -> Settings {
    Settings {
        flush_bytes: bytes / 4,
        compact_bytes: bytes,
        keep_bytes: 0,
        ..settings
    }
}

/// Plays a scenario with several seeds: `KEYPROOF_LAB_SEEDS` of them, from `KEYPROOF_LAB_START` on; 3 from 0 on if nothing else is said.
///
/// # Panics
/// When one seed's scenario does not hold.
pub fn on_seeds(scenario: impl Fn(u64) -> Stepped) {
    let number = |name, otherwise| match std::env::var(name) {
        Ok(text) => match text.parse() {
            Ok(number) => number,
            Err(_) => panic!("{name} is `{text}`, which is no number"),
        },
        Err(_) => otherwise,
    };
    let start: u64 = number("KEYPROOF_LAB_START", 0);
    let seeds: u64 = number("KEYPROOF_LAB_SEEDS", 3);
    assert!(
        seeds > 0,
        "KEYPROOF_LAB_SEEDS is 0: nothing would be played"
    );
    for seed in start..start + seeds {
        if let Err(violation) = scenario(seed) {
            panic!("{violation}\nagain with KEYPROOF_LAB_START={seed} KEYPROOF_LAB_SEEDS=1");
        }
    }
}

/// A scenario does not end as it should.
///
/// # Errors
/// Always: [`Violation`] with these words.
pub fn fail<T>(what: impl Into<String>) -> Stepped<T> {
    Err(Violation {
        invariant: "the lab",
        what: what.into(),
    })
}

/// What a scenario says about itself, where the invariants have nothing to say.
///
/// # Errors
/// [`Violation`] with these words if the condition does not hold.
pub fn expect(condition: bool, what: impl FnOnce() -> String) -> Stepped {
    if condition { Ok(()) } else { fail(what()) }
}

impl Lab {
    /// So many servers, started.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn new(servers: u64, seed: u64) -> Stepped<Self> {
        Self::with(servers, seed, settings())
    }

    /// So many servers with these settings, started.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn with(servers: u64, seed: u64, settings: Settings) -> Stepped<Self> {
        let mut random = Random::new(seed);
        let setup = Setup {
            settings,
            ..Setup::new(servers, random.number())
        };
        let mut cluster = Cluster::new(&setup);
        cluster.start_all()?;
        Ok(Self {
            cluster,
            random,
            off: BTreeSet::new(),
            answers: BTreeMap::new(),
            commands: 0,
            answered: BTreeSet::new(),
            placed: BTreeMap::new(),
        })
    }

    /// Servers that run and are connected.
    pub fn on(&self) -> Vec<NodeId> {
        let ids = self.cluster.ids();
        ids.filter(|id| !self.off.contains(id) && self.cluster.replica(*id).is_some())
            .collect()
    }

    /// A server of those that run and are connected, other than these.
    pub fn other_than(&mut self, but: &[NodeId]) -> Option<NodeId> {
        let on: Vec<_> = self
            .on()
            .into_iter()
            .filter(|id| !but.contains(id))
            .collect();
        self.random.pick(&on)
    }

    /// Cuts a server off from all others.
    pub fn disconnect(&mut self, id: NodeId) {
        self.off.insert(id);
        self.wire_up();
    }

    /// Connects a server with all that are connected.
    pub fn connect(&mut self, id: NodeId) {
        self.off.remove(&id);
        self.wire_up();
    }

    fn wire_up(&mut self) {
        let on: Vec<_> = self
            .cluster
            .ids()
            .filter(|id| !self.off.contains(id))
            .collect();
        self.cluster.partition(&[&on]);
    }

    /// Kills a server and starts it again from its disk.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn restart(&mut self, id: NodeId) -> Stepped {
        self.cluster.stop(id, Stop::PowerLoss);
        self.cluster.start(id)
    }

    /// Time passes.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn pass(&mut self, millis: u64) -> Stepped {
        self.cluster.run_for(Duration::from_millis(millis))
    }

    /// The server that leads those that are connected, once there is one.
    ///
    /// # Errors
    /// [`Violation`]: there is none within [`ELECTION`].
    pub fn leader(&mut self) -> Stepped<NodeId> {
        let on = self.on();
        self.cluster
            .run_until(ELECTION, |cluster| leader_of(cluster, &on).is_some())?;
        match leader_of(&self.cluster, &on) {
            Some(leader) => Ok(leader),
            None => fail(format!(
                "{on:?} are connected and elect nobody within {ELECTION:?}"
            )),
        }
    }

    /// The greatest term of the servers that run.
    #[must_use]
    pub fn term(&self) -> raft::Term {
        let replicas = self.cluster.ids().filter_map(|id| self.cluster.replica(id));
        let terms = replicas.map(|replica| replica.core().hard_state().term);
        terms.max().unwrap_or(0)
    }

    /// Nobody that is connected leads: not at once, since a leader takes a while to notice that it is alone, but from then on.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn nobody_leads(&mut self) -> Stepped {
        self.pass(2000)?;
        let on = self.on();
        let elected = self.cluster.run_until(ATTEMPT, |cluster| {
            let mut replicas = on.iter().filter_map(|&id| cluster.replica(id));
            replicas.any(replica::Replica::is_leader)
        })?;
        expect(!elected, || {
            format!("{on:?} are no majority, and one leads")
        })
    }

    /// Asks a server to add the next command to the log; `None` if it does not lead.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn propose(&mut self, id: NodeId) -> Stepped<Option<Proposed>> {
        let last = |lab: &Self| {
            let leads = lab
                .cluster
                .replica(id)
                .filter(|replica| replica.is_leader());
            leads.map(|replica| replica.core().last())
        };
        let Some(before) = last(self) else {
            return Ok(None);
        };
        let number = self.commands;
        self.commands += 1;
        let append = request(&["APPEND", LOG, &format!("{number};")]);
        let client = self.cluster.write(id, append)?;
        let taken = last(self).filter(|after| after.index == before.index + 1);
        Ok(taken.map(|at| Proposed {
            number,
            at,
            leader: id,
            client,
        }))
    }

    /// As [`Lab::propose`], so many times.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn propose_many(&mut self, id: NodeId, times: u64) -> Stepped<Vec<Proposed>> {
        let mut all = Vec::new();
        for _ in 0..times {
            all.extend(self.propose(id)?);
        }
        Ok(all)
    }

    /// How many servers that run have applied the entry.
    #[must_use]
    pub fn applied(&self, index: Index) -> usize {
        applied_by(&self.cluster, index)
    }

    /// The answer to a client, if it comes within the time. What others are told meanwhile is kept.
    fn answer(&mut self, client: Client, at_most: Duration) -> Stepped<Option<Answer>> {
        let limit = self.cluster.now() + at_most;
        loop {
            for occurrence in self.cluster.take_occurrences() {
                if let Occurrence::Answered { client, answer, .. } = occurrence {
                    self.answers.insert(client, answer);
                }
            }
            let answer = self.answers.remove(&client);
            if answer.is_some() || self.cluster.next_time().is_none_or(|next| next > limit) {
                return Ok(answer);
            }
            self.cluster.step()?;
        }
    }

    /// Waits until a proposed command was answered; whether it was applied.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn was_applied(&mut self, proposed: Proposed, at_most: Duration) -> Stepped<bool> {
        let answer = self.answer(proposed.client, at_most)?;
        let applied = matches!(answer, Some(Answer::Replies(_)));
        if applied {
            self.answered.insert(proposed.number);
            let leader = self.cluster.replica(proposed.leader);
            // If not it was proposed once more, by a later leader, and stands elsewhere.
            if leader.and_then(|leader| leader.core().term_at(proposed.at.index))
                == Some(proposed.at.term)
            {
                self.placed.insert(proposed.at.index, proposed.number);
            }
        }
        Ok(applied)
    }

    /// The next command, through whoever leads, until so many servers have applied it; an index that they have reached then.
    ///
    /// # Errors
    /// [`Violation`]: they do not within [`AGREEMENT`].
    pub fn agree(&mut self, servers: usize) -> Stepped<Index> {
        let limit = self.cluster.now() + AGREEMENT;
        while self.cluster.now() < limit {
            let on = self.on();
            let leader = leader_of(&self.cluster, &on);
            let proposed = leader.map_or(Ok(None), |id| self.propose(id))?;
            if let Some(proposed) = proposed
                && self.was_applied(proposed, ATTEMPT)?
            {
                let leader = self.cluster.replica(proposed.leader);
                let index = leader.map_or(proposed.at.index, applied_to);
                let left = limit.saturating_sub(self.cluster.now());
                let everywhere = |cluster: &Cluster| applied_by(cluster, index) >= servers;
                if self.cluster.run_until(left, everywhere)? {
                    return Ok(index);
                }
            }
            self.pass(20)?;
        }
        let on = self.on();
        fail(format!(
            "no agreement of {servers} servers; {on:?} are connected"
        ))
    }

    /// Everything is mended, and all servers agree on one more command; then the value holds each command at most once, and those that were
    /// answered in the order of their entries.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn end(mut self) -> Stepped<Self> {
        self.off.clear();
        self.cluster.network = crate::Network::default();
        self.cluster.start_all()?;
        let all = self.cluster.ids().count();
        let last = self.agree(all)?;
        let leader = self.leader()?;
        let client = self.cluster.read(leader, request(&["GET", LOG]))?;
        let answer = self.cluster.wait(client, ATTEMPT)?;
        let order = numbers(answer.as_ref())?;
        let unique: BTreeSet<_> = order.iter().collect();
        expect(unique.len() == order.len(), || {
            format!("a command was applied twice: {order:?}")
        })?;
        let lost = self.answered.iter().find(|number| !unique.contains(number));
        expect(lost.is_none(), || {
            format!("{lost:?} was answered and is not in {order:?}")
        })?;
        let mut placed = self.placed.values().peekable();
        for number in &order {
            placed.next_if_eq(&number);
        }
        expect(placed.next().is_none(), || {
            format!(
                "entries {:?} were applied in the order {order:?}",
                self.placed
            )
        })?;
        expect(self.applied(last) == all, || {
            "not all servers follow".to_owned()
        })?;
        Ok(self)
    }
}

/// Who leads these in their greatest term.
fn leader_of(cluster: &Cluster, among: &[NodeId]) -> Option<NodeId> {
    let replicas = || {
        among
            .iter()
            .filter_map(|&id| Some((id, cluster.replica(id)?)))
    };
    let term = |replica: &replica::Replica| replica.core().hard_state().term;
    let greatest = replicas().map(|(_, replica)| term(replica)).max()?;
    let mut leaders = replicas().filter(|(_, replica)| replica.is_leader());
    leaders
        .find(|(_, replica)| term(replica) == greatest)
        .map(|(id, _)| id)
}

fn applied_by(cluster: &Cluster, index: Index) -> usize {
    let replicas = cluster.ids().filter_map(|id| cluster.replica(id));
    replicas
        .filter(|replica| applied_to(replica) >= index)
        .count()
}

fn applied_to(replica: &replica::Replica) -> Index {
    replica.machine().applied().index
}

fn numbers(answer: Option<&Answer>) -> Stepped<Vec<u64>> {
    let text = match answer {
        Some(Answer::Replies(replies)) => match replies.first() {
            Some(Reply::Bulk(bytes)) => std::str::from_utf8(bytes).ok(),
            _ => None,
        },
        _ => None,
    };
    let numbers = text.map(|text| text.split_terminator(';').map(str::parse).collect());
    match numbers {
        Some(Ok(numbers)) => Ok(numbers),
        _ => fail(format!("the log was read as {answer:?}")),
    }
}
