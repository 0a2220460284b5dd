//! What clients rely on and few would notice in the client's own tests: asked by the messages themselves.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::tikv::kvrpcpb::{self, ApiVersion, Context, Op};
use proto::tikv::metapb::{Peer, RegionEpoch};
use proto::tikv::pdpb::pd_client::PdClient;
use proto::tikv::pdpb::{
    GetAllStoresRequest, GetGcSafePointRequest, GetMembersRequest, GetRegionByIdRequest,
    GetRegionRequest, ScanRegionsRequest, TsoRequest, UpdateGcSafePointRequest,
    UpdateServiceGcSafePointRequest,
};
use proto::tikv::tikvpb::tikv_client::TikvClient;
use support::{Cluster, until};
use tikv_client::TimestampExt;
use tonic::Code;
use tonic::transport::Channel;

async fn channel(cluster: &Cluster, id: usize) -> Channel {
    let endpoint = cluster.endpoints()[id - 1].clone();
    until("a node listens", async || {
        let endpoint = Channel::from_shared(format!("http://{endpoint}")).unwrap();
        endpoint.connect().await.ok()
    })
    .await
}

async fn driver(cluster: &Cluster, id: usize) -> PdClient<Channel> {
    PdClient::new(channel(cluster, id).await)
}

/// Who leads, as a node says.
async fn leader(cluster: &Cluster, by: usize) -> usize {
    let mut driver = driver(cluster, by).await;
    until("a leader is known", async || {
        let members = driver.get_members(GetMembersRequest::default()).await;
        let leader = members.ok()?.into_inner().leader?;
        usize::try_from(leader.member_id).ok()
    })
    .await
}

/// What a client that knows the region sends along.
async fn context(cluster: &Cluster, leader: usize) -> Context {
    let mut driver = driver(cluster, leader).await;
    let region = driver.get_region(GetRegionRequest::default()).await;
    let region = region.unwrap().into_inner();
    Context {
        region_id: region.region.as_ref().unwrap().id,
        region_epoch: region.region.unwrap().region_epoch,
        peer: region.leader,
        api_version: ApiVersion::V2.into(),
        ..Context::default()
    }
}

async fn timestamp(driver: &mut PdClient<Channel>) -> Result<u64, tonic::Status> {
    let request = TsoRequest {
        count: 1,
        ..TsoRequest::default()
    };
    let stream = tokio_stream::iter([request]);
    let mut responses = driver.tso(stream).await?.into_inner();
    let ended = || tonic::Status::unavailable("the stream ended");
    let given = responses.message().await?.ok_or_else(ended)?;
    let given = given.timestamp.ok_or_else(ended)?;
    Ok((given.physical.cast_unsigned() << 18) | given.logical.cast_unsigned())
}

