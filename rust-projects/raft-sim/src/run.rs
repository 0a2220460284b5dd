//! One run: a seed, its cluster, its clients and faults, and at the end the proof that everything works again.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use raft::NodeId;
use replica::{Answer, Request, Settings};

use crate::clients::Clients;
use crate::clock::TRUE_RATE;
use crate::cluster::{Cluster, Occurrence, Setup, Stepped, request};
use crate::counters::Counters;
use crate::deciders::Deciders;
use crate::disk::MemoryDisk;
use crate::faults::{Fault, Faults};
use crate::file_disk::FileDisk;
use crate::invariants::{Violation, broken};
use crate::network::Network;
use crate::node::DiskSpeed;
use crate::random::Random;
use crate::trace::Line;

/// After the faults have stopped everything has to work within this time.
const RECOVERY: Duration = Duration::from_secs(20);

/// Faults stop after so long at the latest.
const LONGEST: Duration = Duration::from_secs(3600);

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// Faults stop after so many events; what follows them comes in addition.
    pub events: u64,
    /// Kinds of faults that are left out.
    pub without: BTreeSet<Fault>,
    /// Whether to keep every line of the trace.
    pub record: bool,
}

impl Options {
    /// The seed's run with all its faults.
    #[must_use]
    pub fn new(seed: u64, events: u64) -> Self {
        Self {
            seed,
            events,
            without: BTreeSet::new(),
            record: false,
        }
    }
}

/// The command that runs it again.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, events, .. } = self;
        write!(
            f,
            "cargo xtask sim --start {seed} --seeds 1 --events {events}"
        )?;
        for (position, fault) in self.without.iter().enumerate() {
            let before = if position == 0 { " --without " } else { "," };
            write!(f, "{before}{fault}")?;
        }
        Ok(())
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Events that servers took in.
    pub events: u64,
    /// Of everything that happened.
    pub hash: u64,
    /// What happened how often.
    pub counters: Counters,
    /// Requests answered with what they asked for.
    pub served: u64,
    /// Histories of keys that were found linearizable.
    pub linearizable: u64,
    /// Histories that could not be judged.
    pub inconclusive: u64,
    /// What did not hold, if anything.
    pub violation: Option<Violation>,
    /// The trace, if it was to be kept.
    pub lines: Vec<Line>,
}

