//! What clients ask about transactions of others, to finish or remove what they left.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use percolator::{
    CheckSecondaries, CheckStatus, Columns, LockInfo, MANY_KEYS, Resolve, RollbackCause,
    Secondaries, Timestamp, TxnStatus,
};
use proto::tikv::kvrpcpb::{self as pb, Action};
use proto::tikv::tikvpb::tikv_client::TikvClient;
use replica::Epoch;
use storage::{Batch, Direction, KeyRange};

use super::admission;
use super::convert::range;
use super::forward::{self, Way};
use super::refusal::{Told, lock_info};
use super::route::{Mode, check_version, not_leader};
use super::store::{Failure, PATIENCE, Store};
use super::transactional::{admit, told};
use super::values;
use super::work::{at_length, at_length_if};

type Result<T> = std::result::Result<T, Told>;

/// Locks that are resolved with one entry of the log.
const RESOLVED_TOGETHER: usize = 256;

pub(super) async fn check_status(
    store: &Arc<Store>,
    request: pb::CheckTxnStatusRequest,
) -> Result<pb::CheckTxnStatusResponse> {
    let primary = [request.primary_key.as_ref()];
    let epoch = admit(store, request.context.as_ref(), primary)?;
    let check = CheckStatus {
        primary: request.primary_key,
        start_ts: Timestamp(request.lock_ts),
        caller_start_ts: Timestamp(request.caller_start_ts),
        now: Timestamp(request.current_ts),
        rollback_if_unknown: request.rollback_if_not_exist,
        about_pessimistic_lock: request.resolving_pessimistic_lock,
        force_two_phases: request.force_sync_commit,
    };
    let now = check.now;
    let status = match store.change(check, epoch).await.map_err(told(store))? {
        TxnStatus::Alive { lock, .. }
            if lock.secondaries.is_some()
                && lock.is_expired(now)
                && !request.force_sync_commit
                && admit(store, request.context.as_ref(), secondaries(&lock)).is_ok() =>
        {
            finish(store, lock, epoch).await.map_err(told(store))?
        }
        other => other,
    };
    let mut response = pb::CheckTxnStatusResponse::default();
    let action = match status {
        TxnStatus::Alive { lock, pushed } => {
            response.lock_ttl = lock.ttl_ms;
            response.lock_info = Some(lock_info(&lock));
            match pushed {
                true => Action::MinCommitTsPushed,
                false => Action::NoAction,
            }
        }
        TxnStatus::Committed(commit_ts) => {
            response.commit_version = commit_ts.0;
            Action::NoAction
        }
        TxnStatus::RolledBack(RollbackCause::Before) => Action::NoAction,
        TxnStatus::RolledBack(RollbackCause::Expired) => Action::TtlExpireRollback,
        TxnStatus::RolledBack(RollbackCause::Unknown) => Action::LockNotExistRollback,
        TxnStatus::PessimisticLockDropped => Action::TtlExpirePessimisticRollback,
        TxnStatus::Unknown => Action::LockNotExistDoNothing,
    };
    response.action = action.into();
    Ok(response)
}

fn secondaries(primary: &LockInfo) -> impl Iterator<Item = &[u8]> {
    primary.secondaries.iter().flatten().map(Bytes::as_ref)
}

/// Finishes an asynchronous commit whose time is over as its secondaries say: the client (0.4.0) does not when it reads, and rolls back those without
/// secondaries when it collects garbage. The lock of the primary is given.
async fn finish(
    store: &Arc<Store>,
    primary: LockInfo,
    epoch: Epoch,
) -> std::result::Result<TxnStatus, Failure> {
    let start_ts = primary.start_ts;
    let mut keys = primary.secondaries.clone().unwrap_or_default();
    let check = CheckSecondaries {
        keys: keys.clone(),
        start_ts,
    };
    let said = store.change(check, epoch).await?;
    let commit_ts = said.commit_ts(primary.min_commit_ts);
    keys.push(primary.key.clone());
    let resolve = Resolve {
        keys,
        start_ts,
        commit_ts,
    };
    match store.change(resolve, epoch).await {
        // Somebody else has finished it meanwhile, in another way: whoever asks again hears how.
        Err(Failure::Refused(_)) => {
            return Ok(TxnStatus::Alive {
                lock: primary,
                pushed: false,
            });
        }
        resolved => resolved?,
    }
    Ok(match commit_ts {
        Some(commit_ts) => TxnStatus::Committed(commit_ts),
        None => TxnStatus::RolledBack(RollbackCause::Expired),
    })
}

