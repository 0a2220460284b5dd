//! What is done to the servers of a [`Cluster`] and their links: starting, stopping, disturbing.

use raft::{NodeId, Time};
use replica::Replica;

use crate::cluster::{Cluster, Occurrence, Stepped, position};
use crate::counters::Sometimes;
use crate::disk::DiskFailed;
use crate::invariants::{Glimpse, Violation};
use crate::node::{CrashPoint, DiskSpeed, Running, Stop};

/// Starting, stopping and disturbing servers.
impl Cluster {
    /// Starts a server, again or for the first time; nothing if it runs.
    ///
    /// # Errors
    /// [`Violation`]: it finds on its disk what must not be there, or cannot start.
    pub fn start(&mut self, id: NodeId) -> Stepped {
        let (now, seed) = (self.now, self.random.number());
        let node = &mut self.nodes[position(id)];
        if node.running.is_some() {
            return Ok(());
        }
        node.boot += 1;
        let (settings, engine) = (node.settings.clone(), node.states.engine());
        let recovered = match node.disk.open() {
            Ok(recovered) => recovered,
            Err(failed) => {
                self.disk_failed(id, failed);
                return Ok(());
            }
        };
        let opened = Replica::open(settings, engine, recovered, node.boot, node.now(now), seed);
        let (replica, anew) = opened.map_err(|error| Violation {
            invariant: "restart",
            what: format!("server {id} does not start: {error}"),
        })?;
        if let Some(snapshot) = &anew {
            self.counters.add(Sometimes::LogAnew);
            if let Err(failed) = node.disk.restart(snapshot) {
                self.disk_failed(id, failed);
                return Ok(());
            }
        }
        self.invariants.check_started(id, &replica)?;
        let glimpse = Glimpse::of(&replica);
        node.running = Some(Running { replica, glimpse });
        self.note(id, || "start".to_owned());
        self.plan_tick(id);
        Ok(())
    }

    /// Starts all servers that do not run.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_all(&mut self) -> Stepped {
        let ids: Vec<_> = self.ids().collect();
        ids.into_iter().try_for_each(|id| self.start(id))
    }

    /// Stops a server; nothing if it does not run.
    pub fn stop(&mut self, id: NodeId, how: Stop) {
        if let Some(running) = &self.node(id).running {
            let led = running.replica.is_leader();
            self.counters
                .add_many(Sometimes::RestartedLeader, u64::from(led));
            self.go_down(id, how);
        }
    }

    /// The disk does not let a server go on, or start.
    pub(crate) fn disk_failed(&mut self, id: NodeId, failed: DiskFailed) {
        let (what, how) = match failed {
            DiskFailed::Full => (Sometimes::DiskFull, Stop::Kill),
            DiskFailed::PowerLost => (Sometimes::PowerLostOnDisk, Stop::PowerLoss),
        };
        self.counters.add(what);
        self.go_down(id, how);
    }

    fn go_down(&mut self, id: NodeId, how: Stop) {
        let (now, power_lost) = (self.now, how == Stop::PowerLoss);
        let node = &mut self.nodes[position(id)];
        node.running = None;
        let lost_writes = node.disk.crash(power_lost, &mut self.random);
        let crashed = node.states.crash(power_lost, &mut self.random);
        let lost_batches = crashed.expect("an engine in memory takes again what it took before");
        (node.appended, node.synced, node.syncing) = (0, 0, false);
        (node.crash_point, node.tick_at) = (None, None);
        node.paused_until = now;
        let counters = &mut self.counters;
        counters.add(if power_lost {
            Sometimes::PowerLost
        } else {
            Sometimes::Killed
        });
        counters.add_many(Sometimes::LogWriteLost, lost_writes);
        counters.add_many(Sometimes::EngineRolledBack, u64::from(lost_batches > 0));
        self.occurrences.push(Occurrence::Stopped(id));
        self.note(id, || {
            format!("{how:?}: {lost_writes} log writes and {lost_batches} batches lost")
        });
    }

    /// The server crashes in the middle of one of its next steps, the first that has something to write or to send.
    pub fn crash_in_step(&mut self, id: NodeId, point: CrashPoint, how: Stop) {
        self.node_mut(id).crash_point = Some((point, how));
    }

    /// The power fails in the middle of what the server's disk does, at this operation of those to come, counted from 1.
    pub fn lose_power_at(&mut self, id: NodeId, operation: u64) {
        self.node_mut(id).disk.lose_power_at(operation);
        self.note(id, || format!("power fails at disk operation {operation}"));
    }

    /// The server does not crash as [`Cluster::crash_in_step`] or [`Cluster::lose_power_at`] wanted, if it has not yet.
    pub(crate) fn cancel_crash(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        node.crash_point = None;
        node.disk.lose_power_at(u64::MAX);
    }

    /// Nothing reaches the server for so long, not even its timers; then everything at once.
    pub fn pause(&mut self, id: NodeId, length: Time) {
        let until = self.now + length;
        self.node_mut(id).paused_until = until;
        self.counters.add(Sometimes::Paused);
        self.note(id, || format!("pause {length:?}"));
    }

    /// The server's clock for timeouts runs at `rate` thousandths of a true one from now on.
    pub fn set_clock_rate(&mut self, id: NodeId, rate: u64) {
        let now = self.now;
        self.node_mut(id).clock.set_rate(now, rate);
        self.note(id, || format!("clock rate {rate}"));
        self.plan_tick(id);
    }

    /// The server's clock on the wall jumps.
    pub fn jump_wall(&mut self, id: NodeId, by_ms: i64) {
        self.node_mut(id).clock.jump_wall(by_ms);
        self.note(id, || format!("wall clock jumps {by_ms} ms"));
    }

    /// How the server's disk behaves from now on.
    pub fn set_disk_speed(&mut self, id: NodeId, speed: DiskSpeed) {
        self.node_mut(id).disk_speed = speed;
        self.note(id, || format!("{speed:?}"));
    }

    /// The server's disk has no room, or has again. A server that cannot write stops as if killed.
    pub fn set_disk_full(&mut self, id: NodeId, full: bool) {
        self.node_mut(id).disk.set_full(full);
        self.note(id, || format!("disk full: {full}"));
    }

    /// Blocks all links between servers of different groups; a server in no group is alone.
    pub fn partition(&mut self, groups: &[&[NodeId]]) {
        self.network.unblock_all();
        let ids: Vec<_> = self.ids().collect();
        let group = |id: NodeId| groups.iter().position(|group| group.contains(&id));
        for &from in &ids {
            for &to in &ids {
                if from != to && (group(from).is_none() || group(from) != group(to)) {
                    self.network.block(from, to);
                }
            }
        }
        self.note(0, || format!("partition {groups:?}"));
    }

    /// Blocks all links of a server, both ways.
    pub fn disconnect(&mut self, id: NodeId) {
        for other in 1..=self.nodes.len() as u64 {
            self.network.block(id, other);
            self.network.block(other, id);
        }
    }

    /// Unblocks all links of a server, both ways.
    pub fn connect(&mut self, id: NodeId) {
        for other in 1..=self.nodes.len() as u64 {
            self.network.unblock(id, other);
            self.network.unblock(other, id);
        }
    }
}
