//! Clients: each asks a server for something, waits for the answer, thinks, and asks again. What they see is kept by key and judged.

use std::collections::BTreeMap;

use bytes::Bytes;
use history::{Call, Operation, Told, Verdict, search};
use raft::{NodeId, Time};
use replica::{Answer, Client, Request};
use wire::Reply;

use crate::cluster::{Cluster, Occurrence, Stepped};
use crate::counters::Sometimes;
use crate::invariants::{ExactlyOnce, MonotonicReads, Violation, broken};
use crate::random::Random;

/// A key is left for a new one after so many operations, which bounds the search.
const MAX_OPERATIONS: usize = 48;
/// States that a search may look at.
const MAX_STATES: usize = 50_000;

/// A key and what was seen of it.
#[derive(Debug, Default)]
struct Key {
    name: String,
    calls: Vec<Call>,
    /// Calls that wait for their answer.
    open: usize,
}

/// One operation of a request that waits.
#[derive(Clone, Debug)]
struct Part {
    key: usize,
    call: usize,
    at_least: i64,
}

#[derive(Debug)]
struct Waiting {
    client: usize,
    node: NodeId,
    reads: bool,
    parts: Vec<Part>,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Clients {
    random: Random,
    /// When each asks next; never while it waits.
    next: Vec<Option<Time>>,
    think_us: u64,
    retired: bool,
    waiting: BTreeMap<Client, Waiting>,
    /// Keys ever used; the current ones by slot.
    keys: Vec<Key>,
    current: Vec<usize>,
    /// Numbers moments and values.
    moments: u64,
    exactly_once: ExactlyOnce,
    monotonic_reads: MonotonicReads,
    /// Histories that were found linearizable, and those that could not be judged.
    pub(crate) judged: (u64, u64),
    /// Requests that were answered with what they asked for.
    pub(crate) served: u64,
}

/// Slots from here on hold counters, the others registers.
fn is_counter(slot: usize) -> bool {
    slot % 2 == 1
}

impl Clients {
    pub(crate) fn new(mut random: Random) -> Self {
        let clients = random.between(2, 6);
        Self::of(clients, random)
    }

    /// So many of them.
    pub(crate) fn of(clients: u64, mut random: Random) -> Self {
        let slots = usize::try_from(random.between(2, 6)).unwrap_or(2);
        let think_us = random.between(1, 10) * 4000;
        let mut all = Self {
            next: (0..clients)
                .map(|client| Some(Time::from_millis(200 + client)))
                .collect(),
            random,
            think_us,
            retired: false,
            waiting: BTreeMap::new(),
            keys: Vec::new(),
            current: Vec::new(),
            moments: 0,
            exactly_once: ExactlyOnce::default(),
            monotonic_reads: MonotonicReads::default(),
            judged: (0, 0),
            served: 0,
        };
        for slot in 0..slots {
            let key = all.new_key(slot);
            all.current.push(key);
        }
        all
    }

    fn new_key(&mut self, slot: usize) -> usize {
        let kind = if is_counter(slot) { 'c' } else { 'r' };
        let name = format!("{kind}{slot}.{}", self.keys.len());
        self.keys.push(Key {
            name,
            ..Key::default()
        });
        self.keys.len() - 1
    }

    /// When somebody asks next.
    pub(crate) fn next_time(&self) -> Option<Time> {
        self.next.iter().flatten().min().copied()
    }

    pub(crate) fn nobody_waits(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Nobody asks for anything any more.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
        self.next.fill(None);
    }

    /// Lets those ask whose time has come.
    pub(crate) fn ask(&mut self, cluster: &mut Cluster) -> Stepped {
        let now = cluster.now();
        for client in 0..self.next.len() {
            if self.next[client].is_some_and(|at| at <= now) {
                self.ask_one(client, cluster)?;
            }
        }
        Ok(())
    }

