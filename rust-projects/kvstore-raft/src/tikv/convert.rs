//! Between messages and values, where both have the same parts; and where a reply holds its errors.

use std::ops::Bound;

use bytes::Bytes;
use percolator::{Pair, ReadAt, Timestamp};
use proto::tikv::errorpb;
use proto::tikv::kvrpcpb as pb;
use storage::{Direction, KeyRange};
use tonic::Status;

use super::refusal::locked;

/// A reply that can say why it is none.
pub(super) trait Reply: Default {
    /// The client asks elsewhere, or again.
    fn set_region(&mut self, error: errorpb::Error);

    /// # Errors
    /// A status, if the reply has no place for it.
    #[allow(
        clippy::result_large_err,
        reason = "the error type of tonic's services"
    )]
    fn set_key(&mut self, error: pb::KeyError) -> Result<(), Status>;
}

macro_rules! reply {
    ($set_key:item; $($reply:ident)*) => {
        $(impl Reply for pb::$reply {
            fn set_region(&mut self, error: errorpb::Error) {
                self.region_error = Some(error);
            }

            $set_key
        })*
    };
}

reply! {
    fn set_key(&mut self, error: pb::KeyError) -> Result<(), Status> {
        self.error = Some(error);
        Ok(())
    };
    GetResponse CommitResponse BatchRollbackResponse TxnHeartBeatResponse CheckTxnStatusResponse
    CheckSecondaryLocksResponse ScanLockResponse ResolveLockResponse
}

reply! {
    fn set_key(&mut self, error: pb::KeyError) -> Result<(), Status> {
        // tikv-client looks at the pairs only, and would take no pairs for the end of what is there.
        self.pairs = vec![pb::KvPair {
            error: Some(error.clone()),
            ..pb::KvPair::default()
        }];
        self.error = Some(error);
        Ok(())
    };
    BatchGetResponse ScanResponse
}

reply! {
    fn set_key(&mut self, error: pb::KeyError) -> Result<(), Status> {
        self.errors = vec![error];
        Ok(())
    };
    PrewriteResponse PessimisticLockResponse PessimisticRollbackResponse
}

reply! {
    fn set_key(&mut self, error: pb::KeyError) -> Result<(), Status> {
        self.error = error.abort;
        Ok(())
    };
    RawGetResponse RawPutResponse RawBatchPutResponse RawDeleteResponse RawBatchDeleteResponse RawDeleteRangeResponse RawGetKeyTtlResponse
    RawCasResponse DeleteRangeResponse UnsafeDestroyRangeResponse
}

reply! {
    fn set_key(&mut self, error: pb::KeyError) -> Result<(), Status> {
        Err(Status::invalid_argument(error.abort))
    };
    RawBatchGetResponse RawScanResponse RawBatchScanResponse
}

/// `[start, end)`; without an end if that is empty.
pub(super) fn range(start: Bytes, end: Bytes) -> KeyRange {
    KeyRange {
        start: Bound::Included(start),
        end: match end.is_empty() {
            true => Bound::Unbounded,
            false => Bound::Excluded(end),
        },
    }
}

pub(super) fn direction(reverse: bool) -> Direction {
    match reverse {
        false => Direction::Forward,
        true => Direction::Reverse,
    }
}

/// A scan's range from its lower end: a reverse scan's request begins with the upper end.
pub(super) fn ascending(start: Bytes, end: Bytes, reverse: bool) -> (Bytes, Bytes) {
    match reverse {
        false => (start, end),
        true => (end, start),
    }
}

/// The moment of a read, and the locks that the client found out about.
pub(super) fn read_at(version: u64, context: Option<&pb::Context>) -> ReadAt {
    let set = |numbers: &[u64]| numbers.iter().copied().map(Timestamp).collect();
    ReadAt {
        ts: Timestamp(version),
        bypass: context.map_or_else(Default::default, |context| set(&context.resolved_locks)),
        access: context.map_or_else(Default::default, |context| set(&context.committed_locks)),
    }
}

/// Pairs of a scan or a batch; a lock takes the place of a value.
pub(super) fn pair(pair: Pair) -> pb::KvPair {
    let key = pair.key;
    match pair.value {
        Ok(value) => pb::KvPair {
            key,
            value,
            error: None,
        },
        Err(lock) => pb::KvPair {
            error: Some(locked(&lock)),
            key,
            value: Bytes::new(),
        },
    }
}
