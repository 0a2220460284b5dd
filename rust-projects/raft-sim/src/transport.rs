//! Messages on their way. A snapshot travels with its data, and its sender learns whether it arrived.

use std::sync::Arc;

use bytes::Bytes;
use raft::{Envelope, Message, NodeId};
use replica::{Event, PeerMessage, Receiving, Staged};

use crate::cluster::{Cluster, Parcel, Planned, Stepped};
use crate::counters::Sometimes;
use crate::invariants::Violation;
use crate::node::CrashPoint;

/// Bytes of pairs in a chunk: so few that a snapshot has several.
const CHUNK_BYTES: usize = 500;

/// A snapshot on its way in.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) to: NodeId,
    /// Of the receiver.
    start: u64,
    envelope: Envelope,
    chunks: Arc<[Bytes]>,
    next: usize,
    /// Of the sender.
    boot: u64,
    /// All of it has long been on its way: what becomes of the sender does not matter.
    old: bool,
    /// Until all is there.
    receiving: Option<Receiving>,
}

impl Cluster {
    /// A server sends a message.
    pub(crate) fn post(&mut self, from: NodeId, to: NodeId, message: PeerMessage) {
        *self.sent.entry((from, to)).or_default() += 1;
        let parcel = match message {
            PeerMessage::Raft(envelope) => match &envelope.message {
                Message::InstallSnapshot { snapshot, .. } => {
                    let data = self
                        .replica(from)
                        .and_then(|replica| replica.snapshot(snapshot.id));
                    let data = data.and_then(|snapshot| {
                        let chunks: Result<Arc<[_]>, _> = snapshot.chunks(CHUNK_BYTES).collect();
                        chunks.ok()
                    });
                    let boot = self.node(from).boot;
                    let Some(data) = data else {
                        self.report_snapshot(from, boot, to, false);
                        return;
                    };
                    Parcel::Snapshot(envelope, data, boot)
                }
                message => {
                    if matches!(message, Message::TimeoutNow) {
                        self.counters.add(Sometimes::TransferAsked);
                        let partitioned = u64::from(self.network.is_partitioned());
                        self.counters
                            .add_many(Sometimes::TransferInPartition, partitioned);
                    }
                    Parcel::Message(PeerMessage::Raft(envelope))
                }
            },
            message => Parcel::Message(message),
        };
        self.dispatch(from, to, &parcel);
    }

    fn dispatch(&mut self, from: NodeId, to: NodeId, parcel: &Parcel) {
        if self.network.is_blocked(from, to) {
            self.counters.add(Sometimes::MessageBlocked);
            self.lose(from, to, parcel);
            return;
        }
        let (arrivals, last_is_old) = self.network.arrivals(&mut self.random);
        let soon = arrivals.len() - usize::from(last_is_old);
        match soon {
            0 => {
                self.counters.add(Sometimes::MessageLost);
                self.lose(from, to, parcel);
            }
            1 => {}
            _ => self.counters.add(Sometimes::MessageDuplicated),
        }
        // Among many messages they are few, and an old one is worse than other old messages.
        if matches!(parcel, Parcel::Snapshot(..))
            && let Some(after) = self.network.old_snapshot(&mut self.random)
        {
            let planned = Planned::Deliver {
                from,
                to,
                parcel: parcel.clone(),
                old: true,
            };
            self.queue.push(self.now + after, planned);
        }
        for (position, after) in arrivals.into_iter().enumerate() {
            let planned = Planned::Deliver {
                from,
                to,
                parcel: parcel.clone(),
                old: position == soon,
            };
            self.queue.push(self.now + after, planned);
        }
    }

    fn lose(&mut self, from: NodeId, to: NodeId, parcel: &Parcel) {
        if let Parcel::Snapshot(_, _, boot) = parcel {
            self.counters.add(Sometimes::SnapshotLost);
            self.report_snapshot(from, *boot, to, false);
        }
    }

