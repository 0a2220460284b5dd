//! Messages between nodes, to and from protobuf.

use bytes::Bytes;
use proto::peer as pb;
use raft::{
    Appended, Configuration, Entry, Envelope, LogId, Message, NodeId, Payload, Refused,
    SnapshotMeta,
};
use replica::{Member, Origin, PeerMessage};

/// A peer sent what this version does not understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message lacks its {0}")]
pub(crate) struct Incomplete(&'static str);

type Result<T> = std::result::Result<T, Incomplete>;

/// The message of node `from` to node `to` as it travels.
pub(crate) fn encode(cluster: &str, from: NodeId, to: NodeId, message: PeerMessage) -> pb::Message {
    let body = match message {
        PeerMessage::Raft(envelope) => pb::message::Body::Raft(pb::Raft {
            term: envelope.term,
            message: Some(encode_raft(envelope.message)),
        }),
        PeerMessage::Forward {
            term,
            origin,
            attempt,
            request,
        } => pb::message::Body::Forward(pb::Forward {
            origin: Some(pb::Origin {
                node: origin.node,
                boot: origin.boot,
                sequence: origin.sequence,
                oldest: origin.oldest,
            }),
            attempt,
            term,
            request: request
                .into_iter()
                .map(|arguments| pb::Command { arguments })
                .collect(),
        }),
        PeerMessage::NotProposed {
            boot,
            sequence,
            attempt,
            why,
        } => {
            let (why, node) = encode_refusal(why);
            pb::message::Body::NotProposed(pb::NotProposed {
                boot,
                sequence,
                attempt,
                why: why.into(),
                node,
            })
        }
        PeerMessage::Announce(member) => pb::message::Body::Announce(pb::Announce {
            peer_addr: member.peer_addr,
            client_addr: member.client_addr,
            version: member.version,
            format: member.format.into(),
            incarnation: number(member.incarnation),
        }),
        PeerMessage::Removed => pb::message::Body::Removed(pb::Removed {}),
    };
    pb::Message {
        cluster: cluster.to_owned(),
        from,
        to,
        body: Some(body),
    }
}

/// What a message says.
///
/// # Errors
/// [`Incomplete`].
pub(crate) fn decode(message: pb::Message) -> Result<PeerMessage> {
    let (from, to) = (message.from, message.to);
    Ok(match message.body.ok_or(Incomplete("body"))? {
        pb::message::Body::Raft(raft) => PeerMessage::Raft(Envelope {
            from,
            to,
            term: raft.term,
            message: decode_raft(raft.message.ok_or(Incomplete("message"))?)?,
        }),
        pb::message::Body::Forward(forward) => {
            let origin = forward.origin.ok_or(Incomplete("origin"))?;
            PeerMessage::Forward {
                term: forward.term,
                origin: Origin {
                    node: origin.node,
                    boot: origin.boot,
                    sequence: origin.sequence,
                    oldest: origin.oldest,
                },
                attempt: forward.attempt,
                request: forward
                    .request
                    .into_iter()
                    .map(|command| command.arguments)
                    .collect(),
            }
        }
        pb::message::Body::NotProposed(refused) => PeerMessage::NotProposed {
            boot: refused.boot,
            sequence: refused.sequence,
            attempt: refused.attempt,
            why: match refused.why() {
                pb::Refusal::Busy => Refused::Busy,
                pb::Refusal::Transferring => Refused::Transferring(refused.node),
                pb::Refusal::NotLeader | pb::Refusal::Unspecified => {
                    Refused::NotLeader((refused.node != 0).then_some(refused.node))
                }
            },
        },
        pb::message::Body::Announce(member) => PeerMessage::Announce(Member {
            peer_addr: member.peer_addr,
            client_addr: member.client_addr,
            version: member.version,
            format: format(member.format)?,
            incarnation: read_number(&member.incarnation)?,
        }),
        pb::message::Body::Removed(_) => PeerMessage::Removed,
    })
}

/// A random number as it travels.
pub(crate) fn number(number: u128) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// The number that travelled; none is 0.
///
/// # Errors
/// [`Incomplete`]: it is of another length.
pub(crate) fn read_number(bytes: &Bytes) -> Result<u128> {
    match bytes.len() {
        0 => Ok(0),
        _ => Ok(u128::from_be_bytes(
            bytes[..].try_into().map_err(|_| Incomplete("number"))?,
        )),
    }
}

/// A format as it travelled.
///
/// # Errors
/// [`Incomplete`]: it is beyond what a format can be.
pub(crate) fn format(format: u32) -> Result<u8> {
    u8::try_from(format).map_err(|_| Incomplete("format"))
}

fn encode_refusal(why: Refused) -> (pb::Refusal, NodeId) {
    match why {
        Refused::Busy => (pb::Refusal::Busy, 0),
        Refused::Transferring(to) => (pb::Refusal::Transferring, to),
        Refused::NotLeader(leader) => (pb::Refusal::NotLeader, leader.unwrap_or(0)),
        // Requests are never refused for these.
        Refused::Change(_) | Refused::NotAVoter(_) => (pb::Refusal::Unspecified, 0),
    }
}

fn encode_raft(message: Message) -> pb::raft::Message {
    use pb::raft::Message as Pb;
    match message {
        Message::PreVote { last } => Pb::PreVote(pb::PreVote {
            last: Some(log_id(last)),
        }),
        Message::PreVoteReply { granted } => Pb::PreVoteReply(pb::PreVoteReply { granted }),
        Message::Vote { last, forced } => Pb::Vote(pb::Vote {
            last: Some(log_id(last)),
            forced,
        }),
        Message::VoteReply { granted } => Pb::VoteReply(pb::VoteReply { granted }),
        Message::Append {
            session,
            previous,
            entries,
            committed,
        } => Pb::Append(pb::Append {
            session,
            previous: Some(log_id(previous)),
            entries: entries.into_iter().map(encode_entry).collect(),
            committed,
        }),
        Message::AppendReply { session, outcome } => Pb::AppendReply(pb::AppendReply {
            session,
            outcome: Some(match outcome {
                Appended::Matched(index) => pb::append_reply::Outcome::Matched(index),
                Appended::Conflict { previous, hint } => {
                    pb::append_reply::Outcome::Conflict(pb::Conflict {
                        previous,
                        hint: Some(log_id(hint)),
                    })
                }
            }),
        }),
        Message::Heartbeat {
            session,
            committed,
            round,
        } => Pb::Heartbeat(pb::Heartbeat {
            session,
            committed,
            round,
        }),
        Message::HeartbeatReply { session, round } => {
            Pb::HeartbeatReply(pb::HeartbeatReply { session, round })
        }
        Message::InstallSnapshot { session, snapshot } => {
            Pb::InstallSnapshot(pb::InstallSnapshot {
                session,
                snapshot: Some(pb::SnapshotMeta {
                    id: snapshot.id,
                    last: Some(log_id(snapshot.last)),
                    configuration: Some(encode_configuration(&snapshot.configuration)),
                }),
            })
        }
        Message::StaleTerm => Pb::StaleTerm(pb::StaleTerm {}),
        Message::TimeoutNow => Pb::TimeoutNow(pb::TimeoutNow {}),
        Message::ReadIndex { id } => Pb::ReadIndex(pb::ReadIndex { id }),
        Message::ReadIndexReply { id, index } => {
            Pb::ReadIndexReply(pb::ReadIndexReply { id, index })
        }
    }
}

fn decode_raft(message: pb::raft::Message) -> Result<Message> {
    use pb::raft::Message as Pb;
    Ok(match message {
        Pb::PreVote(vote) => Message::PreVote {
            last: required(vote.last)?,
        },
        Pb::PreVoteReply(reply) => Message::PreVoteReply {
            granted: reply.granted,
        },
        Pb::Vote(vote) => Message::Vote {
            last: required(vote.last)?,
            forced: vote.forced,
        },
        Pb::VoteReply(reply) => Message::VoteReply {
            granted: reply.granted,
        },
        Pb::Append(append) => Message::Append {
            session: append.session,
            previous: required(append.previous)?,
            entries: append
                .entries
                .into_iter()
                .map(decode_entry)
                .collect::<Result<_>>()?,
            committed: append.committed,
        },
        Pb::AppendReply(reply) => Message::AppendReply {
            session: reply.session,
            outcome: match reply.outcome.ok_or(Incomplete("outcome"))? {
                pb::append_reply::Outcome::Matched(index) => Appended::Matched(index),
                pb::append_reply::Outcome::Conflict(conflict) => Appended::Conflict {
                    previous: conflict.previous,
                    hint: required(conflict.hint)?,
                },
            },
        },
        Pb::Heartbeat(heartbeat) => Message::Heartbeat {
            session: heartbeat.session,
            committed: heartbeat.committed,
            round: heartbeat.round,
        },
        Pb::HeartbeatReply(reply) => Message::HeartbeatReply {
            session: reply.session,
            round: reply.round,
        },
        Pb::InstallSnapshot(install) => {
            let snapshot = install.snapshot.ok_or(Incomplete("snapshot"))?;
            Message::InstallSnapshot {
                session: install.session,
                snapshot: SnapshotMeta {
                    id: snapshot.id,
                    last: required(snapshot.last)?,
                    configuration: decode_configuration(
                        snapshot.configuration.ok_or(Incomplete("configuration"))?,
                    ),
                },
            }
        }
        Pb::StaleTerm(_) => Message::StaleTerm,
        Pb::TimeoutNow(_) => Message::TimeoutNow,
        Pb::ReadIndex(question) => Message::ReadIndex { id: question.id },
        Pb::ReadIndexReply(reply) => Message::ReadIndexReply {
            id: reply.id,
            index: reply.index,
        },
    })
}

fn log_id(id: LogId) -> pb::LogId {
    pb::LogId {
        term: id.term,
        index: id.index,
    }
}

fn required(id: Option<pb::LogId>) -> Result<LogId> {
    let id = id.ok_or(Incomplete("log id"))?;
    Ok(LogId::new(id.term, id.index))
}

fn encode_entry(entry: Entry) -> pb::Entry {
    pb::Entry {
        id: Some(log_id(entry.id)),
        payload: Some(match entry.payload {
            Payload::Noop => pb::entry::Payload::Noop(pb::Noop {}),
            Payload::Command(command) => pb::entry::Payload::Command(command),
            Payload::Configuration(configuration) => {
                pb::entry::Payload::Configuration(encode_configuration(&configuration))
            }
        }),
    }
}

fn decode_entry(entry: pb::Entry) -> Result<Entry> {
    Ok(Entry {
        id: required(entry.id)?,
        payload: match entry.payload.ok_or(Incomplete("payload"))? {
            pb::entry::Payload::Noop(_) => Payload::Noop,
            pb::entry::Payload::Command(command) => Payload::Command(command),
            pb::entry::Payload::Configuration(configuration) => {
                Payload::Configuration(decode_configuration(configuration))
            }
        },
    })
}

fn encode_configuration(configuration: &Configuration) -> pb::Configuration {
    pb::Configuration {
        voters: configuration.voters.iter().copied().collect(),
        outgoing: configuration.outgoing.iter().copied().collect(),
        learners: configuration.learners.iter().copied().collect(),
        incoming_learners: configuration.incoming_learners.iter().copied().collect(),
    }
}

fn decode_configuration(configuration: pb::Configuration) -> Configuration {
    Configuration {
        voters: configuration.voters.into_iter().collect(),
        outgoing: configuration.outgoing.into_iter().collect(),
        learners: configuration.learners.into_iter().collect(),
        incoming_learners: configuration.incoming_learners.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(message: Message) {
        let envelope = Envelope {
            from: 1,
            to: 2,
            term: 7,
            message,
        };
        let sent = PeerMessage::Raft(envelope);
        assert_eq!(decode(encode("c", 1, 2, sent.clone())), Ok(sent));
    }

    #[test]
    fn every_message_of_the_core_arrives_as_it_was_sent() {
        let id = LogId::new(3, 4);
        let configuration = Configuration {
            voters: [1, 2].into(),
            outgoing: [2, 3].into(),
            learners: [4].into(),
            incoming_learners: [3].into(),
        };
        let payloads = [
            Payload::Noop,
            Payload::Command(Bytes::from_static(b"x")),
            Payload::Command(Bytes::new()),
            Payload::Configuration(configuration.clone()),
        ];
        let entries = payloads.map(|payload| Entry { id, payload }).to_vec();
        let snapshot = SnapshotMeta {
            id: 9,
            last: id,
            configuration,
        };
        let conflict = Appended::Conflict {
            previous: 5,
            hint: id,
        };
        for message in [
            Message::PreVote { last: id },
            Message::PreVoteReply { granted: true },
            Message::Vote {
                last: id,
                forced: true,
            },
            Message::VoteReply { granted: false },
            Message::Append {
                session: 1,
                previous: id,
                entries,
                committed: 2,
            },
            Message::AppendReply {
                session: 1,
                outcome: Appended::Matched(8),
            },
            Message::AppendReply {
                session: 1,
                outcome: conflict,
            },
            Message::Heartbeat {
                session: 1,
                committed: 2,
                round: 3,
            },
            Message::HeartbeatReply {
                session: 1,
                round: 3,
            },
            Message::InstallSnapshot {
                session: 1,
                snapshot,
            },
            Message::StaleTerm,
            Message::TimeoutNow,
            Message::ReadIndex { id: 5 },
            Message::ReadIndexReply { id: 5, index: 6 },
        ] {
            round_trip(message);
        }
    }

    #[test]
    fn requests_and_their_refusals_arrive_as_they_were_sent() {
        let origin = Origin {
            node: 1,
            boot: 2,
            sequence: 3,
            oldest: 2,
        };
        let request = vec![vec![Bytes::from_static(b"SET"), Bytes::new()], vec![]];
        for sent in [
            PeerMessage::Forward {
                term: 5,
                origin,
                attempt: 4,
                request,
            },
            PeerMessage::Announce(Member {
                peer_addr: "127.0.0.1:1".to_owned(),
                client_addr: "127.0.0.1:2".to_owned(),
                version: "3".to_owned(),
                format: 4,
                incarnation: 1 << 100,
            }),
            PeerMessage::Removed,
            PeerMessage::NotProposed {
                boot: 2,
                sequence: 3,
                attempt: 4,
                why: Refused::Busy,
            },
            PeerMessage::NotProposed {
                boot: 2,
                sequence: 3,
                attempt: 4,
                why: Refused::NotLeader(None),
            },
            PeerMessage::NotProposed {
                boot: 2,
                sequence: 3,
                attempt: 4,
                why: Refused::NotLeader(Some(2)),
            },
            PeerMessage::NotProposed {
                boot: 2,
                sequence: 3,
                attempt: 4,
                why: Refused::Transferring(2),
            },
        ] {
            assert_eq!(decode(encode("c", 1, 2, sent.clone())), Ok(sent));
        }
    }

    #[test]
    fn a_message_without_what_it_needs_is_refused() {
        let empty = pb::Message::default();
        assert_eq!(decode(empty), Err(Incomplete("body")));
    }
}