pub(super) async fn check_secondaries(
    store: &Arc<Store>,
    request: pb::CheckSecondaryLocksRequest,
) -> Result<pb::CheckSecondaryLocksResponse> {
    let asked = request.keys.iter().map(Bytes::as_ref);
    let epoch = admit(store, request.context.as_ref(), asked)?;
    let check = CheckSecondaries {
        keys: request.keys,
        start_ts: Timestamp(request.start_version),
    };
    let mut response = pb::CheckSecondaryLocksResponse::default();
    match store.change(check, epoch).await.map_err(told(store))? {
        Secondaries::Locked(locks) => response.locks = locks.iter().map(lock_info).collect(),
        Secondaries::Committed(commit_ts) => response.commit_ts = commit_ts.0,
        Secondaries::RolledBack => {}
    }
    Ok(response)
}

pub(super) async fn scan_locks(
    store: &Arc<Store>,
    request: pb::ScanLockRequest,
) -> Result<pb::ScanLockResponse> {
    let (epoch, range) = admission::scan(
        store,
        Mode::Transactional,
        request.context.as_ref(),
        (request.start_key, request.end_key),
        Direction::Forward,
    )?;
    let max_ts = Timestamp(request.max_version);
    if max_ts != Timestamp::MAX {
        // Whoever looks for locks up to here counts on there being no new ones that commit below.
        store.saw(max_ts);
    }
    let limit = match request.limit {
        0 => usize::MAX,
        limit => limit as usize,
    };
    let view = store.view(epoch).await.map_err(told(store))?;
    let scan = || percolator::scan_locks(Columns::new(&*view), &range, max_ts, limit);
    let found = at_length_if(limit > MANY_KEYS, scan);
    let locks = found.map_err(Failure::from).map_err(told(store))?;
    Ok(pb::ScanLockResponse {
        locks: locks.iter().map(lock_info).collect(),
        ..pb::ScanLockResponse::default()
    })
}

pub(super) async fn resolve(
    store: &Arc<Store>,
    request: pb::ResolveLockRequest,
) -> Result<pb::ResolveLockResponse> {
    let fate = |commit_ts: u64| (commit_ts > 0).then_some(Timestamp(commit_ts));
    let fates: BTreeMap<_, _> = match request.txn_infos.is_empty() {
        true => [(
            Timestamp(request.start_version),
            fate(request.commit_version),
        )]
        .into(),
        false => {
            let infos = request.txn_infos.iter();
            infos
                .map(|info| (Timestamp(info.txn), fate(info.status)))
                .collect()
        }
    };
    let context = request.context.as_ref();
    let resolved = match request.keys.is_empty() {
        true => {
            let (epoch, region) = admission::all(store, context)?;
            resolve_all(store, &fates, epoch, region).await
        }
        false => {
            let epoch = admit(store, context, request.keys.iter().map(Bytes::as_ref))?;
            resolve_keys(store, request.keys, &fates, epoch).await
        }
    };
    resolved.map_err(told(store))?;
    Ok(pb::ResolveLockResponse::default())
}

async fn resolve_keys(
    store: &Arc<Store>,
    keys: Vec<Bytes>,
    fates: &BTreeMap<Timestamp, Option<Timestamp>>,
    epoch: Epoch,
) -> std::result::Result<(), Failure> {
    for (&start_ts, &commit_ts) in fates {
        let resolve = Resolve {
            keys: keys.clone(),
            start_ts,
            commit_ts,
        };
        store.change(resolve, epoch).await?;
    }
    Ok(())
}

/// All locks of some transactions in a range, a few at a time.
async fn resolve_all(
    store: &Arc<Store>,
    fates: &BTreeMap<Timestamp, Option<Timestamp>>,
    epoch: Epoch,
    mut range: KeyRange,
) -> std::result::Result<(), Failure> {
    loop {
        let view = store.view(epoch).await?;
        let locks = at_length(|| locks_of(&*view, &range, fates))?;
        drop(view);
        let Some(last) = locks.last() else {
            return Ok(());
        };
        range.start = Bound::Excluded(last.key.clone());
        let is_last = locks.len() < RESOLVED_TOGETHER;
        let mut by_transaction = BTreeMap::<_, Vec<Bytes>>::new();
        for lock in locks {
            by_transaction
                .entry(lock.start_ts)
                .or_default()
                .push(lock.key);
        }
        for (start_ts, keys) in by_transaction {
            let resolve = Resolve {
                keys,
                start_ts,
                commit_ts: fates[&start_ts],
            };
            store.change(resolve, epoch).await?;
        }
        if is_last {
            return Ok(());
        }
    }
}

fn locks_of(
    view: &dyn storage::Reader,
    range: &KeyRange,
    fates: &BTreeMap<Timestamp, Option<Timestamp>>,
) -> std::result::Result<Vec<LockInfo>, Failure> {
    let locks = Columns::new(view).locks(range, Direction::Forward);
    let is_theirs = |entry: &percolator::Result<(Bytes, percolator::Lock)>| match entry {
        Ok((_, lock)) => fates.contains_key(&lock.start_ts),
        Err(_) => true,
    };
    let locks = locks.filter(is_theirs).take(RESOLVED_TOGETHER);
    let infos = locks.map(|entry| entry.map(|(key, lock)| lock.info(&key)));
    Ok(infos.collect::<percolator::Result<_>>()?)
}

