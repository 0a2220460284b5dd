//! The next thing that is due, and the actions of a server's step: what its driver does in a program.

use raft::{NodeId, Role};
use replica::{Actions, Answer, Event};

use crate::cluster::{Cluster, Occurrence, Planned, Stepped, position};
use crate::counters::Sometimes;
use crate::invariants::{Glimpse, Seen, Violation, broken};
use crate::node::{CrashPoint, Stop, kind};
use crate::transport::Transfer;

/// How often a server may want to know the time while none passes.
const MAX_TICKS: u32 = 20;

impl Cluster {
    /// Does the next thing that is due. False when there is none.
    ///
    /// # Errors
    /// [`Violation`]: an invariant does not hold any more.
    pub fn step(&mut self) -> Stepped<bool> {
        let Some((at, planned)) = self.queue.pop() else {
            return Ok(false);
        };
        self.now = self.now.max(at);
        if let Some(mut later) = self.paused(&planned) {
            if let Planned::Tick(id) = planned {
                // Nothing says what a process that goes on looks at first: its timers, or what has come meanwhile.
                later += self.random.micros(0, 1000);
                let tick_at = &mut self.node_mut(id).tick_at;
                if *tick_at == Some(at) {
                    *tick_at = Some(later);
                }
            }
            self.queue.push(later, planned);
            return Ok(true);
        }
        match planned {
            Planned::Tick(id) => self.tick(id, at)?,
            Planned::Deliver {
                from,
                to,
                parcel,
                old,
            } => self.deliver(from, to, parcel, old)?,
            Planned::Stage(transfer) => self.stage(transfer)?,
            Planned::Staged(transfer, staged) => self.staged(transfer, staged)?,
            Planned::SnapshotSent {
                node,
                boot,
                to,
                delivered,
            } => {
                if self.is_start(node, boot) {
                    self.feed(node, Event::SnapshotSent { to, delivered })?;
                }
            }
            Planned::Client { node, boot, event } => {
                if self.is_start(node, boot) {
                    self.feed(node, event)?;
                }
            }
            Planned::Synced { node, boot, number } => {
                if self.is_start(node, boot) {
                    self.synced(node, number)?;
                }
            }
            Planned::Persisted { node, boot } => {
                if self.is_start(node, boot) {
                    let number = self.node(node).synced;
                    self.feed(node, Event::Persisted(number))?;
                }
            }
            Planned::Flushed {
                node,
                boot,
                engine,
                position,
                index,
            } => {
                if self.is_start(node, boot) {
                    let flushed = engine.make_durable(position);
                    flushed.expect("an engine in memory takes again what it took before");
                    self.feed(node, Event::Flushed(index))?;
                }
            }
        }
        Ok(true)
    }

    /// When the server that this is for takes notice of anything again, if it does not now.
    fn paused(&self, planned: &Planned) -> Option<raft::Time> {
        let (Planned::Stage(Transfer { to: id, .. })
        | Planned::Staged(Transfer { to: id, .. }, _)
        | Planned::Tick(id)
        | Planned::Deliver { to: id, .. }
        | Planned::SnapshotSent { node: id, .. }
        | Planned::Client { node: id, .. }
        | Planned::Persisted { node: id, .. }
        | Planned::Flushed { node: id, .. }
        | Planned::Synced { node: id, .. }) = *planned;
        let until = self.node(id).paused_until;
        (until > self.now).then_some(until)
    }

    /// Whether the server runs and was not started again since.
    pub(crate) fn is_start(&self, id: NodeId, boot: u64) -> bool {
        let node = self.node(id);
        node.running.is_some() && node.boot == boot
    }

    fn tick(&mut self, id: NodeId, at: raft::Time) -> Stepped {
        let now = self.now;
        let node = self.node_mut(id);
        // Later ones replace earlier ones, which stay in the queue.
        if node.tick_at != Some(at) {
            return Ok(());
        }
        node.tick_at = None;
        let local = node.now(now).time;
        let deadline = node
            .running
            .as_ref()
            .and_then(|running| running.replica.deadline());
        if deadline.is_some_and(|deadline| deadline <= local) {
            if node.overdue.0 != now {
                node.overdue = (now, 0);
            }
            node.overdue.1 += 1;
            if node.overdue.1 > MAX_TICKS {
                return broken(
                    "deadlines",
                    format!("server {id} wants to be told the time again and again"),
                );
            }
            return self.feed(id, Event::Tick);
        }
        self.plan_tick(id);
        Ok(())
    }

