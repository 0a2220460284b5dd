//! What a command of the log says to the state machine.

use std::ops::Bound;

use bytes::{BufMut, Bytes};
use raft::{Index, NodeId};
use storage::{Batch, KeyRange, Op};

use crate::changes::Changes;
use crate::codec::{Decoder, Malformed, put_bytes, put_len};
use crate::region::Epoch;
use crate::registry::Member;

/// Where a request came from: applied once, however often it is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The server whose client asked.
    pub node: NodeId,
    /// Which start of that server; grows.
    pub boot: u64,
    /// Counts the requests of that start, from 1.
    pub sequence: u64,
    /// All requests before this one have been answered and will not be sent again.
    pub oldest: u64,
}

/// One request: commands that are applied together, with nothing between. Each is its arguments, the name first.
pub type Request = Vec<Vec<Bytes>>;

/// One command of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The leader's clock when it proposed this, in milliseconds since 1970.
    pub(crate) stamp_ms: u64,
    pub(crate) body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Time went on, so something has expired.
    Advance,
    /// A client's request.
    Request(Origin, Request),
    /// Note the hash of everything applied so far; and compare it, as noted at an earlier one of these, with what the leader noted there.
    Check {
        /// The last entry at which the leader noted a hash, 0 if there is none.
        at: Index,
        /// The hash that it noted.
        noted: u64,
    },
    /// Where a server is, and what it runs.
    Announce(NodeId, Member),
    /// What was decided outside.
    Changes(Changes),
}

const ADVANCE: u8 = 0;
const REQUEST: u8 = 1;
const CHECK: u8 = 2;
const ANNOUNCE: u8 = 3;
const CHANGES: u8 = 4;

const PUT: u8 = 0;
const DELETE: u8 = 1;
const DELETE_RANGE: u8 = 2;

impl Record {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        out.put_u64_le(self.stamp_ms);
        match &self.body {
            Body::Advance => out.put_u8(ADVANCE),
            Body::Request(origin, request) => {
                out.put_u8(REQUEST);
                put_origin(&mut out, origin);
                put_request(&mut out, request);
            }
            Body::Check { at, noted } => {
                out.put_u8(CHECK);
                out.put_u64_le(*at);
                out.put_u64_le(*noted);
            }
            Body::Announce(node, member) => {
                out.put_u8(ANNOUNCE);
                out.put_u64_le(*node);
                member.encode(&mut out);
            }
            Body::Changes(changes) => {
                out.put_u8(CHANGES);
                put_changes(&mut out, changes);
            }
        }
        out.into()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut decoder = Decoder(bytes.clone());
        let stamp_ms = decoder.u64()?;
        let body = match decoder.u8()? {
            ADVANCE => Body::Advance,
            REQUEST => Body::Request(origin(&mut decoder)?, request(&mut decoder)?),
            CHECK => Body::Check {
                at: decoder.u64()?,
                noted: decoder.u64()?,
            },
            ANNOUNCE => Body::Announce(decoder.u64()?, Member::decode(&mut decoder)?),
            CHANGES => Body::Changes(changes(&mut decoder)?),
            _ => return Err(Malformed),
        };
        decoder.end()?;
        Ok(Self { stamp_ms, body })
    }
}

fn put_origin(out: &mut Vec<u8>, origin: &Origin) {
    for number in [origin.node, origin.boot, origin.sequence, origin.oldest] {
        out.put_u64_le(number);
    }
}

fn origin(decoder: &mut Decoder) -> Result<Origin, Malformed> {
    Ok(Origin {
        node: decoder.u64()?,
        boot: decoder.u64()?,
        sequence: decoder.u64()?,
        oldest: decoder.u64()?,
    })
}

/// Whose request a command of the log carries, if it carries one: for those who look into a log from outside.
#[must_use]
pub fn origin_of(command: &Bytes) -> Option<Origin> {
    match Record::decode(command).ok()?.body {
        Body::Request(origin, _) => Some(origin),
        Body::Advance | Body::Check { .. } | Body::Announce(..) | Body::Changes(_) => None,
    }
}

fn put_request(out: &mut Vec<u8>, request: &Request) {
    put_len(out, request.len());
    for command in request {
        put_len(out, command.len());
        for argument in command {
            put_bytes(out, argument);
        }
    }
}

fn request(decoder: &mut Decoder) -> Result<Request, Malformed> {
    decoder.many(|decoder| decoder.many(Decoder::bytes))
}

