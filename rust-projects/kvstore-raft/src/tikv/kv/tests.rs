//! Every request rests on the region as its client knows it.

use bytes::Bytes;
use proto::tikv::errorpb;
use proto::tikv::kvrpcpb::{ApiVersion, Context};
use proto::tikv::metapb::{Peer, RegionEpoch};
use replica::{Epoch, Region};

use super::*;
use crate::tikv::fake::{World, runtime};

/// The first key of the region, one within, the first one behind, and one behind that.
const KEYS: [&str; 4] = ["c", "d", "e", "f"];

fn key(mode: char, key: &str) -> Bytes {
    format!("{mode}\0\0\0{key}").into()
}

fn encoded(mode: char, name: &str) -> Bytes {
    percolator::memcomparable_key(&key(mode, name)).into()
}

/// Keys of a mode from the first of [`KEYS`] to the one behind, as it is after `version` changes.
fn region(mode: char, version: u64) -> Region {
    Region {
        start: encoded(mode, KEYS[0]),
        end: encoded(mode, KEYS[2]),
        epoch: Epoch {
            version,
            configuration: 1,
        },
    }
}

fn context(version: u64) -> Option<Context> {
    Some(Context {
        region_id: 1,
        region_epoch: Some(RegionEpoch {
            conf_ver: 1,
            version,
        }),
        peer: Some(Peer {
            id: 1,
            store_id: 1,
            ..Peer::default()
        }),
        api_version: ApiVersion::V2.into(),
        ..Context::default()
    })
}