/// Runs a seed. A panic in what is tested is a violation too.
#[must_use]
pub fn run(options: &Options) -> Outcome {
    let mut run = Run::new(options);
    let ended = catch_unwind(AssertUnwindSafe(|| run.play_to_the_end()));
    let violation = match ended {
        Ok(ended) => ended.err(),
        Err(panic) => Some(Violation {
            invariant: "no panic",
            what: message(&*panic),
        }),
    };
    Outcome {
        events: run.cluster.steps(),
        hash: run.cluster.trace.hash(),
        counters: run.cluster.counters,
        served: run.clients.served,
        linearizable: run.clients.judged.0,
        inconclusive: run.clients.judged.1,
        violation,
        lines: run.cluster.trace.into_lines(),
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

struct Run {
    cluster: Cluster,
    clients: Clients,
    deciders: Deciders,
    faults: Faults,
    events: u64,
}

impl Run {
    fn new(options: &Options) -> Self {
        let mut random = Random::new(options.seed);
        let servers = random.pick(&[1, 3, 3, 3, 4, 5, 5, 5, 6, 7]).unwrap_or(3);
        let founders = random.between(1, servers);
        let setup = Setup {
            servers,
            founders: (1..=founders.max(servers.min(3))).collect(),
            settings: settings(&mut random),
            seed: random.number(),
            record: options.record,
        };
        // The real log in every other run: what it costs is not spent on the core.
        let (on_files, mut entropy) = (random.chance(500), random.fork());
        let cluster = Cluster::with_disks(&setup, |_, founders| {
            if on_files {
                Box::new(FileDisk::new(founders, entropy.number()))
            } else {
                Box::new(MemoryDisk::new(founders))
            }
        });
        Self {
            cluster,
            clients: Clients::new(random.fork()),
            faults: Faults::new(random.fork(), &options.without),
            deciders: Deciders::new(random.fork()),
            events: options.events,
        }
    }

    fn play_to_the_end(&mut self) -> Stepped {
        self.cluster.start_all()?;
        // A cluster that the faults have left with nothing to do would never get there.
        while self.cluster.steps() < self.events && self.cluster.now() < LONGEST {
            self.advance()?;
        }
        self.mend()?;
        self.settle()?;
        self.clients.judge_all()?;
        self.check_members()?;
        self.check_counters()
    }

    /// Does the next thing that is due: a server's, a client's or a fault.
    fn advance(&mut self) -> Stepped {
        let clients = self.clients.next_time();
        let deciders = self.deciders.next_time();
        let faults = self.faults.next_time();
        let drivers = clients.into_iter().chain(deciders).chain(faults).min();
        match (drivers, self.cluster.next_time()) {
            (Some(driver), next) if next.is_none_or(|next| driver < next) => {
                self.cluster.pass_to(driver);
                self.faults.strike(&mut self.cluster)?;
                self.clients.ask(&mut self.cluster)?;
                self.deciders.ask(&mut self.cluster)?;
            }
            (_, Some(_)) => {
                self.cluster.step()?;
            }
            (_, None) => return broken("liveness", "nothing is due any more"),
        }
        self.notice()
    }

    fn notice(&mut self) -> Stepped {
        for occurrence in self.cluster.take_occurrences() {
            if !self.deciders.notice(&occurrence, &mut self.cluster)? {
                self.clients.notice(&occurrence, &mut self.cluster)?;
            }
            match &occurrence {
                Occurrence::Stopped(node) => self.faults.stopped(*node, &self.cluster),
                Occurrence::Answered {
                    node,
                    client,
                    answer: Answer::Done(id),
                } => self.cluster.check_done(*node, *client, *id)?,
                Occurrence::Answered { .. } => {}
            }
        }
        Ok(())
    }

    /// Faults stop, everybody is up.
    fn mend(&mut self) -> Stepped {
        self.cluster.network = Network::default();
        for id in self.cluster.ids() {
            self.cluster.set_disk_full(id, false);
            self.cluster.set_disk_speed(id, DiskSpeed::default());
            self.cluster.set_clock_rate(id, TRUE_RATE);
            self.cluster.pause(id, Duration::ZERO);
            self.cluster.cancel_crash(id);
        }
        self.clients.retire();
        self.deciders.retire();
        self.cluster.start_all()
    }

    /// What is under way ends, and the cluster's members are those of a simple configuration.
    fn settle(&mut self) -> Stepped {
        let limit = self.cluster.now() + RECOVERY;
        loop {
            let nobody_waits = self.clients.nobody_waits() && self.deciders.nobody_waits();
            if nobody_waits && self.is_settled() {
                return Ok(());
            }
            if self.cluster.now() >= limit {
                return broken(
                    "liveness",
                    format!(
                        "{RECOVERY:?} after the last fault: leader {:?}, clients wait: {}",
                        self.cluster.leader(),
                        !nobody_waits
                    ),
                );
            }
            if !self.cluster.step()? {
                return broken("liveness", "nothing is due any more");
            }
            self.notice()?;
        }
    }

    fn is_settled(&self) -> bool {
        let leader = self
            .cluster
            .leader()
            .and_then(|id| self.cluster.replica(id));
        leader.is_some_and(|leader| {
            let (from, configuration) = leader.core().configuration();
            !configuration.is_joint() && from <= leader.core().committed()
        })
    }

    fn members(&self) -> Vec<NodeId> {
        let leader = self.cluster.leader();
        let configuration = leader.and_then(|id| self.cluster.node(id).configuration());
        configuration.map_or_else(Vec::new, |configuration| configuration.members().collect())
    }

    /// A write and a read through every member succeed, and all members come to hold the same.
    fn check_members(&mut self) -> Stepped {
        let members = self.members();
        for &id in &members {
            let value = format!("by {id}");
            let set = request(&["SET", "last", &value]);
            self.expect(id, &Cluster::write, &set, &wire::Reply::OK)?;
            let get = request(&["GET", "last"]);
            self.expect(id, &Cluster::read, &get, &wire::Reply::Bulk(value.into()))?;
        }
        let is_equal = |cluster: &Cluster| {
            let state = |&id: &NodeId| {
                let machine = cluster.replica(id)?.machine();
                Some((machine.applied(), machine.hash()))
            };
            let mut states = members.iter().map(state);
            let first = states.next().flatten();
            first.is_some() && states.all(|state| state == first)
        };
        if !self.cluster.run_until(RECOVERY, is_equal)? {
            return broken(
                "liveness",
                format!("members {members:?} do not come to be equal"),
            );
        }
        let contents: Vec<_> = members
            .iter()
            .map(|&id| self.cluster.contents(id))
            .collect();
        let same = contents.windows(2).all(|pair| match pair {
            [Ok(one), Ok(other)] => one == other,
            _ => false,
        });
        if same {
            Ok(())
        } else {
            broken(
                "equal replicas",
                "members with equal hashes hold different bytes",
            )
        }
    }

    /// A request through a member gets this reply, within some time and attempts: a member that catches up by a snapshot has to say *unknown* of
    /// what it finds applied in it.
    fn expect(
        &mut self,
        id: NodeId,
        ask: &dyn Fn(&mut Cluster, NodeId, Request) -> Stepped<u64>,
        request: &Request,
        reply: &wire::Reply,
    ) -> Stepped {
        let limit = self.cluster.now() + RECOVERY;
        loop {
            let client = ask(&mut self.cluster, id, request.clone())?;
            let answer = self.cluster.wait(client, RECOVERY)?;
            match &answer {
                Some(Answer::Replies(replies)) if replies.first() == Some(reply) => return Ok(()),
                Some(Answer::Unknown | Answer::Refused(_) | Answer::NoLeader)
                    if self.cluster.now() < limit =>
                {
                    self.cluster.run_for(Duration::from_millis(100))?;
                }
                _ => {
                    return broken(
                        "liveness",
                        format!("a request through member {id} came to {answer:?}"),
                    );
                }
            }
        }
    }

    fn check_counters(&mut self) -> Stepped {
        let names: Vec<_> = self.clients.counters().map(str::to_owned).collect();
        let Some(&member) = self.members().first() else {
            return broken("liveness", "nobody leads any more");
        };
        if let Some(replica) = self.cluster.replica(member) {
            self.deciders.ended(replica.machine().engine().latest())?;
        }
        let gets = names.iter().map(|name| request(&["GET", name]).concat());
        let client = self.cluster.read(member, gets.collect())?;
        let Some(Answer::Replies(replies)) = self.cluster.wait(client, RECOVERY)? else {
            return broken("liveness", "counters could not be read");
        };
        names.iter().enumerate().try_for_each(|(position, name)| {
            self.clients.counter_ended(name, replies.get(position))
        })
    }
}

/// Thresholds so small that a short run meets them often.
fn settings(random: &mut Random) -> Settings {
    let mut settings = Settings::new(0);
    settings.retry = random.micros(80_000, 500_000);
    settings.give_up = random.micros(500_000, 4_000_000);
    settings.flush_bytes = usize::try_from(random.between(100, 3000)).unwrap_or(100);
    settings.compact_bytes = usize::try_from(random.between(100, 4000)).unwrap_or(100);
    let keep = if random.chance(500) { 0 } else { 1500 };
    settings.keep_bytes = usize::try_from(random.below(keep)).unwrap_or(0);
    settings.pin_bytes = 2 * settings.compact_bytes;
    settings.check_entries = random.between(3, 40);
    let flow = &mut settings.raft.flow;
    flow.max_message_bytes = usize::try_from(random.between(1, 2000)).unwrap_or(1);
    flow.max_inflight_bytes = usize::try_from(random.between(1, 8000)).unwrap_or(1);
    flow.max_inflight_messages = usize::try_from(random.between(1, 16)).unwrap_or(1);
    if random.chance(200) {
        settings.raft.max_uncommitted_bytes =
            usize::try_from(random.between(100, 2000)).unwrap_or(100);
    }
    settings
}