fn put_changes(out: &mut Vec<u8>, changes: &Changes) {
    let Epoch {
        version,
        configuration,
    } = changes.epoch;
    for number in [changes.term, version, configuration] {
        out.put_u64_le(number);
    }
    put_len(out, changes.batch.len());
    for op in changes.batch.ops() {
        match op {
            Op::Put { key, value } => {
                out.put_u8(PUT);
                put_bytes(out, key);
                put_bytes(out, value);
            }
            Op::Delete { key } => {
                out.put_u8(DELETE);
                put_bytes(out, key);
            }
            Op::DeleteRange { range } => {
                out.put_u8(DELETE_RANGE);
                put_bound(out, &range.start);
                put_bound(out, &range.end);
            }
        }
    }
}

fn changes(decoder: &mut Decoder) -> Result<Changes, Malformed> {
    let term = decoder.u64()?;
    let epoch = Epoch {
        version: decoder.u64()?,
        configuration: decoder.u64()?,
    };
    let ops = decoder.many(|decoder| {
        Ok(match decoder.u8()? {
            PUT => Op::Put {
                key: decoder.bytes()?,
                value: decoder.bytes()?,
            },
            DELETE => Op::Delete {
                key: decoder.bytes()?,
            },
            DELETE_RANGE => Op::DeleteRange {
                range: KeyRange {
                    start: bound(decoder)?,
                    end: bound(decoder)?,
                },
            },
            _ => return Err(Malformed),
        })
    })?;
    let mut batch = Batch::new();
    for op in ops {
        batch.push(op);
    }
    Ok(Changes { term, epoch, batch })
}

const UNBOUNDED: u8 = 0;
const INCLUDED: u8 = 1;
const EXCLUDED: u8 = 2;

fn put_bound(out: &mut Vec<u8>, bound: &Bound<Bytes>) {
    match bound {
        Bound::Unbounded => out.put_u8(UNBOUNDED),
        Bound::Included(key) => {
            out.put_u8(INCLUDED);
            put_bytes(out, key);
        }
        Bound::Excluded(key) => {
            out.put_u8(EXCLUDED);
            put_bytes(out, key);
        }
    }
}

fn bound(decoder: &mut Decoder) -> Result<Bound<Bytes>, Malformed> {
    Ok(match decoder.u8()? {
        UNBOUNDED => Bound::Unbounded,
        INCLUDED => Bound::Included(decoder.bytes()?),
        EXCLUDED => Bound::Excluded(decoder.bytes()?),
        _ => return Err(Malformed),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn op() -> impl Strategy<Value = Op> {
        let key = || prop::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from);
        let bound = || {
            prop_oneof![
                Just(Bound::Unbounded),
                key().prop_map(Bound::Included),
                key().prop_map(Bound::Excluded),
            ]
        };
        prop_oneof![
            (key(), key()).prop_map(|(key, value)| Op::Put { key, value }),
            key().prop_map(|key| Op::Delete { key }),
            (bound(), bound()).prop_map(|(start, end)| Op::DeleteRange {
                range: KeyRange { start, end }
            }),
        ]
    }

    fn body() -> impl Strategy<Value = Body> {
        let argument = prop::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from);
        let command = prop::collection::vec(argument, 0..4);
        prop_oneof![
            Just(Body::Advance),
            any::<[u64; 2]>().prop_map(|[at, noted]| Body::Check { at, noted }),
            (any::<u64>(), any::<u128>(), any::<u8>(), "[a-z]{0,9}").prop_map(
                |(node, incarnation, format, text)| {
                    let member = Member {
                        peer_addr: text.clone(),
                        client_addr: text.clone(),
                        version: text,
                        format,
                        incarnation,
                    };
                    Body::Announce(node, member)
                }
            ),
            (any::<[u64; 3]>(), prop::collection::vec(op(), 0..4)).prop_map(
                |([term, version, configuration], ops)| {
                    let mut batch = Batch::new();
                    for op in ops {
                        batch.push(op);
                    }
                    let epoch = Epoch {
                        version,
                        configuration,
                    };
                    Body::Changes(Changes { term, epoch, batch })
                }
            ),
            (any::<[u64; 4]>(), prop::collection::vec(command, 0..4)).prop_map(
                |(numbers, request)| {
                    let [node, boot, sequence, oldest] = numbers;
                    Body::Request(
                        Origin {
                            node,
                            boot,
                            sequence,
                            oldest,
                        },
                        request,
                    )
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written_and_no_part_of_it_is_one(stamp_ms: u64, body in body(), cut: prop::sample::Index) {
            let record = Record { stamp_ms, body };
            let bytes = record.encode();
            prop_assert_eq!(Record::decode(&bytes), Ok(record));
            let part = bytes.slice(..cut.index(bytes.len()));
            prop_assert_eq!(Record::decode(&part), Err(Malformed));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Record::decode(&bytes.into());
        }
    }
}