#[tokio::test(flavor = "multi_thread")]
async fn placement_calls_wait_for_a_leader_and_say_so_if_none_comes() {
    let mut cluster = Cluster::place(3);
    cluster.run(1);
    let mut driver = driver(&cluster, 1).await;
    let began = Instant::now();
    let alone = driver.get_members(GetMembersRequest::default()).await;
    assert_eq!(alone.unwrap_err().code(), Code::Unavailable);
    assert!(began.elapsed() >= Duration::from_millis(1400), "it waits");
    cluster.run(2);
    cluster.run(3);
    // A node is known once it has told its address to the leader, so the last one may come after the first answer.
    until("a leader is elected and all are known", async || {
        let members = driver.get_members(GetMembersRequest::default()).await;
        let members = members.ok()?.into_inner();
        let header = members.header.unwrap();
        assert!(header.cluster_id > 0 && header.error.is_none());
        let leader = members.leader.unwrap();
        assert!(members.members.contains(&leader));
        assert!(leader.client_urls[0].starts_with("http://127.0.0.1:"));
        (members.members.len() == 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamps_rise_through_a_change_of_leader_and_only_the_leader_gives_them() {
    let mut cluster = Cluster::start(3);
    let first = leader(&cluster, 1).await;
    let mut last = 0;
    for _ in 0..100 {
        let given = timestamp(&mut driver(&cluster, first).await).await.unwrap();
        assert!(given > last);
        last = given;
    }
    let other = first % 3 + 1;
    let refused = timestamp(&mut driver(&cluster, other).await).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);

    // A stream on which nothing is asked for ends with its leader's lead.
    let mut idle = driver(&cluster, first).await;
    let silence = tokio_stream::pending::<TsoRequest>();
    let mut responses = idle.tso(silence).await.unwrap().into_inner();
    cluster.kill(first);
    assert!(!matches!(responses.message().await, Ok(Some(_))));

    let given = until("the next leader gives timestamps", async || {
        let next = leader(&cluster, other).await;
        if next == first {
            return None;
        }
        timestamp(&mut driver(&cluster, next).await).await.ok()
    })
    .await;
    assert!(given > last, "{given} after {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_knows_the_region_and_the_stores() {
    let cluster = Cluster::start(3);
    let leads = leader(&cluster, 1).await as u64;
    for id in 1..=3 {
        let mut driver = driver(&cluster, id).await;
        let by_key = driver.get_region(GetRegionRequest {
            region_key: "x".into(),
            ..GetRegionRequest::default()
        });
        let by_key = by_key.await.unwrap().into_inner();
        assert_eq!(by_key.leader.as_ref().unwrap().store_id, leads);
        let region = by_key.region.clone().unwrap();
        assert_eq!(region.peers.len(), 3);
        assert!(
            !region.end_key.is_empty(),
            "clients take no end for more to come"
        );
        let by_id = driver.get_region_by_id(GetRegionByIdRequest {
            region_id: region.id,
            ..GetRegionByIdRequest::default()
        });
        assert_eq!(by_id.await.unwrap().into_inner().region, by_key.region);
        let scanned = driver.scan_regions(ScanRegionsRequest {
            limit: 10,
            ..ScanRegionsRequest::default()
        });
        let scanned = scanned.await.unwrap().into_inner();
        assert_eq!(scanned.region_metas, [region]);
        let unknown = driver.get_region_by_id(GetRegionByIdRequest {
            region_id: 77,
            ..GetRegionByIdRequest::default()
        });
        let header = unknown.await.unwrap().into_inner().header.unwrap();
        assert!(header.error.unwrap().message.contains("77"));
        let stores = driver.get_all_stores(GetAllStoresRequest::default()).await;
        let stores = stores.unwrap().into_inner().stores;
        assert_eq!(stores.len(), 3);
        assert_eq!(stores[id - 1].address, cluster.endpoints()[id - 1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn safe_points_are_one_for_all_nodes_go_up_only_and_stop_at_services() {
    let cluster = Cluster::start(3);
    leader(&cluster, 1).await;
    for (id, wanted, expected) in [(1, 100, 100), (2, 50, 100), (3, 200, 200)] {
        let mut driver = driver(&cluster, id).await;
        let updated = driver.update_gc_safe_point(UpdateGcSafePointRequest {
            safe_point: wanted,
            ..UpdateGcSafePointRequest::default()
        });
        let updated = updated.await.unwrap().into_inner();
        assert_eq!(updated.new_safe_point, expected, "by node {id}");
    }
    let mut second = driver(&cluster, 2).await;
    let held = second.update_service_gc_safe_point(UpdateServiceGcSafePointRequest {
        service_id: "backup".into(),
        ttl: 600,
        safe_point: 250,
        ..UpdateServiceGcSafePointRequest::default()
    });
    assert_eq!(held.await.unwrap().into_inner().min_safe_point, 250);
    let updated = second.update_gc_safe_point(UpdateGcSafePointRequest {
        safe_point: 300,
        ..UpdateGcSafePointRequest::default()
    });
    assert_eq!(updated.await.unwrap().into_inner().new_safe_point, 250);
    let mut third = driver(&cluster, 3).await;
    let seen = third.get_gc_safe_point(GetGcSafePointRequest::default());
    assert_eq!(seen.await.unwrap().into_inner().safe_point, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_for_this_node_region_or_key_space_is_told_so() {
    let cluster = Cluster::start(3);
    let leads = leader(&cluster, 1).await;
    let context = context(&cluster, leads).await;
    let mut store = TikvClient::new(channel(&cluster, leads).await);
    let mut get = async |context: Context, key: &'static str| {
        let get = store.kv_get(kvrpcpb::GetRequest {
            context: Some(context),
            key: key.into(),
            version: u64::MAX,
        });
        get.await.unwrap().into_inner()
    };
    let good = get(context.clone(), "xk").await;
    assert!(good.not_found && good.region_error.is_none() && good.error.is_none());

    let raw = get(context.clone(), "rk").await;
    assert!(raw.error.unwrap().abort.contains("transactional"));
    let mut other = context.clone();
    other.set_api_version(ApiVersion::V1);
    let version = get(other, "xk").await;
    assert!(version.error.unwrap().abort.contains("API version 2"));

    let mut other = context.clone();
    other.region_id = 77;
    let region = get(other, "xk").await.region_error.unwrap();
    assert_eq!(region.region_not_found.unwrap().region_id, 77);
    let mut other = context.clone();
    other.peer = Some(Peer {
        store_id: 77,
        ..Peer::default()
    });
    let store_error = get(other, "xk").await.region_error.unwrap();
    assert_eq!(store_error.store_not_match.unwrap().request_store_id, 77);
    let mut other = context.clone();
    other.region_epoch = Some(RegionEpoch {
        conf_ver: 1,
        version: 0,
    });
    let epoch = get(other, "xk").await.region_error.unwrap();
    assert_eq!(epoch.epoch_not_match.unwrap().current_regions.len(), 1);
    let beyond = get(context.clone(), "z").await;
    assert!(beyond.error.is_some() || beyond.region_error.is_some());

    let follower = leads % 3 + 1;
    let mut other = context.clone();
    other.peer.as_mut().unwrap().store_id = follower as u64;
    let mut store = TikvClient::new(channel(&cluster, follower).await);
    let get = store.kv_get(kvrpcpb::GetRequest {
        context: Some(other),
        key: "xk".into(),
        version: u64::MAX,
    });
    let error = get.await.unwrap().into_inner().region_error.unwrap();
    let named = error.not_leader.unwrap().leader.unwrap();
    assert_eq!(named.store_id, leads as u64);
    let unknown = store
        .kv_delete_range(kvrpcpb::DeleteRangeRequest::default())
        .await;
    assert!(
        !unknown.unwrap().into_inner().error.is_empty(),
        "no context"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_below_the_safe_point_is_not_read() {
    let cluster = Cluster::start(1);
    let client = cluster.transactions().await;
    let mut old = 0;
    for value in ["1", "2"] {
        let mut transaction = client.begin_optimistic().await.unwrap();
        transaction
            .put("k".to_owned(), value.to_owned())
            .await
            .unwrap();
        let committed = transaction.commit().await.unwrap().unwrap();
        if value == "1" {
            old = committed.version();
        }
    }
    let context = context(&cluster, 1).await;
    let mut store = TikvClient::new(channel(&cluster, 1).await);
    let mut get = async |version: u64| {
        let get = store.kv_get(kvrpcpb::GetRequest {
            context: Some(context.clone()),
            key: "x\0\0\0k".into(),
            version,
        });
        get.await.unwrap().into_inner()
    };
    assert_eq!(get(old).await.value, "1");
    let now = client.current_timestamp().await.unwrap();
    assert!(client.gc(now).await.unwrap());
    let refused = get(old).await.error.unwrap();
    assert!(refused.abort.contains("safe point"), "{refused:?}");
    assert_eq!(get(u64::MAX).await.value, "2");
}

/// A key as the store knows it.
fn whole(key: &str) -> Bytes {
    format!("x\0\0\0{key}").into()
}

fn put_by_the_dead(key: &str) -> kvrpcpb::Mutation {
    kvrpcpb::Mutation {
        op: Op::Put.into(),
        key: whole(key),
        value: "dead".into(),
        ..kvrpcpb::Mutation::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_that_a_dead_client_left_are_cleaned_up_by_who_meets_them() {
    let cluster = Cluster::start(3);
    let client = cluster.transactions().await;
    let leads = leader(&cluster, 1).await;
    let context = context(&cluster, leads).await;
    let mut store = TikvClient::new(channel(&cluster, leads).await);
    let start = client.current_timestamp().await.unwrap().version();
    let prewrite = store.kv_prewrite(kvrpcpb::PrewriteRequest {
        context: Some(context),
        mutations: ["a", "b"].map(put_by_the_dead).into(),
        primary_lock: whole("a"),
        start_version: start,
        lock_ttl: 100,
        ..kvrpcpb::PrewriteRequest::default()
    });
    assert!(prewrite.await.unwrap().into_inner().errors.is_empty());
    // The secondary first: its reader asks the primary.
    for key in ["b", "a"] {
        let mut transaction = client.begin_optimistic().await.unwrap();
        assert_eq!(transaction.get(key.to_owned()).await.unwrap(), None);
        transaction
            .put(key.to_owned(), "alive".to_owned())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }
}

/// Client (0.4.0) does not finish what it reads of such a transaction, and its collector of garbage rolls back those of one key: so the leader does it.
#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_commit_of_a_dead_client_is_finished_as_its_prewrites_say() {
    let cluster = Cluster::start(1);
    let client = cluster.transactions().await;
    let context = context(&cluster, 1).await;
    let mut store = TikvClient::new(channel(&cluster, 1).await);
    let mutation = |key: &str| kvrpcpb::Mutation {
        op: if key == "absent" {
            Op::CheckNotExists
        } else {
            Op::Put
        }
        .into(),
        ..put_by_the_dead(key)
    };
    let mut prewrite = async |keys: &[&str], secondaries: &[&str]| {
        let start = client.current_timestamp().await.unwrap();
        let prewrite = store.kv_prewrite(kvrpcpb::PrewriteRequest {
            context: Some(context.clone()),
            mutations: keys.iter().copied().map(mutation).collect(),
            primary_lock: whole(keys[0]),
            start_version: start.version(),
            lock_ttl: 100,
            use_async_commit: true,
            secondaries: secondaries.iter().copied().map(whole).collect(),
            ..kvrpcpb::PrewriteRequest::default()
        });
        let prewritten = prewrite.await.unwrap().into_inner();
        assert!(prewritten.errors.is_empty() && prewritten.min_commit_ts > start.version());
    };
    prewrite(&["whole 1", "whole 2"], &["whole 2"]).await;
    prewrite(&["put", "absent"], &["absent"]).await;
    prewrite(&["half 1"], &["half 2"]).await;
    prewrite(&["alone"], &[]).await;
    prewrite(&["collected"], &[]).await;

    let read = async |key: &str| {
        let mut transaction = client.begin_optimistic().await.unwrap();
        let found = transaction.get(key.to_owned()).await.unwrap();
        transaction.rollback().await.unwrap();
        found.map(|value| String::from_utf8(value).unwrap())
    };
    let put = Some("dead".to_owned());
    assert_eq!(read("whole 2").await, put, "all of its keys are prewritten");
    assert_eq!(read("whole 1").await, put);
    assert_eq!(
        read("put").await,
        put,
        "its second key is not there, as it must"
    );
    assert_eq!(read("half 1").await, None, "its second key never came");
    assert_eq!(read("half 2").await, None);
    assert_eq!(read("alone").await, put, "it has one key, which came");
    let now = client.current_timestamp().await.unwrap();
    assert!(client.gc(now).await.unwrap());
    assert_eq!(read("collected").await, put, "it is met by the collector");
}

/// Client (0.4.0) sends the second keys' commit after a first one's that it took for sent and that never was: it could not find the region.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_which_the_first_part_never_came_is_whole_or_none() {
    let cluster = Cluster::start(1);
    let client = cluster.transactions().await;
    let context = context(&cluster, 1).await;
    let mut store = TikvClient::new(channel(&cluster, 1).await);
    for (name, dies) in [("late", false), ("dead", true)] {
        let keys = [1, 2].map(|number| format!("{name} {number}"));
        let start_version = client.current_timestamp().await.unwrap().version();
        let prewrite = store.kv_prewrite(kvrpcpb::PrewriteRequest {
            context: Some(context.clone()),
            mutations: keys.each_ref().map(|key| put_by_the_dead(key)).into(),
            primary_lock: whole(&keys[0]),
            start_version,
            lock_ttl: if dies { 50 } else { 60_000 },
            ..kvrpcpb::PrewriteRequest::default()
        });
        assert!(prewrite.await.unwrap().into_inner().errors.is_empty());
        let commit_version = client.current_timestamp().await.unwrap().version();
        let read = async |key: &String| {
            let mut reader = client.begin_optimistic().await.unwrap();
            let found = reader.get(key.clone()).await.unwrap();
            reader.rollback().await.unwrap();
            found.is_some()
        };
        if dies {
            // Somebody finds the primary's lock too old.
            assert!(!read(&keys[0]).await);
        }
        let commit = store.kv_commit(kvrpcpb::CommitRequest {
            context: Some(context.clone()),
            start_version,
            keys: vec![whole(&keys[1])],
            commit_version,
        });
        let refused = commit.await.unwrap().into_inner().error;
        assert_eq!(refused.is_some(), dies, "{refused:?}");
        for key in &keys {
            assert_eq!(read(key).await, !dies, "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_lock_crosswise_one_is_told_and_the_other_goes_on() {
    let cluster = Cluster::start(1);
    let client = cluster.transactions().await;
    let mut left = client.begin_pessimistic().await.unwrap();
    let mut right = client.begin_pessimistic().await.unwrap();
    left.lock_keys(["a".to_owned()]).await.unwrap();
    right.lock_keys(["b".to_owned()]).await.unwrap();
    let crosswise = tokio::spawn(async move {
        let locked = left.lock_keys(["b".to_owned()]).await;
        left.rollback().await.unwrap();
        locked
    });
    let locked = right.lock_keys(["a".to_owned()]).await;
    right.rollback().await.unwrap();
    let outcomes = [locked, crosswise.await.unwrap()];
    let refused: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
    assert_eq!(refused.len(), 1, "{outcomes:?}");
    assert!(
        format!("{:?}", refused[0]).contains("deadlock: Some"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_a_client_would_not_take_is_refused_as_a_whole() {
    let cluster = Cluster::start(1);
    let client = cluster.raw().await;
    for number in 0..5 {
        client
            .put(format!("k{number}"), vec![number; 1 << 20])
            .await
            .unwrap();
    }
    let all = client.scan("k0".to_owned()..="k4".to_owned(), 10).await;
    assert!(format!("{:?}", all.unwrap_err()).contains("fewer at a time"));
    let some = client.scan("k0".to_owned()..="k4".to_owned(), 3).await;
    assert_eq!(some.unwrap().len(), 3);
    let endless = client.scan("k3".to_owned().., 3).await.unwrap();
    assert_eq!(endless.len(), 2, "it ends with the region");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lives_for_a_second_is_gone_after_it() {
    let cluster = Cluster::start(1);
    let client = cluster.raw().await;
    client
        .put_with_ttl("k".to_owned(), "v".to_owned(), 1)
        .await
        .unwrap();
    client
        .put_with_ttl("long".to_owned(), "v".to_owned(), 1000)
        .await
        .unwrap();
    let left = client.get_key_ttl_secs("long".to_owned()).await.unwrap();
    assert!(
        left.is_some_and(|left| (990..=1000).contains(&left)),
        "{left:?}"
    );
    until("its time is over", async || {
        client
            .get("k".to_owned())
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    assert_eq!(client.get_key_ttl_secs("k".to_owned()).await.unwrap(), None);
    assert!(client.get("long".to_owned()).await.unwrap().is_some());
}
