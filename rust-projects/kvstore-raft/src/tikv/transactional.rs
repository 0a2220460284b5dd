//! What transactions ask of the store: reads, the two phases, pessimistic locks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use percolator::{
    Acquire, BatchGet, Commit, Get, Heartbeat, Intent, Mode, Mutation, Pair, Prewrite, Refusal,
    Release, Rollback, Scan, Timestamp,
};
use proto::tikv::kvrpcpb::prewrite_request::PessimisticAction;
use proto::tikv::kvrpcpb::{self as pb, Op};
use replica::Epoch;
use tokio::time::Instant;
use tonic::Status;

use super::MAX_REPLY_BYTES;
use super::admission;
use super::convert::{ascending, direction, pair, read_at};
use super::refusal::{Told, key_errors};
use super::route::{self, Misrouted};
use super::store::{Failure, Store};

type Result<T> = std::result::Result<T, Told>;

/// A transaction waits for a lock no longer than this, whatever its client asks for, before it looks whether the holder lives.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Whether a request with these keys is for this node.
pub(super) fn admit<'a>(
    store: &Store,
    context: Option<&pb::Context>,
    keys: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Epoch> {
    admission::keys(store, route::Mode::Transactional, context, keys)
}

/// What a client is told about a failure.
pub(super) fn told(store: &Store) -> impl Fn(Failure) -> Told {
    |failure| Told::of(failure, &store.shared().look())
}

fn slices(keys: &[Bytes]) -> impl Iterator<Item = &[u8]> {
    keys.iter().map(Bytes::as_ref)
}

pub(super) async fn get(store: &Arc<Store>, request: pb::GetRequest) -> Result<pb::GetResponse> {
    let context = request.context.as_ref();
    let epoch = admit(store, context, [request.key.as_ref()])?;
    let get = Get {
        at: read_at(request.version, context),
        key: request.key,
    };
    let at = get.at.ts;
    let value = store.read_at(get, at, epoch).await.map_err(told(store))?;
    Ok(pb::GetResponse {
        not_found: value.is_none(),
        value: value.unwrap_or_default(),
        ..pb::GetResponse::default()
    })
}

pub(super) async fn batch_get(
    store: &Arc<Store>,
    request: pb::BatchGetRequest,
) -> Result<pb::BatchGetResponse> {
    let context = request.context.as_ref();
    let epoch = admit(store, context, slices(&request.keys))?;
    let get = BatchGet {
        at: read_at(request.version, context),
        keys: request.keys,
    };
    let at = get.at.ts;
    let pairs = store.read_at(get, at, epoch).await.map_err(told(store))?;
    Ok(pb::BatchGetResponse {
        pairs: bounded(pairs)?,
        ..pb::BatchGetResponse::default()
    })
}

pub(super) async fn scan(store: &Arc<Store>, request: pb::ScanRequest) -> Result<pb::ScanResponse> {
    let context = request.context.as_ref();
    let direction = direction(request.reverse);
    let range = ascending(request.start_key, request.end_key, request.reverse);
    let (epoch, range) =
        admission::scan(store, route::Mode::Transactional, context, range, direction)?;
    let scan = Scan {
        range,
        direction,
        limit: request.limit as usize,
        at: read_at(request.version, context),
    };
    let at = scan.at.ts;
    let mut pairs = store.read_at(scan, at, epoch).await.map_err(told(store))?;
    if request.key_only {
        for pair in &mut pairs {
            pair.value = pair.value.clone().map(|_| Bytes::new());
        }
    }
    Ok(pb::ScanResponse {
        pairs: bounded(pairs)?,
        ..pb::ScanResponse::default()
    })
}

/// A client would not take a longer reply, and would take a part of it for the whole.
fn bounded(pairs: Vec<Pair>) -> Result<Vec<pb::KvPair>> {
    let pairs: Vec<_> = pairs.into_iter().map(pair).collect();
    match pairs.iter().map(prost::Message::encoded_len).sum::<usize>() > MAX_REPLY_BYTES {
        true => Err(too_long()),
        false => Ok(pairs),
    }
}

