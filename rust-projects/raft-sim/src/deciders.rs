//! Deciders: each asks a server whether it leads, decides on what the server has applied, and has the change applied, as transactions are.
//!
//! What they decide is always the same: to add one to a counter in the engine. A server lets one decide at a time, as whoever serves transactions
//! holds a latch. So no two decisions that were applied may rest on the same value, nor on one older than was known when they began.

use std::collections::BTreeMap;
use std::sync::Weak;

use raft::{NodeId, Role, Term, Time};
use replica::{Answer, Changes, Client, Lead, StateEngine};
use storage::{Batch, Reader};

use crate::cluster::{Cluster, Occurrence, Stepped};
use crate::counters::Sometimes;
use crate::invariants::{ExactlyOnce, MonotonicReads, Violation, broken};
use crate::random::Random;

/// Where the counter is.
const KEY: &[u8] = b"decided";
/// What it is called.
const COUNTER: &str = "decided";

#[derive(Debug)]
enum Stage {
    /// Whether the server leads.
    Asked,
    /// This value, which rests on the one before.
    Proposed(i64),
}

#[derive(Debug)]
struct Decision {
    client: Client,
    stage: Stage,
    at_least: i64,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Deciders {
    random: Random,
    next: Option<Time>,
    /// By server.
    under_way: BTreeMap<NodeId, Decision>,
    /// The last lead that a majority confirmed.
    confirmed: BTreeMap<NodeId, (Term, Weak<dyn StateEngine>)>,
    exactly_once: ExactlyOnce,
    monotonic_reads: MonotonicReads,
}

impl Deciders {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            random,
            next: Some(Time::from_millis(300)),
            under_way: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            exactly_once: ExactlyOnce::default(),
            monotonic_reads: MonotonicReads::default(),
        }
    }

    /// When the next decision begins.
    pub(crate) fn next_time(&self) -> Option<Time> {
        self.next
    }

    pub(crate) fn nobody_waits(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Nobody decides anything any more.
    pub(crate) fn retire(&mut self) {
        self.next = None;
    }

    /// Begins a decision, if it is time.
    pub(crate) fn ask(&mut self, cluster: &mut Cluster) -> Stepped {
        let now = cluster.now();
        if self.next.is_none_or(|at| at > now) {
            return Ok(());
        }
        self.next = Some(now + self.random.micros(1000, 30_000));
        let free: Vec<_> = cluster
            .ids()
            .filter(|id| cluster.replica(*id).is_some() && !self.under_way.contains_key(id))
            .collect();
        // Most who ask know who leads.
        let leader = cluster.leader().filter(|leader| free.contains(leader));
        let node = match leader {
            Some(leader) if self.random.chance(800) => leader,
            _ => match self.random.pick(&free) {
                Some(node) => node,
                None => return Ok(()),
            },
        };
        let at_least = self.monotonic_reads.begin(COUNTER);
        match self.presumed(node, cluster) {
            Some(lead) if self.random.chance(500) => {
                cluster.counters.add(Sometimes::DecidedUnasked);
                self.propose(node, &lead, at_least, cluster)
            }
            _ => {
                let client = cluster.lead(node)?;
                let decision = Decision {
                    client,
                    stage: Stage::Asked,
                    at_least,
                };
                self.begin(node, decision, cluster)
            }
        }
    }

    /// What a server decides on without asking a majority: as far as it knows it leads, in a term in which one confirmed that before.
    fn presumed(&self, node: NodeId, cluster: &Cluster) -> Option<Lead> {
        let (term, engine) = self.confirmed.get(&node)?;
        let core = cluster.replica(node)?.core();
        let leads = core.role() == Role::Leader && core.hard_state().term == *term;
        let engine = engine.upgrade()?;
        leads.then_some(Lead {
            term: *term,
            engine,
        })
    }

    fn propose(
        &mut self,
        node: NodeId,
        lead: &Lead,
        at_least: i64,
        cluster: &mut Cluster,
    ) -> Stepped {
        let Some(replica) = cluster.replica(node) else {
            return Ok(());
        };
        let epoch = replica.machine().region().epoch;
        let value = counter(lead.engine.latest())? + 1;
        let mut batch = Batch::new();
        batch.put(KEY, value.to_string());
        let changes = Changes {
            term: lead.term,
            epoch,
            batch,
        };
        let client = cluster.decide(node, changes)?;
        let decision = Decision {
            client,
            stage: Stage::Proposed(value),
            at_least,
        };
        self.begin(node, decision, cluster)
    }

    fn begin(&mut self, node: NodeId, decision: Decision, cluster: &mut Cluster) -> Stepped {
        self.under_way.insert(node, decision);
        // It may have crashed over it.
        match cluster.replica(node) {
            Some(_) => Ok(()),
            None => self.stopped(node, cluster),
        }
    }

    /// Takes note of what occurred; whether it was about a decision.
    pub(crate) fn notice(
        &mut self,
        occurrence: &Occurrence,
        cluster: &mut Cluster,
    ) -> Stepped<bool> {
        let (node, client, answer) = match occurrence {
            Occurrence::Stopped(node) => {
                self.stopped(*node, cluster)?;
                return Ok(false);
            }
            Occurrence::Answered {
                node,
                client,
                answer,
            } => (*node, *client, answer),
        };
        let found = self.under_way.get(&node);
        if found.is_none_or(|decision| decision.client != client) {
            return Ok(false);
        }
        if let Some(decision) = self.under_way.remove(&node) {
            self.answered(node, &decision, answer, cluster)?;
        }
        Ok(true)
    }

    fn stopped(&mut self, node: NodeId, cluster: &mut Cluster) -> Stepped {
        self.confirmed.remove(&node);
        match self.under_way.remove(&node) {
            Some(decision) => self.answered(node, &decision, &Answer::Unknown, cluster),
            None => Ok(()),
        }
    }

    fn answered(
        &mut self,
        node: NodeId,
        decision: &Decision,
        answer: &Answer,
        cluster: &mut Cluster,
    ) -> Stepped {
        match (&decision.stage, answer) {
            (Stage::Asked, Answer::Leads(lead)) => {
                let engine = std::sync::Arc::downgrade(&lead.engine);
                self.confirmed.insert(node, (lead.term, engine));
                let seen = counter(lead.engine.latest())?;
                self.monotonic_reads.end(COUNTER, decision.at_least, seen)?;
                self.propose(node, lead, decision.at_least, cluster)
            }
            // Nothing was asked for yet.
            (Stage::Asked, _) => Ok(()),
            (Stage::Proposed(value), Answer::Done(_)) => {
                cluster.counters.add(Sometimes::Decided);
                self.exactly_once.incremented(COUNTER, *value)?;
                // What was known when it began is below what it wrote.
                let seen = value - 1;
                self.monotonic_reads.end(COUNTER, decision.at_least, seen)?;
                self.monotonic_reads.end(COUNTER, 0, *value)
            }
            (Stage::Proposed(_), Answer::Unknown) => {
                cluster.counters.add(Sometimes::DecidedUnknown);
                self.exactly_once.unknown(COUNTER);
                Ok(())
            }
            (Stage::Proposed(_), Answer::Stale) => {
                cluster.counters.add(Sometimes::DecidedStale);
                Ok(())
            }
            (Stage::Proposed(_), Answer::Refused(_) | Answer::NoLeader | Answer::Declined(_)) => {
                Ok(())
            }
            (Stage::Proposed(_), other) => {
                broken("replies", format!("a decision was answered with {other:?}"))
            }
        }
    }

    /// Nothing is under way any more, and this is what a member holds.
    pub(crate) fn ended(&self, reader: &dyn Reader) -> Stepped {
        self.exactly_once.ended(COUNTER, counter(reader)?)
    }
}

fn counter(reader: &dyn Reader) -> Stepped<i64> {
    let violation = |what| Violation {
        invariant: "a counter is a number",
        what,
    };
    let found = reader.get(KEY);
    let Some(found) = found.map_err(|error| violation(error.to_string()))? else {
        return Ok(0);
    };
    let text = std::str::from_utf8(&found).ok();
    let value = text.and_then(|text| text.parse().ok());
    value.ok_or_else(|| violation(format!("it is {found:?}")))
}