/// What requests are told about the region.
type Answers = Vec<(&'static str, Option<errorpb::Error>)>;

macro_rules! answers {
    ($service:ident; $($method:ident($request:expr);)*) => {
        vec![$((
            stringify!($method),
            $service.$method(Request::new($request)).await.unwrap().into_inner().region_error,
        )),*]
    };
}

fn mutation(key: &Bytes) -> Vec<pb::Mutation> {
    vec![pb::Mutation {
        key: key.clone(),
        ..pb::Mutation::default()
    }]
}

/// All requests about single transactional keys, with this one. They do nothing where they are taken.
async fn about_key(service: &KvService, context: Option<Context>, key: &Bytes) -> Answers {
    let (key, keys) = (key.clone(), vec![key.clone()]);
    let start_version = service.store.timestamps(&[1]).await.unwrap()[0].last().0;
    answers! { service;
        kv_get(pb::GetRequest { context: context.clone(), key: key.clone(), version: start_version });
        kv_batch_get(pb::BatchGetRequest { context: context.clone(), keys: keys.clone(), version: start_version });
        kv_prewrite(pb::PrewriteRequest { context: context.clone(), mutations: mutation(&key), primary_lock: key.clone(), start_version, ..pb::PrewriteRequest::default() });
        kv_commit(pb::CommitRequest { context: context.clone(), keys: keys.clone(), start_version, commit_version: start_version + 1 });
        kv_batch_rollback(pb::BatchRollbackRequest { context: context.clone(), keys: keys.clone(), start_version });
        kv_pessimistic_lock(pb::PessimisticLockRequest { context: context.clone(), mutations: mutation(&key), primary_lock: key.clone(), start_version, for_update_ts: start_version, ..pb::PessimisticLockRequest::default() });
        kv_pessimistic_rollback(pb::PessimisticRollbackRequest { context: context.clone(), keys: keys.clone(), start_version, for_update_ts: start_version });
        kv_txn_heart_beat(pb::TxnHeartBeatRequest { context: context.clone(), primary_lock: key.clone(), start_version, ..pb::TxnHeartBeatRequest::default() });
        kv_check_txn_status(pb::CheckTxnStatusRequest { context: context.clone(), primary_key: key.clone(), lock_ts: start_version, ..pb::CheckTxnStatusRequest::default() });
        kv_check_secondary_locks(pb::CheckSecondaryLocksRequest { context: context.clone(), keys: keys.clone(), start_version });
        kv_resolve_lock(pb::ResolveLockRequest { context, keys, start_version, ..pb::ResolveLockRequest::default() });
    }
}

/// All requests about single raw keys, with this one.
async fn about_raw_key(service: &KvService, context: Option<Context>, key: &Bytes) -> Answers {
    let (key, keys) = (key.clone(), vec![key.clone()]);
    let pairs = vec![pb::KvPair {
        key: key.clone(),
        ..pb::KvPair::default()
    }];
    answers! { service;
        raw_get(pb::RawGetRequest { context: context.clone(), key: key.clone(), ..pb::RawGetRequest::default() });
        raw_batch_get(pb::RawBatchGetRequest { context: context.clone(), keys: keys.clone(), ..pb::RawBatchGetRequest::default() });
        raw_put(pb::RawPutRequest { context: context.clone(), key: key.clone(), ..pb::RawPutRequest::default() });
        raw_batch_put(pb::RawBatchPutRequest { context: context.clone(), pairs, ..pb::RawBatchPutRequest::default() });
        raw_delete(pb::RawDeleteRequest { context: context.clone(), key: key.clone(), ..pb::RawDeleteRequest::default() });
        raw_batch_delete(pb::RawBatchDeleteRequest { context: context.clone(), keys, ..pb::RawBatchDeleteRequest::default() });
        raw_get_key_ttl(pb::RawGetKeyTtlRequest { context: context.clone(), key: key.clone(), ..pb::RawGetKeyTtlRequest::default() });
        raw_compare_and_swap(pb::RawCasRequest { context, key, previous_not_exist: true, ..pb::RawCasRequest::default() });
    }
}

/// All requests that read `[start, end)`; those that can, from its end.
async fn scans(
    service: &KvService,
    context: Option<Context>,
    range: [&str; 2],
    reverse: bool,
) -> Answers {
    let ends = |mode| {
        let mut ends = range.map(|name| key(mode, name));
        if reverse {
            ends.reverse();
        }
        ends
    };
    let ([start_key, end_key], [raw_start, raw_end]) = (ends('x'), ends('r'));
    let ranges = vec![pb::KeyRange {
        start_key: raw_start.clone(),
        end_key: raw_end.clone(),
    }];
    let transactional = service.store.standing().region.start.first() == Some(&b'x');
    if transactional {
        let locks = range.map(|name| key('x', name));
        let mut told = answers! { service;
            kv_scan(pb::ScanRequest { context: context.clone(), start_key: start_key.clone(), end_key: end_key.clone(), limit: 10, reverse, version: 1, ..pb::ScanRequest::default() });
        };
        if !reverse {
            let [start_key, end_key] = locks;
            told.extend(answers! { service;
                kv_scan_lock(pb::ScanLockRequest { context, start_key, end_key, max_version: 1, ..pb::ScanLockRequest::default() });
            });
        }
        return told;
    }
    answers! { service;
        raw_scan(pb::RawScanRequest { context: context.clone(), start_key: raw_start, end_key: raw_end, limit: 10, reverse, ..pb::RawScanRequest::default() });
        raw_batch_scan(pb::RawBatchScanRequest { context, ranges, each_limit: 10, reverse, ..pb::RawBatchScanRequest::default() });
    }
}

/// All requests that delete `[start, end)` of the region's mode.
async fn deletions(service: &KvService, context: Option<Context>, range: [&str; 2]) -> Answers {
    match service.store.standing().region.start.first() {
        Some(b'x') => {
            let [start_key, end_key] = range.map(|name| key('x', name));
            answers! { service;
                kv_delete_range(pb::DeleteRangeRequest { context, start_key, end_key, ..pb::DeleteRangeRequest::default() });
            }
        }
        _ => {
            let [start_key, end_key] = range.map(|name| key('r', name));
            answers! { service;
                raw_delete_range(pb::RawDeleteRangeRequest { context, start_key, end_key, ..pb::RawDeleteRangeRequest::default() });
            }
        }
    }
}

async fn about(service: &KvService, mode: char, context: Option<Context>, name: &str) -> Answers {
    match mode {
        'x' => about_key(service, context, &key(mode, name)).await,
        _ => about_raw_key(service, context, &key(mode, name)).await,
    }
}

async fn service(world: &World) -> KvService {
    world.store.api.learn(&world.store).await.unwrap();
    KvService::new(Arc::clone(&world.store))
}

fn assert_taken(told: Answers) {
    for (method, error) in told {
        assert_eq!(error, None, "{method}");
    }
}

fn assert_outside(told: Answers) {
    for (method, error) in told {
        let error = error.unwrap_or_else(|| panic!("{method} was taken"));
        assert!(error.key_not_in_region.is_some(), "{method}: {error:?}");
    }
}

#[test]
fn who_knows_an_older_region_is_told_the_one_of_today_whatever_he_asks() {
    runtime().block_on(async {
        let world = World::new();
        let service = service(&world).await;
        for mode in ['x', 'r'] {
            world.set_region(region(mode, 7));
            let mut told = about(&service, mode, context(6), KEYS[1]).await;
            told.extend(scans(&service, context(6), [KEYS[0], KEYS[1]], false).await);
            told.extend(scans(&service, context(6), [KEYS[0], KEYS[1]], true).await);
            told.extend(deletions(&service, context(6), [KEYS[0], KEYS[1]]).await);
            for (method, error) in told {
                let error = error.unwrap_or_else(|| panic!("{method} was taken"));
                let today = &error.epoch_not_match.unwrap().current_regions[0];
                assert_eq!(today.start_key, encoded(mode, KEYS[0]), "{method}");
                assert_eq!(today.end_key, encoded(mode, KEYS[2]), "{method}");
                assert_eq!(today.region_epoch.unwrap().version, 7, "{method}");
            }
        }
    });
}

#[test]
fn keys_outside_a_narrowed_region_are_refused_and_those_within_are_not() {
    runtime().block_on(async {
        let world = World::new();
        let service = service(&world).await;
        for mode in ['x', 'r'] {
            world.set_region(region(mode, 2));
            for name in ["b", KEYS[2], KEYS[3]] {
                assert_outside(about(&service, mode, context(2), name).await);
            }
            for name in [KEYS[0], KEYS[1]] {
                assert_taken(about(&service, mode, context(2), name).await);
            }
            let [first, within, behind, beyond] = KEYS;
            for (range, forward, backward) in [
                ([first, behind], true, true),
                ([within, beyond], true, false),
                (["b", within], false, true),
                ([behind, beyond], false, false),
            ] {
                for (reverse, taken) in [(false, forward), (true, backward)] {
                    let told = scans(&service, context(2), range, reverse).await;
                    match taken {
                        true => assert_taken(told),
                        false => assert_outside(told),
                    }
                }
            }
            assert_taken(deletions(&service, context(2), [first, behind]).await);
            assert_outside(deletions(&service, context(2), [within, beyond]).await);
            assert_outside(deletions(&service, context(2), ["b", within]).await);
        }
    });
}

#[test]
fn a_scan_that_goes_on_beyond_the_region_gives_what_the_region_has() {
    runtime().block_on(async {
        let world = World::new();
        let service = service(&world).await;
        let whole = || context(world.epoch().version);
        let pairs = ["b", "c", "d", "e"].map(|name| pb::KvPair {
            key: key('r', name),
            ..pb::KvPair::default()
        });
        let put = service.raw_batch_put(Request::new(pb::RawBatchPutRequest {
            context: whole(),
            pairs: pairs.into(),
            ..pb::RawBatchPutRequest::default()
        }));
        assert_eq!(put.await.unwrap().into_inner().region_error, None);
        world.set_region(region('r', 2));
        for (reverse, range, expected) in [
            (false, ["c", "z"], ["c", "d"]),
            (true, ["e", "a"], ["d", "c"]),
        ] {
            let [start_key, end_key] = range.map(|name| key('r', name));
            let scan = service.raw_scan(Request::new(pb::RawScanRequest {
                context: context(2),
                start_key,
                end_key,
                limit: 10,
                reverse,
                ..pb::RawScanRequest::default()
            }));
            let found = scan.await.unwrap().into_inner();
            assert_eq!(found.region_error, None);
            let found = found.kvs.into_iter().map(|pair| pair.key);
            let expected = expected.map(|name| key('r', name));
            assert_eq!(found.collect::<Vec<_>>(), expected);
        }
    });
}
