//! A hash of all changes so far, by which servers see that they hold the same.

use bytes::Bytes;
use raft::LogId;
use storage::Op;

/// A hash over everything that happened before and what an entry changed.
pub(crate) fn chain(before: u64, id: LogId, changes: &[Op]) -> u64 {
    // Two checksums of 32 bits that start differently: against divergence by mistake, not by intent.
    let mut low = crc32fast::Hasher::new();
    let mut high = crc32fast::Hasher::new_with_initial(0x6b70_7266);
    for hasher in [&mut low, &mut high] {
        for number in [before, id.term, id.index] {
            hasher.update(&number.to_le_bytes());
        }
        for change in changes {
            match change {
                Op::Put { key, value } => update(hasher, b"p", &[key, value]),
                Op::Delete { key } => update(hasher, b"d", &[key]),
                Op::DeleteRange { range } => hasher.update(format!("{range:?}").as_bytes()),
            }
        }
    }
    u64::from(high.finalize()) << 32 | u64::from(low.finalize())
}

fn update(hasher: &mut crc32fast::Hasher, kind: &[u8], parts: &[&Bytes]) {
    hasher.update(kind);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
}
