//! What a command of the log says to the state machine.

use bytes::{BufMut, Bytes};
use raft::{Index, NodeId};

use crate::codec::{Decoder, Malformed, put_bytes, put_len};
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
}

const ADVANCE: u8 = 0;
const REQUEST: u8 = 1;
const CHECK: u8 = 2;
const ANNOUNCE: u8 = 3;

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
        Body::Advance | Body::Check { .. } | Body::Announce(..) => None,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
