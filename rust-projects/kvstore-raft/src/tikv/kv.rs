//! The store's service: takes requests, has them carried out, and gives replies.

use proto::tikv::kvrpcpb as pb;
use proto::tikv::tikvpb::tikv_server::Tikv;
use std::sync::Arc;
use tonic::{Request, Response, Status};

use super::convert::Reply;
use super::refusal::Told;
use super::store::Store;

type Done<T> = Result<Response<T>, Status>;

/// See the module's page.
pub(super) struct KvService {
    store: Arc<Store>,
}

impl KvService {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

/// A reply, or what keeps it from being one.
#[allow(
    clippy::result_large_err,
    reason = "the error type of tonic's services"
)]
fn reply<T: Reply>(done: Result<T, Told>) -> Done<T> {
    let mut reply = T::default();
    match done {
        Ok(done) => return Ok(Response::new(done)),
        Err(Told::Region(error)) => reply.set_region(*error),
        Err(Told::Key(error)) => reply.set_key(*error)?,
        Err(Told::Status(status)) => return Err(status),
    }
    Ok(Response::new(reply))
}

macro_rules! methods {
    ($($method:ident: $request:ty => $response:ty = $module:ident::$carry_out:ident;)*) => {
        #[tonic::async_trait]
        impl Tikv for KvService {
            $(async fn $method(&self, request: Request<$request>) -> Done<$response> {
                // Whoever does not lead is told so by the request itself.
                let _ = self.store.api.learn(&self.store).await;
                reply(super::$module::$carry_out(&self.store, request.into_inner()).await)
            })*
        }
    };
}

methods! {
    kv_get: pb::GetRequest => pb::GetResponse = transactional::get;
    kv_batch_get: pb::BatchGetRequest => pb::BatchGetResponse = transactional::batch_get;
    kv_scan: pb::ScanRequest => pb::ScanResponse = transactional::scan;
    kv_prewrite: pb::PrewriteRequest => pb::PrewriteResponse = transactional::prewrite;
    kv_commit: pb::CommitRequest => pb::CommitResponse = transactional::commit;
    kv_batch_rollback: pb::BatchRollbackRequest => pb::BatchRollbackResponse = transactional::rollback;
    kv_pessimistic_lock: pb::PessimisticLockRequest => pb::PessimisticLockResponse = transactional::lock;
    kv_pessimistic_rollback: pb::PessimisticRollbackRequest => pb::PessimisticRollbackResponse = transactional::unlock;
    kv_txn_heart_beat: pb::TxnHeartBeatRequest => pb::TxnHeartBeatResponse = transactional::heartbeat;
    kv_check_txn_status: pb::CheckTxnStatusRequest => pb::CheckTxnStatusResponse = resolving::check_status;
    kv_check_secondary_locks: pb::CheckSecondaryLocksRequest => pb::CheckSecondaryLocksResponse = resolving::check_secondaries;
    kv_scan_lock: pb::ScanLockRequest => pb::ScanLockResponse = resolving::scan_locks;
    kv_resolve_lock: pb::ResolveLockRequest => pb::ResolveLockResponse = resolving::resolve;
    kv_delete_range: pb::DeleteRangeRequest => pb::DeleteRangeResponse = resolving::delete_range;
    unsafe_destroy_range: pb::UnsafeDestroyRangeRequest => pb::UnsafeDestroyRangeResponse = resolving::destroy_range;
    raw_get: pb::RawGetRequest => pb::RawGetResponse = raw::get;
    raw_batch_get: pb::RawBatchGetRequest => pb::RawBatchGetResponse = raw::batch_get;
    raw_put: pb::RawPutRequest => pb::RawPutResponse = raw::put;
    raw_batch_put: pb::RawBatchPutRequest => pb::RawBatchPutResponse = raw::batch_put;
    raw_delete: pb::RawDeleteRequest => pb::RawDeleteResponse = raw::delete;
    raw_batch_delete: pb::RawBatchDeleteRequest => pb::RawBatchDeleteResponse = raw::batch_delete;
    raw_scan: pb::RawScanRequest => pb::RawScanResponse = raw::scan;
    raw_batch_scan: pb::RawBatchScanRequest => pb::RawBatchScanResponse = raw::batch_scan;
    raw_delete_range: pb::RawDeleteRangeRequest => pb::RawDeleteRangeResponse = raw::delete_range;
    raw_get_key_ttl: pb::RawGetKeyTtlRequest => pb::RawGetKeyTtlResponse = raw::ttl;
    raw_compare_and_swap: pb::RawCasRequest => pb::RawCasResponse = raw::compare_and_swap;
}

#[cfg(test)]
mod tests;