pub(super) fn too_long() -> Told {
    Told::Status(Status::out_of_range(
        "the pairs take more than a reply of 4 MiB: ask for fewer at a time",
    ))
}

fn intent(mutation: pb::Mutation) -> Result<Mutation> {
    let value = mutation.value;
    let intent = match Op::try_from(mutation.op) {
        Ok(Op::Put) => Intent::Put(value),
        Ok(Op::Insert) => Intent::Insert(value),
        Ok(Op::Del) => Intent::Delete,
        Ok(Op::Lock) => Intent::Lock,
        Ok(Op::CheckNotExists) => Intent::CheckNotExists,
        _ => {
            let why = format!("nothing can be prewritten by operation {}", mutation.op);
            return Err(Misrouted::Wrong(why).into());
        }
    };
    Ok(Mutation::new(mutation.key, intent))
}

pub(super) async fn prewrite(
    store: &Arc<Store>,
    request: pb::PrewriteRequest,
) -> Result<pb::PrewriteResponse> {
    let mutations = request.mutations.iter();
    let epoch = admit(
        store,
        request.context.as_ref(),
        mutations.map(|mutation| mutation.key.as_ref()),
    )?;
    let mutations = request.mutations.into_iter().map(intent);
    let mut mutations = mutations.collect::<Result<Vec<_>>>()?;
    for (mutation, action) in mutations.iter_mut().zip(&request.pessimistic_actions) {
        mutation.holds_pessimistic_lock = *action == PessimisticAction::DoPessimisticCheck as i32;
    }
    let max_read_ts = Timestamp::ZERO;
    let (one_phase, asynchronous) = (request.try_one_pc, request.use_async_commit);
    let mode = match (one_phase, asynchronous) {
        (true, _) => Mode::OnePhase { max_read_ts },
        (false, true) => Mode::Async {
            secondaries: request.secondaries,
            max_read_ts,
        },
        (false, false) => Mode::TwoPhases,
    };
    let prewrite = Prewrite {
        mutations,
        primary: request.primary_lock,
        start_ts: Timestamp(request.start_version),
        ttl_ms: request.lock_ttl,
        txn_size: request.txn_size,
        min_commit_ts: Timestamp(request.min_commit_ts),
        for_update_ts: Timestamp(request.for_update_ts),
        mode,
    };
    let mut response = pb::PrewriteResponse::default();
    match store.change(prewrite, epoch).await {
        Ok(done) => {
            if one_phase {
                response.one_pc_commit_ts = done.committed.unwrap_or_default().0;
            } else if asynchronous {
                response.min_commit_ts = done.committed.unwrap_or(done.min_commit_ts).0;
            }
        }
        Err(Failure::Refused(refusal)) => response.errors = key_errors(refusal),
        Err(failure) => return Err(told(store)(failure)),
    }
    Ok(response)
}

pub(super) async fn commit(
    store: &Arc<Store>,
    request: pb::CommitRequest,
) -> Result<pb::CommitResponse> {
    let (mode, context) = (route::Mode::Transactional, request.context.as_ref());
    let (epoch, held) = admission::keys_among(store, mode, context, slices(&request.keys))?;
    let mut commit = Commit {
        keys: request.keys,
        start_ts: Timestamp(request.start_version),
        commit_ts: Timestamp(request.commit_version),
        held,
    };
    let mut committed = store.change(commit.clone(), epoch).await;
    if let Err(Failure::Refused(Refusal::PrimaryNotCommitted { primary, .. })) = &committed {
        // The client takes the primary for committed; where it did not find the primary's region it never sent that (tikv-client 0.4.0). What was
        // said to be committed is, unless somebody rolled it back meanwhile.
        commit.keys.insert(0, primary.clone());
        committed = store.change(commit, epoch).await;
    }
    let committed = committed.map_err(told(store))?;
    Ok(pb::CommitResponse {
        commit_version: committed.0,
        ..pb::CommitResponse::default()
    })
}