    /// Plans a look at the server's deadline, unless an earlier one is planned.
    pub(crate) fn plan_tick(&mut self, id: NodeId) {
        let now = self.now;
        let node = self.node_mut(id);
        let deadline = node
            .running
            .as_ref()
            .and_then(|running| running.replica.deadline());
        let Some(at) = deadline.map(|deadline| node.clock.when(deadline).max(now)) else {
            return;
        };
        if node.tick_at.is_none_or(|planned| at < planned) {
            node.tick_at = Some(at);
            self.queue.push(at, Planned::Tick(id));
        }
    }

    /// Something happens to a server: one step of it, its checks, and its actions. Nothing if it does not run.
    ///
    /// # Errors
    /// [`Violation`].
    pub(crate) fn feed(&mut self, id: NodeId, event: Event) -> Stepped {
        let now = self.now;
        let node = self.node_mut(id);
        let at = node.now(now);
        let Some(running) = &mut node.running else {
            return Ok(());
        };
        let (event_kind, before) = (kind(&event), running.glimpse);
        let text = if self.trace.is_recording() {
            format!("{event:?}")
        } else {
            String::new()
        };
        let running = self.nodes[usize::try_from(id - 1).unwrap_or(0)]
            .running
            .as_mut();
        let running = running.expect("it runs, as was seen above");
        let stepped = running.replica.step(at, event);
        self.steps += 1;
        let actions = stepped.map_err(|error| Violation {
            invariant: "machine",
            what: format!("server {id} must stop: {error}"),
        })?;
        let after = Glimpse::of(&running.replica);
        running.glimpse = after;
        self.trace.mix(&[
            u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            id,
            event_kind,
            after.term,
            after.role as u64,
            after.last.index,
            after.committed,
            running.replica.machine().hash(),
        ]);
        self.trace
            .line(self.steps, now, id, || (text, Some(format!("{after:?}"))));
        let seen = Seen {
            node: id,
            before,
            after,
            replica: &running.replica,
            actions: &actions,
        };
        count(&seen, &mut self.counters);
        self.invariants.check(&seen, &mut self.counters)?;
        self.carry_out(id, actions);
        self.plan_tick(id);
        Ok(())
    }

    fn carry_out(&mut self, id: NodeId, actions: Actions) {
        let crash = self.crash_point(id, &actions);
        let point = crash.map(|(point, _)| point);
        if point != Some(CrashPoint::BeforeWrite) {
            if let Some(write) = &actions.write
                && !self.append(id, write)
            {
                return;
            }
            let messages = actions.messages.len();
            let leave = match point {
                Some(CrashPoint::AfterWrite) => 0,
                Some(CrashPoint::AmongMessages) => messages / 2,
                _ => messages,
            };
            for (to, message) in actions.messages.into_iter().take(leave) {
                self.post(id, to, message);
            }
        }
        if let Some((point, how)) = crash {
            self.counters.add(Sometimes::CrashInStep);
            self.note(id, || format!("crash {point:?}"));
            self.stop(id, how);
            return;
        }
        for (client, answer) in actions.answers {
            self.count_answer(&answer);
            let occurrence = Occurrence::Answered {
                node: id,
                client,
                answer,
            };
            self.occurrences.push(occurrence);
        }
        if let Some(index) = actions.flush {
            self.flush(id, index);
        }
        if let Some((last, configuration)) = actions.purge {
            let purged = self.node_mut(id).disk.purge(last, &configuration);
            if let Err(failed) = purged {
                self.disk_failed(id, failed);
            }
        }
    }

    /// Where to crash, if in this step.
    fn crash_point(&mut self, id: NodeId, actions: &Actions) -> Option<(CrashPoint, Stop)> {
        let has_work = actions.write.is_some() || !actions.messages.is_empty();
        let among = |point| has_work && !matches!(point, CrashPoint::Staging(_));
        let armed = &mut self.node_mut(id).crash_point;
        armed.take_if(|(point, _)| among(*point))
    }

