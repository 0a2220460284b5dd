//! What goes wrong, and when: each seed chooses which kinds of faults it has and how often they come.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use raft::{NodeId, Time};

use crate::clock::TRUE_RATE;
use crate::cluster::{Cluster, Stepped};
use crate::counters::Sometimes;
use crate::node::{CrashPoint, DiskSpeed, Stop};
use crate::queue::Queue;
use crate::random::Random;

macro_rules! kinds {
    ($($name:ident $text:literal $doc:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $doc] $name,)*
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    Crash "crash" "A server is killed or loses its power, and starts again.",
    CrashInStep "crash-in-step" "The same between the actions of one step, or within an operation of the disk.",
    CrashAll "crash-all" "All servers lose their power.",
    Pause "pause" "A server stands still for a while.",
    Partition "partition" "Two groups of servers cannot reach each other.",
    OneWay "one-way" "Some links work in one direction only.",
    Loss "loss" "Messages are lost.",
    Duplicate "duplicate" "Messages arrive twice.",
    Reorder "reorder" "Messages overtake each other, some by far.",
    Old "old" "Messages arrive again seconds later.",
    ClockRate "clock-rate" "Clocks for timeouts are fast or slow.",
    WallJump "wall-jump" "Clocks on the wall jump.",
    SlowDisk "slow-disk" "Syncs take long, completions come late.",
    FullDisk "full-disk" "A disk is full until its server was stopped over it.",
    Members "members" "The members change.",
    Transfer "transfer" "Leadership is handed over.",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// There is no such kind of fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of fault")]
pub struct UnknownFault(String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let found = Self::ALL.iter().find(|fault| fault.text() == text);
        found.copied().ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

/// What ends a fault.
#[derive(Clone, Copy, Debug)]
enum Planned {
    Fault(Fault),
    Start(NodeId),
    HealLinks,
    HealNetwork,
    HealDisk(NodeId),
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Faults {
    random: Random,
    queue: Queue<Planned>,
    /// Mean time between two faults of one kind, in microseconds.
    every_us: u64,
}

impl Faults {
    /// The seed's kinds of faults but those that are left out.
    pub(crate) fn new(mut random: Random, without: &BTreeSet<Fault>) -> Self {
        let every_us = random.between(3, 40) * 100_000;
        let mut queue = Queue::new();
        for &fault in Fault::ALL {
            // The draws do not depend on what is left out, so that leaving out changes as little as can be.
            let (chosen, first) = (random.chance(600), random.micros(100_000, 2 * every_us));
            if chosen && !without.contains(&fault) {
                queue.push(first, Planned::Fault(fault));
            }
        }
        Self {
            random,
            queue,
            every_us,
        }
    }

    pub(crate) fn next_time(&self) -> Option<Time> {
        self.queue.next_time()
    }

    /// Does what is due.
    pub(crate) fn strike(&mut self, cluster: &mut Cluster) -> Stepped {
        let now = cluster.now();
        while self.next_time().is_some_and(|next| next <= now) {
            let Some((_, planned)) = self.queue.pop() else {
                break;
            };
            match planned {
                Planned::Start(id) => cluster.start(id)?,
                Planned::HealLinks => cluster.network.unblock_all(),
                Planned::HealNetwork => self.heal_network(cluster),
                Planned::HealDisk(id) => {
                    cluster.set_disk_full(id, false);
                    cluster.set_disk_speed(id, DiskSpeed::default());
                }
                Planned::Fault(fault) => {
                    self.later(cluster, 1000, 2 * self.every_us, planned);
                    self.strike_one(fault, cluster)?;
                }
            }
        }
        Ok(())
    }

    /// A server stopped: it starts again after a while.
    pub(crate) fn stopped(&mut self, id: NodeId, cluster: &Cluster) {
        self.later(cluster, 1000, 600_000, Planned::Start(id));
    }

    fn heal_network(&self, cluster: &mut Cluster) {
        let network = &mut cluster.network;
        (network.loss, network.duplicate, network.straggle) = (0, 0, 0);
        network.delay_high_us = 1500;
    }

    fn later(&mut self, cluster: &Cluster, low_us: u64, high_us: u64, planned: Planned) {
        let at = cluster.now() + self.random.micros(low_us, high_us);
        self.queue.push(at, planned);
    }

    fn server(&mut self, cluster: &Cluster) -> NodeId {
        let ids: Vec<_> = cluster.ids().collect();
        // Leaders are more interesting than their share.
        let leader = cluster.leader().filter(|_| self.random.chance(350));
        leader.or_else(|| self.random.pick(&ids)).unwrap_or(1)
    }

    fn how(&mut self) -> Stop {
        if self.random.chance(700) {
            Stop::PowerLoss
        } else {
            Stop::Kill
        }
    }

    fn strike_one(&mut self, fault: Fault, cluster: &mut Cluster) -> Stepped {
        let id = self.server(cluster);
        match fault {
            Fault::Crash => {
                let how = self.how();
                cluster.stop(id, how);
            }
            Fault::CrashInStep if self.random.chance(400) => {
                let operation = self.random.between(1, 25);
                cluster.lose_power_at(id, operation);
            }
            Fault::CrashInStep => {
                let points = [
                    CrashPoint::BeforeWrite,
                    CrashPoint::AfterWrite,
                    CrashPoint::AmongMessages,
                    CrashPoint::BeforeAnswers,
                    CrashPoint::Staging(false),
                    CrashPoint::Staging(true),
                ];
                let point = self.random.pick(&points).unwrap_or(points[0]);
                let how = self.how();
                cluster.crash_in_step(id, point, how);
            }
            Fault::CrashAll => {
                for id in cluster.ids() {
                    cluster.stop(id, Stop::PowerLoss);
                }
            }
            Fault::Pause => {
                let length = self.random.micros(20_000, 700_000);
                cluster.pause(id, length);
                if self.random.chance(400) {
                    // Whoever stands still for long is cut off by the others, and takes a while to be back.
                    cluster.disconnect(id);
                    self.later(cluster, 200_000, 1_000_000, Planned::HealLinks);
                }
            }
            Fault::Partition | Fault::OneWay => self.partition(fault, cluster),
            Fault::Loss | Fault::Duplicate | Fault::Reorder | Fault::Old => {
                self.disturb_network(fault, cluster);
            }
            Fault::ClockRate if self.random.chance(300) => self.leave_behind(cluster),
            Fault::ClockRate => {
                let rate = self.random.between(TRUE_RATE / 2, TRUE_RATE * 2);
                cluster.set_clock_rate(id, rate);
                cluster.counters.add(Sometimes::ClockRateChanged);
            }
            Fault::WallJump => self.jump(id, cluster),
            Fault::SlowDisk => self.slow_down(id, cluster),
            Fault::FullDisk => {
                cluster.set_disk_full(id, true);
                self.later(cluster, 20_000, 400_000, Planned::HealDisk(id));
            }
            Fault::Members => self.change_members(id, cluster)?,
            Fault::Transfer => {
                if let Some(leader) = cluster.leader() {
                    let to = self.server(cluster);
                    cluster.transfer(leader, to)?;
                }
            }
        }
        Ok(())
    }

    fn slow_down(&mut self, id: NodeId, cluster: &mut Cluster) {
        cluster.counters.add(Sometimes::DiskSlow);
        let speed = DiskSpeed {
            sync_low_us: 1000,
            sync_high_us: self.random.between(5000, 250_000),
            late: self.random.below(600),
        };
        cluster.set_disk_speed(id, speed);
        self.later(cluster, 50_000, 1_500_000, Planned::HealDisk(id));
    }

    fn partition(&mut self, fault: Fault, cluster: &mut Cluster) {
        let ids: Vec<_> = cluster.ids().collect();
        let alone = cluster.leader().filter(|_| self.random.chance(400));
        let (here, there): (Vec<_>, Vec<_>) = ids.iter().partition(|&&id| match alone {
            Some(leader) => id == leader,
            None => self.random.chance(500),
        });
        if fault == Fault::Partition {
            cluster.partition(&[&here, &there]);
        } else {
            for &from in &here {
                for &to in &there {
                    cluster.network.block(from, to);
                }
            }
            cluster.note(0, || format!("nothing gets from {here:?} to {there:?}"));
        }
        self.later(cluster, 20_000, 1_500_000, Planned::HealLinks);
    }

    /// A leader is cut off and so slow that it still believes to lead when others have long elected one of themselves.
    fn leave_behind(&mut self, cluster: &mut Cluster) {
        let Some(leader) = cluster.leader() else {
            return;
        };
        for id in cluster.ids() {
            let rate = if id == leader {
                TRUE_RATE / 8
            } else {
                TRUE_RATE * 2
            };
            cluster.set_clock_rate(id, rate);
        }
        cluster.disconnect(leader);
        self.later(cluster, 100_000, 800_000, Planned::HealLinks);
    }

    fn disturb_network(&mut self, fault: Fault, cluster: &mut Cluster) {
        let much = self.random.between(5, 300);
        let network = &mut cluster.network;
        match fault {
            Fault::Loss => network.loss = much,
            Fault::Duplicate => network.duplicate = much,
            Fault::Old => network.old = 1 + much / 20,
            _ => {
                network.straggle = much;
                network.delay_high_us = 1500 + 100 * much;
            }
        }
        cluster.note(0, || format!("{fault}: {much} in a thousand"));
        self.later(cluster, 50_000, 3_000_000, Planned::HealNetwork);
    }

    fn jump(&mut self, id: NodeId, cluster: &mut Cluster) {
        let most = self
            .random
            .pick(&[50, 5000, 3_600_000, 86_400_000])
            .unwrap_or(50);
        let by = i64::try_from(self.random.between(1, most)).unwrap_or(1);
        if self.random.chance(500) {
            cluster.jump_wall(id, by);
            cluster.counters.add(Sometimes::WallJumpedAhead);
        } else {
            cluster.jump_wall(id, -by);
            cluster.counters.add(Sometimes::WallJumpedBack);
        }
    }

    fn change_members(&mut self, id: NodeId, cluster: &mut Cluster) -> Stepped {
        let (mut voters, mut learners) = (BTreeSet::new(), BTreeSet::new());
        for id in cluster.ids() {
            match self.random.below(10) {
                0..=5 => {
                    voters.insert(id);
                }
                6 | 7 => {
                    learners.insert(id);
                }
                _ => {}
            }
        }
        let at = cluster.leader().unwrap_or(id);
        cluster.change(at, voters, learners).map(drop)
    }
}
