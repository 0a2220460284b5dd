//! Who is where: addresses and versions of the members, as a part of the replicated state.
//!
//! A server announces itself through the log, so all servers know the same of each other after the same entry, and one that catches up by a snapshot knows
//! it too. Whoever has left the members is remembered by number: numbers are never used twice.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes};
use raft::{Configuration, NodeId};
use storage::{Batch, Direction, KeyRange, Reader};

use crate::codec::{Decoder, Malformed, put_bytes};
use crate::machine::{FORMAT, MachineError, malformed};
use crate::orders::Declined;

/// One key a server, behind this byte; no user key is there.
const COLUMN: u8 = b'n';
const REMOVED: u8 = 0;
const MEMBER: u8 = 1;

/// One server as it announced itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// `host:port` for the other servers.
    pub peer_addr: String,
    /// `host:port` for clients; empty until it announced itself.
    pub client_addr: String,
    /// The software; empty until it announced itself.
    pub version: String,
    /// The [`FORMAT`] that it works with.
    pub format: u8,
    /// Names the life of its data directory: drawn at random when that was made. 0 before a server came for the number.
    pub incarnation: u128,
}

impl Member {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for text in [&self.peer_addr, &self.client_addr, &self.version] {
            put_bytes(out, text.as_bytes());
        }
        out.put_u8(self.format);
        out.put_u128_le(self.incarnation);
    }

    pub(crate) fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        Ok(Self {
            peer_addr: decoder.text()?,
            client_addr: decoder.text()?,
            version: decoder.text()?,
            format: decoder.u8()?,
            incarnation: decoder.u128()?,
        })
    }
}

/// Everybody who announced itself, or was added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    members: BTreeMap<NodeId, Member>,
    removed: BTreeSet<NodeId>,
}

impl Registry {
    /// What the engine holds.
    pub(crate) fn load(reader: &dyn Reader) -> Result<Self, MachineError> {
        let mut registry = Self::default();
        for pair in reader.scan(&KeyRange::prefix(&[COLUMN]), Direction::Forward) {
            let (key, value) = pair?;
            registry.take(&key, value).map_err(malformed("registry"))?;
        }
        Ok(registry)
    }

    fn take(&mut self, key: &[u8], value: Bytes) -> Result<(), Malformed> {
        let node = key.get(1..).and_then(|rest| rest.try_into().ok());
        let node = NodeId::from_be_bytes(node.ok_or(Malformed)?);
        let mut decoder = Decoder(value);
        match decoder.u8()? {
            REMOVED => {
                self.removed.insert(node);
            }
            MEMBER => {
                self.members.insert(node, Member::decode(&mut decoder)?);
            }
            _ => return Err(Malformed),
        }
        decoder.end()
    }

    /// What is known of a member.
    #[must_use]
    pub fn get(&self, node: NodeId) -> Option<&Member> {
        self.members.get(&node)
    }

    /// All that are known, in order.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.members.iter().map(|(&node, member)| (node, member))
    }

    /// Whether this number belonged to a member that was removed.
    #[must_use]
    pub fn is_removed(&self, node: NodeId) -> bool {
        self.removed.contains(&node)
    }

    /// Whether a server may be known as `member` under this number.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn admits(&self, node: NodeId, member: &Member) -> Result<(), Declined> {
        if self.is_removed(node) {
            return Err(Declined::WasRemoved(node));
        }
        if member.format != FORMAT {
            return Err(Declined::Format {
                node,
                its: member.format,
            });
        }
        match self.get(node) {
            Some(known) if !known.is_same(member) => Err(Declined::OtherData(node)),
            _ => Ok(()),
        }
    }

    /// A server announced itself. One that may not is ignored: a late message may bring it, or two lives of a number may race.
    pub(crate) fn announce(&mut self, node: NodeId, member: Member, batch: &mut Batch) {
        let known = self.members.get(&node);
        if self.is_removed(node) || known.is_some_and(|known| !known.is_same(&member)) {
            return;
        }
        let mut value = vec![MEMBER];
        member.encode(&mut value);
        batch.put(key(node), value);
        self.members.insert(node, member);
    }

    /// The members changed: who is none any more was removed.
    pub(crate) fn retain(&mut self, configuration: &Configuration, batch: &mut Batch) {
        let members: BTreeSet<_> = configuration.members().collect();
        let gone: Vec<_> = self.members.keys().copied().collect();
        for node in gone.into_iter().filter(|node| !members.contains(node)) {
            self.members.remove(&node);
            self.removed.insert(node);
            batch.put(key(node), vec![REMOVED]);
        }
    }

    pub(crate) fn holds_key(key: &[u8]) -> bool {
        key.first() == Some(&COLUMN)
    }
}