pub(super) async fn delete_range(
    store: &Arc<Store>,
    request: pb::DeleteRangeRequest,
) -> Result<pb::DeleteRangeResponse> {
    let (epoch, range) = admission::change(
        store,
        Mode::Transactional,
        request.context.as_ref(),
        (request.start_key, request.end_key),
    )?;
    if !request.notify_only {
        let changes = percolator::destroy(&range);
        let lead = store.lead().await.map_err(told(store))?;
        let applied = store.apply(lead.term, epoch, changes).await;
        applied.map_err(told(store))?;
    }
    Ok(pb::DeleteRangeResponse::default())
}

/// Clients ask this of every store; here each has all of it, so whoever leads does it for all.
pub(super) async fn destroy_range(
    store: &Arc<Store>,
    mut request: pb::UnsafeDestroyRangeRequest,
) -> Result<pb::UnsafeDestroyRangeResponse> {
    let context = request.context.get_or_insert_default();
    // A node that does not lead passes a request on once, marked as a retry.
    let was_passed_on = std::mem::replace(&mut context.is_retry_request, true);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match forward::way(store.shared(), deadline).await {
            Way::Here => match destroy(store, &request).await? {
                Err(Failure::NotLeader) => {}
                done => {
                    done.map_err(told(store))?;
                    return Ok(pb::UnsafeDestroyRangeResponse::default());
                }
            },
            Way::There(channel) if !was_passed_on => {
                let mut client = TikvClient::new(channel);
                match client.unsafe_destroy_range(request.clone()).await {
                    Ok(response) if response.get_ref().region_error.is_none() => {
                        return Ok(response.into_inner());
                    }
                    // Leadership is on its way.
                    _ => {}
                }
            }
            Way::There(_) => {}
            Way::Nowhere => {
                let error = not_leader(&store.shared().look());
                return Err(Told::Region(Box::new(error)));
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        if was_passed_on {
            let error = not_leader(&store.shared().look());
            return Err(Told::Region(Box::new(error)));
        }
    }
}

/// Only the leader knows the version of the API for sure, so it checks that.
async fn destroy(
    store: &Arc<Store>,
    request: &pb::UnsafeDestroyRangeRequest,
) -> Result<std::result::Result<(), Failure>> {
    let Some(api) = store.api.get() else {
        // It has just come to lead, and learns it before it takes the next request.
        return Ok(store.api.learn(store).await.and(Err(Failure::NotLeader)));
    };
    if let Some(context) = &request.context {
        check_version(api, context)?;
    }
    let keys = range(request.start_key.clone(), request.end_key.clone());
    let changes = match api.mode_of(&request.start_key) {
        Some(Mode::Transactional) => percolator::destroy(&keys),
        Some(Mode::Raw) | None => {
            let mut changes = Batch::new();
            changes.delete_range(values::column(&keys));
            changes
        }
    };
    Ok(match store.lead().await {
        Ok(lead) => store.apply_anywhere(lead.term, changes).await,
        Err(failure) => Err(failure),
    })
}

#[cfg(test)]
mod tests {
    use percolator::{Intent, Mode, Request};
    use storage::{Engine, MemoryEngine};

    use super::*;
    use crate::tikv::fake::prewrite;

    fn lock(engine: &MemoryEngine, key: String, start_ts: Timestamp) {
        let prewrite = prewrite(key.into(), Intent::Lock, start_ts, Mode::TwoPhases);
        let decided = prewrite.decide(Columns::new(engine)).unwrap();
        engine.write(&decided.changes).unwrap();
    }

    #[test]
    fn among_many_locks_those_of_a_transaction_are_found_some_at_a_time() {
        let engine = MemoryEngine::new();
        let [theirs, others] = [Timestamp(10), Timestamp(20)];
        for i in 0..900 {
            let start_ts = if i % 3 == 0 { theirs } else { others };
            lock(&engine, format!("k{i:03}"), start_ts);
        }
        let fates = BTreeMap::from([(theirs, None)]);
        let mut range = KeyRange::all();
        let mut pages = Vec::new();
        loop {
            let locks = locks_of(&engine, &range, &fates).unwrap();
            assert!(locks.iter().all(|lock| lock.start_ts == theirs));
            pages.push(locks.len());
            match locks.last() {
                Some(last) => range.start = Bound::Excluded(last.key.clone()),
                None => break,
            }
        }
        assert_eq!(pages, [RESOLVED_TOGETHER, 300 - RESOLVED_TOGETHER, 0]);
    }
}