pub(super) async fn rollback(
    store: &Arc<Store>,
    request: pb::BatchRollbackRequest,
) -> Result<pb::BatchRollbackResponse> {
    let epoch = admit(store, request.context.as_ref(), slices(&request.keys))?;
    let rollback = Rollback {
        keys: request.keys,
        start_ts: Timestamp(request.start_version),
    };
    store.change(rollback, epoch).await.map_err(told(store))?;
    Ok(pb::BatchRollbackResponse::default())
}

pub(super) async fn lock(
    store: &Arc<Store>,
    request: pb::PessimisticLockRequest,
) -> Result<pb::PessimisticLockResponse> {
    let mutations = request.mutations.iter();
    let epoch = admit(
        store,
        request.context.as_ref(),
        mutations.map(|mutation| mutation.key.as_ref()),
    )?;
    let must_be_new = request
        .mutations
        .iter()
        .any(|mutation| mutation.assertion == pb::Assertion::NotExist as i32);
    let acquire = Acquire {
        keys: request
            .mutations
            .into_iter()
            .map(|mutation| mutation.key)
            .collect(),
        must_be_new,
        only_if_exists: request.lock_only_if_exists,
        primary: request.primary_lock,
        start_ts: Timestamp(request.start_version),
        for_update_ts: Timestamp(request.for_update_ts),
        ttl_ms: request.lock_ttl,
        min_commit_ts: Timestamp(request.min_commit_ts),
    };
    let deadline = Instant::now() + patience(request.wait_timeout);
    let mut response = pb::PessimisticLockResponse::default();
    match store.acquire(acquire, epoch, deadline).await {
        Ok(values) if request.return_values || request.check_existence => {
            response.not_founds = values.iter().map(Option::is_none).collect();
            if request.return_values {
                let values = values.into_iter().map(Option::unwrap_or_default);
                response.values = values.collect();
            }
        }
        Ok(_) => {}
        Err(Failure::Refused(refusal)) => response.errors = key_errors(refusal),
        Err(failure) => return Err(told(store)(failure)),
    }
    Ok(response)
}

/// For how long to wait for a lock: 0 stands for the usual time, what is below for none.
fn patience(wait_timeout_ms: i64) -> Duration {
    match u64::try_from(wait_timeout_ms) {
        Err(_) => Duration::ZERO,
        Ok(0) => MAX_WAIT,
        Ok(ms) => Duration::from_millis(ms).min(MAX_WAIT),
    }
}

pub(super) async fn unlock(
    store: &Arc<Store>,
    request: pb::PessimisticRollbackRequest,
) -> Result<pb::PessimisticRollbackResponse> {
    let epoch = admit(store, request.context.as_ref(), slices(&request.keys))?;
    let release = Release {
        keys: request.keys,
        start_ts: Timestamp(request.start_version),
        for_update_ts: Timestamp(request.for_update_ts),
    };
    store.change(release, epoch).await.map_err(told(store))?;
    Ok(pb::PessimisticRollbackResponse::default())
}

pub(super) async fn heartbeat(
    store: &Arc<Store>,
    request: pb::TxnHeartBeatRequest,
) -> Result<pb::TxnHeartBeatResponse> {
    let primary = [request.primary_lock.as_ref()];
    let epoch = admit(store, request.context.as_ref(), primary)?;
    let heartbeat = Heartbeat {
        primary: request.primary_lock,
        start_ts: Timestamp(request.start_version),
        ttl_ms: request.advise_lock_ttl,
    };
    let lock_ttl = store.change(heartbeat, epoch).await.map_err(told(store))?;
    Ok(pb::TxnHeartBeatResponse {
        lock_ttl,
        ..pb::TxnHeartBeatResponse::default()
    })
}
