//! Which requests were applied: a retry must not be applied again (Raft paper, section 8; thesis, 6.3).
//!
//! Every server is a session of its own, begun anew each time it starts. Of each the latest start counts, with the
//! sequence numbers applied: all up to `low`, and those in `above`, as requests of one server may overtake each other.
//!
//! ```text
//!    1 2 3 4 5 6 7 8 9      low = 4, above = {6, 9}
//!    x x x x . x . . x      5 may still come; 4 comes again: skipped
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bytes::BufMut;
use raft::NodeId;

use crate::codec::{Decoder, Malformed, put_len};
use crate::record::Origin;

/// How many requests a server may have open: bounds `above`.
pub const WINDOW: u64 = 4096;

/// What was applied of one server's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Session {
    boot: u64,
    low: u64,
    above: BTreeSet<u64>,
}

/// What was applied of each server's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sessions(BTreeMap<NodeId, Session>);

impl Sessions {
    /// Whether a request is to be applied, and if so that it was.
    pub(crate) fn admit(&mut self, origin: &Origin) -> bool {
        let session = self.0.entry(origin.node).or_default();
        if origin.boot > session.boot {
            *session = Session {
                boot: origin.boot,
                ..Session::default()
            };
        }
        if origin.boot < session.boot || session.holds(origin.sequence) {
            return false;
        }
        session.above.insert(origin.sequence);
        session.low = session.low.max(origin.oldest.saturating_sub(1));
        while session.above.remove(&(session.low + 1)) {
            session.low += 1;
        }
        session.above = session.above.split_off(&(session.low + 1));
        true
    }

    /// Whether the request was applied.
    pub(crate) fn was_applied(&self, node: NodeId, boot: u64, sequence: u64) -> bool {
        let session = self.0.get(&node).filter(|session| session.boot == boot);
        session.is_some_and(|session| session.holds(sequence))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.0.len());
        for (&node, session) in &self.0 {
            for number in [node, session.boot, session.low] {
                out.put_u64_le(number);
            }
            put_len(out, session.above.len());
            for &sequence in &session.above {
                out.put_u64_le(sequence);
            }
        }
    }

    pub(crate) fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        let sessions = decoder.many(|decoder| {
            let node = decoder.u64()?;
            let session = Session {
                boot: decoder.u64()?,
                low: decoder.u64()?,
                above: decoder.many(Decoder::u64)?.into_iter().collect(),
            };
            Ok((node, session))
        })?;
        Ok(Self(sessions.into_iter().collect()))
    }
}

impl Session {
    fn holds(&self, sequence: u64) -> bool {
        sequence <= self.low || self.above.contains(&sequence)
    }
}

/// Reads what [`Sessions::encode`] wrote, and nothing else.
#[cfg(test)]
fn decode_all(bytes: Vec<u8>) -> Result<Sessions, Malformed> {
    let mut decoder = Decoder(bytes.into());
    let sessions = Sessions::decode(&mut decoder)?;
    decoder.end()?;
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn origin(boot: u64, sequence: u64, oldest: u64) -> Origin {
        Origin {
            node: 1,
            boot,
            sequence,
            oldest,
        }
    }

    #[test]
    fn a_request_of_an_earlier_start_is_not_applied_any_more() {
        let mut sessions = Sessions::default();
        assert!(sessions.admit(&origin(2, 1, 1)));
        assert!(!sessions.admit(&origin(1, 7, 1)));
        assert!(
            sessions.admit(&origin(3, 1, 1)),
            "a new start counts from 1"
        );
    }

    proptest! {
        #[test]
        fn each_request_is_admitted_once_in_any_order(order in prop::collection::vec(1..40_u64, 0..120)) {
            let mut sessions = Sessions::default();
            let mut seen = BTreeSet::new();
            for sequence in order {
                prop_assert_eq!(sessions.admit(&origin(1, sequence, 1)), seen.insert(sequence));
                prop_assert!(sessions.was_applied(1, 1, sequence));
                prop_assert!(!sessions.was_applied(1, 2, sequence));
            }
            let mut bytes = Vec::new();
            sessions.encode(&mut bytes);
            prop_assert_eq!(decode_all(bytes), Ok(sessions));
        }
    }

    #[test]
    fn what_was_answered_is_forgotten_without_being_forgiven() {
        let mut sessions = Sessions::default();
        for sequence in (2..100).step_by(2) {
            assert!(sessions.admit(&origin(1, sequence, 1)));
        }
        assert!(sessions.admit(&origin(1, 100, 90)));
        assert_eq!(sessions.0[&1].low, 90, "89 was answered, 90 applied");
        assert!(sessions.0[&1].above.len() <= 6);
        assert!(
            !sessions.admit(&origin(1, 3, 1)),
            "3 was answered, so this is a late retry"
        );
    }
}
