//! The published client, unchanged: transactions and raw keys.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use support::Cluster;
use tikv_client::{Key, KvPair, TransactionOptions};

#[tokio::test(flavor = "multi_thread")]
async fn transactions_read_what_was_committed_and_conflict_where_they_must() {
    let cluster = Cluster::start(3);
    let client = cluster.transactions().await;
    let mut first = client.begin_optimistic().await.unwrap();
    first.put("a".to_owned(), "1".to_owned()).await.unwrap();
    first.put("b".to_owned(), "2".to_owned()).await.unwrap();
    let mut late = client.begin_optimistic().await.unwrap();
    assert_eq!(late.get("a".to_owned()).await.unwrap(), None);
    first.commit().await.unwrap();
    assert_eq!(
        late.get("a".to_owned()).await.unwrap(),
        None,
        "its snapshot"
    );
    late.put("a".to_owned(), "3".to_owned()).await.unwrap();
    assert!(late.commit().await.is_err(), "somebody committed since");

    let mut reader = client.begin_optimistic().await.unwrap();
    let pairs: Vec<KvPair> = reader
        .scan("a".to_owned().."z".to_owned(), 10)
        .await
        .unwrap()
        .collect();
    let expected = [("a", "1"), ("b", "2")];
    assert_eq!(pairs.len(), 2);
    for (pair, (key, value)) in pairs.iter().zip(expected) {
        assert_eq!(pair.key(), &Key::from(key.to_owned()));
        assert_eq!(pair.value(), value.as_bytes());
    }
    reader.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_takes_two_phases_one_or_none_of_its_own() {
    let cluster = Cluster::start(1);
    let client = cluster.transactions().await;
    let all = [
        TransactionOptions::new_optimistic(),
        TransactionOptions::new_optimistic().use_async_commit(),
        TransactionOptions::new_optimistic().try_one_pc(),
        TransactionOptions::new_pessimistic(),
        TransactionOptions::new_pessimistic()
            .use_async_commit()
            .try_one_pc(),
    ];
    for (round, options) in all.into_iter().enumerate() {
        let mut transaction = client.begin_with_options(options).await.unwrap();
        let value = transaction.get("k".to_owned()).await.unwrap();
        let before = round.checked_sub(1).map(|round| vec![round as u8]);
        assert_eq!(value, before);
        transaction
            .put("k".to_owned(), vec![round as u8])
            .await
            .unwrap();
        transaction
            .put(format!("other {round}"), vec![1])
            .await
            .unwrap();
        assert!(transaction.commit().await.unwrap().is_some());
    }
}

/// The client sends it in parts of 16 KiB, each with the primary key's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_thousands_of_keys_and_megabytes_is_whole_or_not_there() {
    const KEYS: usize = 5000;
    let cluster = Cluster::start(3);
    let client = cluster.transactions().await;
    let key = |number: usize| format!("large {number:05}");
    let range = || key(0)..key(KEYS);
    let large = async |value: u8| {
        let mut transaction = client.begin_optimistic().await.unwrap();
        for number in 0..KEYS {
            let value = vec![value; 1024];
            transaction.put(key(number), value).await.unwrap();
        }
        transaction
    };
    let count = async || {
        let mut reader = client.begin_optimistic().await.unwrap();
        let keys = reader.scan_keys(range(), u32::MAX).await.unwrap();
        let count = keys.count();
        reader.rollback().await.unwrap();
        count
    };
    large(1).await.rollback().await.unwrap();
    assert_eq!(count().await, 0);
    let mut first = large(1).await;
    let mut second = large(2).await;
    first.commit().await.unwrap();
    assert_eq!(count().await, KEYS);
    assert!(second.commit().await.is_err(), "somebody committed since");
    second.rollback().await.unwrap();
    let mut reader = client.begin_optimistic().await.unwrap();
    let first_page = reader.scan(range(), 1000).await.unwrap();
    assert!(
        first_page
            .into_iter()
            .all(|pair| pair.value()[..] == [1; 1024])
    );
    reader.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_batches_of_megabytes_and_values_of_megabytes_are_kept() {
    const MIB: usize = 1 << 20;
    let cluster = Cluster::start(3);
    let client = cluster.raw().await;
    let value = |number: u8| vec![number; MIB];
    let pairs = (0..12).map(|number| (vec![b'v', number], value(number)));
    client.batch_put(pairs).await.unwrap();
    for number in 0..12 {
        let found = client.get(vec![b'v', number]).await.unwrap();
        assert_eq!(found, Some(value(number)));
    }
    let long = || vec![7; 3 * MIB];
    client.put("long".to_owned(), long()).await.unwrap();
    assert_eq!(client.get("long".to_owned()).await.unwrap(), Some(long()));
    // A request holds up to 16 MiB, so this cannot be sent, and what was there stays.
    let too_long = client.put("long".to_owned(), vec![8; 16 * MIB]).await;
    assert!(too_long.is_err());
    assert_eq!(client.get("long".to_owned()).await.unwrap(), Some(long()));
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_keys_are_put_scanned_swapped_and_deleted() {
    let cluster = Cluster::start(1);
    let client = cluster.raw().await;
    for key in ["a", "b", "c"] {
        client
            .put(key.to_owned(), format!("of {key}"))
            .await
            .unwrap();
    }
    assert_eq!(
        client.get("b".to_owned()).await.unwrap(),
        Some(b"of b".to_vec())
    );
    let pairs = client
        .scan("a".to_owned().."c".to_owned(), 10)
        .await
        .unwrap();
    assert_eq!(pairs.len(), 2);
    let swaps = client.with_atomic_for_cas();
    let swap = swaps.compare_and_swap("a".to_owned(), Some(b"of a".to_vec()), "new".to_owned());
    assert_eq!(swap.await.unwrap(), (Some(b"of a".to_vec()), true));
    let swap = swaps.compare_and_swap("a".to_owned(), None, "no".to_owned());
    assert_eq!(swap.await.unwrap(), (Some(b"new".to_vec()), false));
    client
        .delete_range("a".to_owned().."c".to_owned())
        .await
        .unwrap();
    assert_eq!(client.get("a".to_owned()).await.unwrap(), None);
    assert_eq!(
        client.get("c".to_owned()).await.unwrap(),
        Some(b"of c".to_vec())
    );
}
