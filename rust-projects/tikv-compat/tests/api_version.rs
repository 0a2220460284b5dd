//! Clusters of API version 1: keys of one kind, for clients without a keyspace. The version stays what it was when the cluster was created.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use support::{Cluster, until};
use tikv_client::{Config, Error};

fn words(result: Result<impl Sized, Error>) -> String {
    match result {
        Ok(_) => "done".into(),
        Err(error) => format!("{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_1_with_raw_keys_serves_them_and_says_what_is_wrong_with_others() {
    let mut cluster = Cluster::start_with_api(1, "1-raw");
    let raw = cluster.raw_with(Config::default()).await;
    for number in 0..20 {
        let put = raw.put(format!("k{number:02}"), format!("{number}"));
        put.await.unwrap();
    }
    // No beginning of a key means anything here.
    raw.put("x\0\0\0k".to_owned(), "x").await.unwrap();
    let value = raw.get("k07".to_owned()).await.unwrap();
    assert_eq!(value.as_deref(), Some(&b"7"[..]));
    let pairs = raw.scan("k05".to_owned().."k08".to_owned(), 10).await;
    assert_eq!(pairs.unwrap().len(), 3);
    let pairs = raw.scan_reverse("k05".to_owned().."k08".to_owned(), 2);
    let values = pairs.await.unwrap().into_iter();
    let values: Vec<_> = values.map(tikv_client::KvPair::into_value).collect();
    assert_eq!(values, [b"7", b"6"]);
    let pairs = raw.scan_reverse("k05".to_owned().., 2).await;
    assert_eq!(pairs.unwrap().len(), 2, "from the end of all keys");
    raw.delete_range("k00".to_owned().."k10".to_owned())
        .await
        .unwrap();
    assert_eq!(raw.get("k07".to_owned()).await.unwrap(), None);

    let transactions = cluster.transactions_with(Config::default()).await;
    let mut transaction = transactions.begin_optimistic().await.unwrap();
    let told = words(transaction.get("k11".to_owned()).await);
    assert!(told.contains("created for raw keys"), "{told}");
    // Nothing is locked, so there is nothing to ask for.
    transaction.rollback().await.unwrap();
    let told = words(cluster.raw().await.get("k11".to_owned()).await);
    assert!(told.contains("give the client no keyspace"), "{told}");

    // Started as if for another version, it stays what it is.
    cluster.kill(1);
    cluster.set_api("2");
    cluster.run(1);
    let value = until("it serves again", async || {
        raw.get("k11".to_owned()).await.ok()
    })
    .await;
    assert_eq!(value.as_deref(), Some(&b"11"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn version_1_with_transactions_serves_them_and_says_what_is_wrong_with_others() {
    let cluster = Cluster::start_with_api(1, "1-txn");
    let client = cluster.transactions_with(Config::default()).await;
    let mut transaction = client.begin_optimistic().await.unwrap();
    for key in ["a", "r", "x", "\u{7f}"] {
        transaction.put(key.to_owned(), "1").await.unwrap();
    }
    transaction.commit().await.unwrap();
    let mut reader = client.begin_pessimistic().await.unwrap();
    let pairs = reader.scan("a".to_owned().., 10).await.unwrap();
    let keys: Vec<Vec<u8>> = pairs.map(|pair| pair.into_key().into()).collect();
    assert_eq!(keys, [&b"a"[..], b"r", b"x", b"\x7f"]);
    assert!(
        reader
            .get_for_update("r".to_owned())
            .await
            .unwrap()
            .is_some()
    );
    reader.rollback().await.unwrap();

    let raw = cluster.raw_with(Config::default()).await;
    let told = words(raw.get("a".to_owned()).await);
    assert!(told.contains("created for transactional keys"), "{told}");
}