    /// The sender learns of a snapshot's fate after a while.
    fn report_snapshot(&mut self, node: NodeId, boot: u64, to: NodeId, delivered: bool) {
        let told = self.now + self.random.micros(500, 50_000);
        let planned = Planned::SnapshotSent {
            node,
            boot,
            to,
            delivered,
        };
        self.queue.push(told, planned);
    }

    pub(crate) fn deliver(
        &mut self,
        from: NodeId,
        to: NodeId,
        parcel: Parcel,
        old: bool,
    ) -> Stepped {
        if self.network.is_blocked(from, to) || self.node(to).running.is_none() {
            self.lose(from, to, &parcel);
            return Ok(());
        }
        if old {
            self.counters.add(Sometimes::OldMessage);
        }
        match parcel {
            Parcel::Message(message) => self.feed(to, Event::Peer(from, message)),
            Parcel::Snapshot(envelope, chunks, boot) => {
                let Message::InstallSnapshot { snapshot, .. } = &envelope.message else {
                    return Ok(());
                };
                let staging = self.node(to).states.stage();
                let transfer = Transfer {
                    receiving: Some(Receiving::new(staging, snapshot)),
                    to,
                    start: self.node(to).boot,
                    envelope,
                    chunks,
                    next: 0,
                    boot,
                    old,
                };
                self.stage(transfer)
            }
        }
    }

    /// A chunk arrives, and is written beside the state in use.
    pub(crate) fn stage(&mut self, mut transfer: Transfer) -> Stepped {
        let (from, to) = (transfer.envelope.from, transfer.to);
        self.crash_in_staging(to, false);
        if !self.is_start(to, transfer.start) {
            self.counters.add(Sometimes::CrashWhileStaging);
            self.report_snapshot(from, transfer.boot, to, false);
            return Ok(());
        }
        let is_cut = self.network.is_blocked(from, to) || !self.is_start(from, transfer.boot);
        if is_cut && !transfer.old {
            self.counters.add(Sometimes::SnapshotBrokenOff);
            self.report_snapshot(from, transfer.boot, to, false);
            return Ok(());
        }
        let failed = |error: replica::MachineError| Violation {
            invariant: "snapshot",
            what: format!("server {to} cannot receive one from {from}: {error}"),
        };
        let Some(mut receiving) = transfer.receiving.take() else {
            return Ok(());
        };
        let later = self.now + self.random.micros(100, 3000);
        if let Some(chunk) = transfer.chunks.get(transfer.next) {
            receiving.take(chunk).map_err(failed)?;
            transfer.next += 1;
            transfer.receiving = Some(receiving);
            self.queue.push(later, Planned::Stage(transfer));
        } else {
            let staged = receiving.finish().map_err(failed)?;
            self.queue.push(later, Planned::Staged(transfer, staged));
        }
        Ok(())
    }

    /// All of a snapshot is there: the server decides what becomes of it.
    pub(crate) fn staged(&mut self, transfer: Transfer, staged: Staged) -> Stepped {
        let (from, to) = (transfer.envelope.from, transfer.to);
        self.crash_in_staging(to, true);
        let arrived = self.is_start(to, transfer.start);
        self.report_snapshot(from, transfer.boot, to, arrived);
        if !arrived {
            self.counters.add(Sometimes::CrashBeforeSwitch);
            return Ok(());
        }
        let last = staged.last().index;
        let is_behind = |replica: &replica::Replica| replica.core().committed() >= last;
        let refused = self.replica(to).is_some_and(is_behind);
        self.counters
            .add_many(Sometimes::SnapshotRefused, u64::from(refused));
        self.feed(to, Event::Snapshot(transfer.envelope, staged))
    }

    fn crash_in_staging(&mut self, id: NodeId, complete: bool) {
        let armed = &mut self.node_mut(id).crash_point;
        let here = CrashPoint::Staging(complete);
        if let Some((_, how)) = armed.take_if(|(point, _)| *point == here) {
            self.note(id, || format!("crash {here:?}"));
            self.stop(id, how);
        }
    }
}
