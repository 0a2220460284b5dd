//! Messages on their way. A snapshot travels with its data, and its sender learns whether it arrived.

use raft::{Message, NodeId};
use replica::{Event, PeerMessage};

use crate::cluster::{Cluster, Parcel, Planned, Stepped};
use crate::counters::Sometimes;

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
                    let data = data.and_then(|snapshot| snapshot.encode().ok());
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
            Parcel::Snapshot(envelope, data, boot) => {
                self.feed(to, Event::Snapshot(envelope, data))?;
                self.report_snapshot(from, boot, to, true);
                Ok(())
            }
        }
    }
}