    fn ask_one(&mut self, client: usize, cluster: &mut Cluster) -> Stepped {
        let now = cluster.now();
        let running: Vec<_> = cluster
            .ids()
            .filter(|&id| cluster.replica(id).is_some())
            .collect();
        let Some(node) = self.random.pick(&running) else {
            self.next[client] = Some(now + Time::from_millis(50));
            return Ok(());
        };
        self.next[client] = None;
        let reads = self.random.chance(400);
        let mut parts = Vec::new();
        let mut request = Request::new();
        let count = if self.random.chance(150) { 2 } else { 1 };
        for _ in 0..count {
            let (part, words) = self.operation(reads);
            parts.push(part);
            request.push(words);
        }
        if !reads && self.random.chance(50) {
            // Something to expire; nobody looks at it but the hashes.
            let words = ["SET", "expiring", "x", "PX", "40"];
            request.push(
                words
                    .map(|word| Bytes::from_static(word.as_bytes()))
                    .to_vec(),
            );
        }
        if cluster.network.is_partitioned() {
            cluster.counters.add(Sometimes::AskedInPartition);
        }
        let asked = if reads {
            cluster.read(node, request)?
        } else {
            cluster.write(node, request)?
        };
        self.waiting.insert(
            asked,
            Waiting {
                client,
                node,
                reads,
                parts,
            },
        );
        // It may have crashed over it.
        if cluster.replica(node).is_none() {
            self.stopped(node, cluster)?;
        }
        Ok(())
    }

    /// One operation on some key, noted as called.
    fn operation(&mut self, reads: bool) -> (Part, Vec<Bytes>) {
        let slot = usize::try_from(self.random.below(self.current.len() as u64)).unwrap_or(0);
        if self.keys[self.current[slot]].calls.len() >= MAX_OPERATIONS {
            self.current[slot] = self.new_key(slot);
        }
        let key = self.current[slot];
        self.moments += 1;
        let operation = match (reads || self.random.chance(100), is_counter(slot)) {
            (true, _) => Operation::Get,
            (false, true) => Operation::Increment,
            (false, false) => Operation::Set(i64::try_from(self.moments).unwrap_or(0)),
        };
        let name = Bytes::from(self.keys[key].name.clone());
        let words = match operation {
            Operation::Get => vec![Bytes::from_static(b"GET"), name],
            Operation::Increment => vec![Bytes::from_static(b"INCR"), name],
            Operation::Set(value) => {
                vec![Bytes::from_static(b"SET"), name, value.to_string().into()]
            }
            Operation::Delete => vec![Bytes::from_static(b"DEL"), name],
        };
        let known = &mut self.keys[key];
        known.open += 1;
        known.calls.push(Call {
            operation,
            called: self.moments,
            returned: None,
        });
        let at_least = self.monotonic_reads.begin(&known.name);
        let call = known.calls.len() - 1;
        let part = Part {
            key,
            call,
            at_least,
        };
        (part, words)
    }

    /// Takes note of what occurred.
    pub(crate) fn notice(&mut self, occurrence: &Occurrence, cluster: &mut Cluster) -> Stepped {
        match occurrence {
            Occurrence::Stopped(node) => self.stopped(*node, cluster),
            Occurrence::Answered {
                node,
                client,
                answer,
            } => {
                let Some(waiting) = self.waiting.remove(client) else {
                    return Ok(());
                };
                if let Answer::Replies(_) = answer {
                    count_served(*node, &waiting, cluster);
                }
                self.answered(&waiting, answer, cluster.now())
            }
        }
    }

    /// A server stopped: whoever waits for it will not learn what became of the request.
    fn stopped(&mut self, node: NodeId, cluster: &Cluster) -> Stepped {
        let orphaned: Vec<_> = self
            .waiting
            .extract_if(.., |_, waiting| waiting.node == node)
            .collect();
        orphaned
            .into_iter()
            .try_for_each(|(_, waiting)| self.answered(&waiting, &Answer::Unknown, cluster.now()))
    }