impl FromIterator<(NodeId, Member)> for Registry {
    fn from_iter<I: IntoIterator<Item = (NodeId, Member)>>(members: I) -> Self {
        Self {
            members: members.into_iter().collect(),
            removed: BTreeSet::new(),
        }
    }
}

impl Member {
    /// Whether both are of one data directory, or one is only a place kept for the other.
    fn is_same(&self, other: &Self) -> bool {
        self.incarnation == 0 || self.incarnation == other.incarnation
    }
}

fn key(node: NodeId) -> Vec<u8> {
    let mut key = vec![COLUMN];
    key.put_u64(node);
    key
}

#[cfg(test)]
mod tests {
    use storage::{Engine, MemoryEngine};

    use super::*;

    fn member(incarnation: u128, port: u16) -> Member {
        Member {
            peer_addr: format!("127.0.0.1:{port}"),
            format: FORMAT,
            incarnation,
            ..Member::default()
        }
    }

    #[test]
    fn what_was_announced_and_who_was_removed_is_found_again_in_the_engine() {
        let mut registry = Registry::default();
        let mut batch = Batch::new();
        for node in 1..=3 {
            registry.announce(node, member(node.into(), 1), &mut batch);
        }
        registry.announce(2, member(2, 7), &mut batch);
        registry.retain(&Configuration::of_voters([1, 2]), &mut batch);
        let engine = MemoryEngine::new();
        engine.write(&batch).unwrap();
        let found = Registry::load(&engine).unwrap();
        assert_eq!(found, registry);
        assert_eq!(found.get(2), Some(&member(2, 7)));
        assert_eq!(found.get(3), None);
        assert!(found.is_removed(3));
    }

    #[test]
    fn a_number_stays_with_the_data_that_it_was_first_given_to() {
        let mut registry = Registry::default();
        let mut batch = Batch::new();
        registry.announce(4, member(0, 1), &mut batch);
        assert_eq!(
            registry.admits(4, &member(9, 2)),
            Ok(()),
            "the place is kept for whoever comes"
        );
        registry.announce(4, member(9, 2), &mut batch);
        assert_eq!(
            registry.admits(4, &member(8, 2)),
            Err(Declined::OtherData(4))
        );
        assert_eq!(
            registry.admits(4, &member(0, 2)),
            Err(Declined::OtherData(4))
        );
        registry.announce(4, member(8, 3), &mut batch);
        assert_eq!(registry.get(4), Some(&member(9, 2)));
    }

    #[test]
    fn a_number_that_was_removed_is_never_taken_again() {
        let mut registry = Registry::default();
        let mut batch = Batch::new();
        registry.announce(4, member(9, 2), &mut batch);
        registry.retain(&Configuration::of_voters([1]), &mut batch);
        assert_eq!(
            registry.admits(4, &member(9, 2)),
            Err(Declined::WasRemoved(4))
        );
        registry.announce(4, member(9, 2), &mut batch);
        assert_eq!(registry.get(4), None);
    }

    #[test]
    fn a_server_of_another_format_is_refused() {
        let other = Member {
            format: FORMAT + 1,
            ..member(1, 1)
        };
        let refused = Err(Declined::Format {
            node: 4,
            its: FORMAT + 1,
        });
        assert_eq!(Registry::default().admits(4, &other), refused);
    }
}