    /// Hands a write to the disk. False when the server had to stop over it.
    fn append(&mut self, id: NodeId, write: &raft::Write) -> bool {
        let node = self.node_mut(id);
        if let Err(failed) = node.disk.append(write) {
            self.disk_failed(id, failed);
            return false;
        }
        node.appended = write.number;
        let first = write.entries.first().map(|entry| entry.id.index);
        if let Some(snapshot) = &write.snapshot {
            node.installed = Some(snapshot.last.index);
        } else if let Some(installed) = node.installed
            && first == Some(installed + 1)
        {
            node.installed = None;
            self.counters.add(Sometimes::WentOnBehindSnapshot);
        }
        self.begin_sync(id);
        true
    }

    fn begin_sync(&mut self, id: NodeId) {
        let node = &mut self.nodes[position(id)];
        if node.syncing || node.synced == node.appended {
            return;
        }
        node.syncing = true;
        let speed = node.disk_speed;
        let done = self.now + self.random.micros(speed.sync_low_us, speed.sync_high_us);
        let (boot, number) = (node.boot, node.appended);
        let node = id;
        self.queue
            .push(done, Planned::Synced { node, boot, number });
    }

    fn synced(&mut self, id: NodeId, number: raft::WriteNumber) -> Stepped {
        let node = &mut self.nodes[usize::try_from(id - 1).unwrap_or(0)];
        if let Err(failed) = node.disk.sync(number) {
            self.disk_failed(id, failed);
            return Ok(());
        }
        node.synced = number;
        node.syncing = false;
        let (boot, late) = (node.boot, node.disk_speed.late);
        self.begin_sync(id);
        if self.random.chance(late) {
            self.counters.add(Sometimes::CompletionLate);
            let told = self.now + self.random.micros(1000, 40_000);
            self.queue.push(told, Planned::Persisted { node: id, boot });
            return Ok(());
        }
        self.feed(id, Event::Persisted(number))
    }

    fn flush(&mut self, id: NodeId, index: raft::Index) {
        let done = self.now + self.random.micros(500, 20_000);
        let node = self.node(id);
        // Perhaps another is in use by then.
        let engine = node.states.engine();
        let planned = Planned::Flushed {
            node: id,
            boot: node.boot,
            position: storage::Durability::applied(&*engine),
            engine,
            index,
        };
        self.queue.push(done, planned);
    }

    fn count_answer(&mut self, answer: &Answer) {
        let what = match answer {
            Answer::Unknown => Sometimes::AnsweredUnknown,
            Answer::NoLeader => Sometimes::AnsweredNoLeader,
            Answer::Refused(_) | Answer::Declined(_) | Answer::Stale => Sometimes::AnsweredRefused,
            Answer::Replies(_) | Answer::Done(_) | Answer::Leads(_) => return,
        };
        self.counters.add(what);
    }
}

/// What the step made happen, of that which has to happen sometimes.
fn count(seen: &Seen<'_>, counters: &mut crate::counters::Counters) {
    let (before, after) = (&seen.before, &seen.after);
    let configuration = seen.replica.core().configuration().1;
    let mut when = |condition, what| counters.add_many(what, u64::from(condition));
    when(seen.newly_leads(), Sometimes::LeaderElected);
    let deposed = before.role == Role::Leader && after.role != Role::Leader;
    when(deposed, Sometimes::LeaderDeposed);
    let left = deposed && before.term == after.term && !configuration.is_voter(seen.node);
    when(left, Sometimes::LeaderRemoved);
    let (was, is) = (before.configuration, after.configuration);
    when(!was.1 && is.1, Sometimes::EnteredJoint);
    when(was.1 && !is.1 && is.0 > was.0, Sometimes::LeftJoint);
    when(is.0 < was.0, Sometimes::ChangeUndone);
    let learner = is.0 > was.0 && !configuration.learners.is_empty();
    when(learner, Sometimes::LearnerAdded);
    when(after.compacted > before.compacted, Sometimes::LogCompacted);
    let Some(write) = &seen.actions.write else {
        return;
    };
    let first = write.entries.first();
    let truncated = first.is_some_and(|first| first.id.index <= before.last.index);
    when(
        truncated && write.snapshot.is_none(),
        Sometimes::LogTruncated,
    );
    if let Some(snapshot) = &write.snapshot {
        when(true, Sometimes::SnapshotInstalled);
        when(
            snapshot.configuration.is_joint(),
            Sometimes::SnapshotInstalledInJoint,
        );
    }
}