    fn answered(&mut self, waiting: &Waiting, answer: &Answer, now: Time) -> Stepped {
        let think = self.random.micros(0, self.think_us);
        if !self.retired {
            self.next[waiting.client] = Some(now + think);
        }
        self.moments += 1;
        for (position, part) in waiting.parts.iter().enumerate() {
            match answer {
                Answer::Replies(replies) => {
                    let value = value(replies.get(position))?;
                    self.returned(part, value)?;
                }
                Answer::Unknown => self.never_returned(part, true),
                Answer::Refused(_)
                | Answer::Declined(_)
                | Answer::Stale
                | Answer::NoLeader
                | Answer::Leads(_)
                | Answer::Done(_) => {
                    self.never_returned(part, false);
                }
            }
        }
        self.served += u64::from(matches!(answer, Answer::Replies(_)));
        let keys = waiting.parts.iter().map(|part| part.key);
        for key in keys.collect::<std::collections::BTreeSet<_>>() {
            let is_done = self.keys[key].calls.len() >= MAX_OPERATIONS && self.keys[key].open == 0;
            if is_done && !self.current.contains(&key) {
                self.judge(key)?;
            }
        }
        Ok(())
    }

    fn returned(&mut self, part: &Part, value: i64) -> Stepped {
        let key = &mut self.keys[part.key];
        key.open -= 1;
        let call = &mut key.calls[part.call];
        let told = match call.operation {
            Operation::Set(_) => Told::Done,
            // Nothing counts as 0, which nobody sets.
            Operation::Get => Told::Value((value != 0).then_some(value)),
            Operation::Increment | Operation::Delete => Told::Number(value),
        };
        call.returned = Some((self.moments, told));
        match call.operation {
            Operation::Set(_) | Operation::Delete => return Ok(()),
            Operation::Increment => self.exactly_once.incremented(&key.name, value)?,
            Operation::Get => {}
        }
        if key.name.starts_with('c') {
            self.monotonic_reads.end(&key.name, part.at_least, value)?;
        }
        Ok(())
    }

    /// An operation that was not answered: it may have happened, or certainly has not.
    fn never_returned(&mut self, part: &Part, may_have_happened: bool) {
        let key = &mut self.keys[part.key];
        key.open -= 1;
        let call = &mut key.calls[part.call];
        if !may_have_happened || call.operation == Operation::Get {
            // As good as never called: it changed nothing and told nothing.
            call.operation = Operation::Get;
        } else if call.operation == Operation::Increment {
            self.exactly_once.unknown(&key.name);
        }
    }

    /// Searches the history of a key to which nothing will be added.
    fn judge(&mut self, key: usize) -> Stepped {
        let key = &mut self.keys[key];
        let calls = std::mem::take(&mut key.calls);
        match search(&calls, MAX_STATES) {
            Verdict::Linearizable => self.judged.0 += 1,
            Verdict::Inconclusive => self.judged.1 += 1,
            Verdict::Impossible => {
                return broken(
                    "linearizability",
                    format!("no order explains what was seen of {}: {calls:?}", key.name),
                );
            }
        }
        Ok(())
    }

    /// Nothing is under way any more: judges what is left.
    pub(crate) fn judge_all(&mut self) -> Stepped {
        (0..self.keys.len()).try_for_each(|key| self.judge(key))
    }

    /// All counters ever used.
    pub(crate) fn counters(&self) -> impl Iterator<Item = &str> {
        let names = self.keys.iter().map(|key| key.name.as_str());
        names.filter(|name| name.starts_with('c'))
    }

    /// Nothing is under way any more, and a counter holds this.
    pub(crate) fn counter_ended(&self, counter: &str, reply: Option<&Reply>) -> Stepped {
        self.exactly_once.ended(counter, value(reply)?)
    }
}

fn count_served(node: NodeId, waiting: &Waiting, cluster: &mut Cluster) {
    let leads = cluster.leader() == Some(node);
    match (waiting.reads, leads) {
        (true, true) => cluster.counters.add(Sometimes::ReadOnLeader),
        (true, false) => cluster.counters.add(Sometimes::ReadOnFollower),
        (false, false) => cluster.counters.add(Sometimes::WriteOnFollower),
        (false, true) => {}
    }
}

/// The number in a reply: 0 for nothing and for OK.
fn value(reply: Option<&Reply>) -> Stepped<i64> {
    let value = match reply {
        Some(Reply::Integer(value)) => Some(*value),
        Some(Reply::Null | Reply::Simple(_)) => Some(0),
        Some(Reply::Bulk(text)) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok()),
        _ => None,
    };
    value.ok_or_else(|| Violation {
        invariant: "replies",
        what: format!("a client was told {reply:?}"),
    })
}
