//! Writing: one transaction for each batch, until it is committed or refused.
//!
//! The client (0.4.0) takes a prewrite or a commit for done when it does not find the region of its keys, as while a leader is elected: it
//! loses the error (`stream::iter(Err(..))` is an empty stream), sends nothing, and reports success. So nothing is acknowledged on its
//! word. Each transaction also writes a marker, first, so that this is its primary key: its own start timestamp, which no other
//! has. It is committed if and only if the marker is there as of the commit timestamp that the client gives. In retries of its own the
//! client could lose a part of a batch in the same way, so it is asked to make none.

use std::collections::BTreeMap;

use bytes::Bytes;
use tikv_client::transaction::Mutation;
use tikv_client::{Timestamp, TimestampExt, Transaction};
use tokio::time::timeout_at;

use crate::tikv::client::{Pauses, Session, backend, for_reading, for_writing};
use crate::tikv::failure::{Verdict, of_commit};
use crate::{Error, Result};

/// What a batch comes to, in the cluster's keys: a value or its absence.
pub(super) type Effect = BTreeMap<Vec<u8>, Option<Bytes>>;

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It counts.
    Committed,
    /// It was in somebody's way and left nothing.
    Beaten,
}

/// Begins a transaction.
///
/// # Errors
/// [`Error::Unreachable`].
pub(super) async fn begin(session: Session) -> Result<Transaction> {
    let attempt = || session.tikv.begin_with_options(for_writing());
    session.persist(attempt).await
}

/// Commits `effect`, and the marker under the key given, in a transaction that has read nothing else than at its start.
///
/// # Errors
/// [`Error::Undetermined`]; [`Error::Backend`] for what the cluster does not take.
pub(super) async fn commit(
    session: Session,
    mut transaction: Transaction,
    marker: Vec<u8>,
    effect: Effect,
) -> Result<Outcome> {
    let start = transaction.start_timestamp().version();
    let keys = effect.keys().cloned();
    let keys: Vec<_> = std::iter::once(marker.clone()).chain(keys).collect();
    let mark = Mutation::Put(marker.clone().into(), start.to_be_bytes().into());
    let mutations = effect.into_iter().map(|(key, value)| match value {
        Some(value) => Mutation::Put(key.into(), value.into()),
        None => Mutation::Delete(key.into()),
    });
    let mutations = std::iter::once(mark).chain(mutations);
    let staged = transaction.batch_mutate(mutations).await;
    staged.map_err(|error| backend(&error))?;
    let mut pauses = Pauses::default();
    // What the last attempt met that may have been committed all the same.
    let mut doubt: Option<String> = None;
    loop {
        let error = match timeout_at(session.until, transaction.commit()).await {
            Ok(Ok(at)) => {
                return match (verify(&session, &marker, start, at).await?, doubt) {
                    // An attempt before may have been committed, and its marker written over since.
                    (Outcome::Beaten, Some(cause)) => Err(session.undetermined(cause)),
                    (outcome, _) => Ok(outcome),
                };
            }
            Ok(Err(error)) => error,
            Err(_) => {
                let cause = doubt.unwrap_or_else(|| "nothing in time".to_owned());
                return Err(session.undetermined(cause));
            }
        };
        match (of_commit(&error, start), &doubt) {
            (Verdict::Committed, _) => return Ok(Outcome::Committed),
            (Verdict::RolledBack, _) | (Verdict::Conflict, None) => {
                clean_up(&session, &mut transaction).await;
                return Ok(Outcome::Beaten);
            }
            (Verdict::Fatal, None) => {
                clean_up(&session, &mut transaction).await;
                return Err(backend(&error));
            }
            (Verdict::Conflict, Some(cause)) => {
                let outcome = look_back(&session, &marker, start, cause).await?;
                if outcome == Outcome::Beaten {
                    clean_up(&session, &mut transaction).await;
                }
                return Ok(outcome);
            }
            (Verdict::Fatal, Some(_)) => return Err(session.undetermined(error.to_string())),
            // Committing is to be done again under the same timestamp: that counts once, and tells what became of it.
            (Verdict::Again, _) => doubt = Some(error.to_string()),
        }
        pauses.next().await;
        find_regions(&session, &keys, start).await;
    }
}

/// What became of a transaction that the client takes for committed at `at`.
async fn verify(
    session: &Session,
    marker: &[u8],
    start: u64,
    at: Option<Timestamp>,
) -> Result<Outcome> {
    let Some(at) = at else {
        return Err(backend(&"the client committed nothing"));
    };
    match marker_at(session, marker, at).await {
        Ok(Some(found)) if found == start.to_be_bytes() => Ok(Outcome::Committed),
        Ok(_) => Ok(Outcome::Beaten),
        Err(error) => Err(session.undetermined(error.to_string())),
    }
}

/// What became of a transaction that met another one, after an attempt of which nobody knows, for this `cause`.
async fn look_back(session: &Session, marker: &[u8], start: u64, cause: &str) -> Result<Outcome> {
    let before = Timestamp::from_version(start.saturating_sub(1));
    let unknown = |error: Error| session.undetermined(error.to_string());
    let now = session.persist(|| session.tikv.current_timestamp()).await;
    let now = marker_at(session, marker, now.map_err(unknown)?).await;
    let now = now.map_err(unknown)?;
    if now.as_deref() == Some(&start.to_be_bytes()) {
        return Ok(Outcome::Committed);
    }
    let before = marker_at(session, marker, before).await;
    match before.map_err(unknown)? == now {
        true => Ok(Outcome::Beaten),
        // It may have been committed, and its marker written over since.
        false => Err(session.undetermined(cause.to_owned())),
    }
}

/// The marker as of a moment. Where a lock is still on it, this waits until that expires, and sees to it that it is rolled back.
async fn marker_at(session: &Session, marker: &[u8], at: Timestamp) -> Result<Option<Vec<u8>>> {
    let attempt = || {
        let mut snapshot = session.tikv.snapshot(at.clone(), for_reading());
        let marker = marker.to_vec();
        async move { snapshot.get(marker).await }
    };
    session.persist(attempt).await
}

/// Waits until the cluster answers, and has the client find out where the keys are and who leads there: transactions do not, see the
/// module's page. It reads before the transaction's start, where locks of its own are not met.
async fn find_regions(session: &Session, keys: &[Vec<u8>], start: u64) {
    let at = Timestamp::from_version(start.saturating_sub(1));
    let snapshot = || session.tikv.snapshot(at.clone(), for_reading());
    let Some(primary) = keys.first() else {
        return;
    };
    let attempt = || {
        let (mut snapshot, primary) = (snapshot(), primary.clone());
        async move { snapshot.get(primary).await }
    };
    // Whatever is wrong, the next commit meets it too.
    let _ = session.persist(attempt).await;
    if keys.len() > 1 {
        let mut snapshot = snapshot();
        let others = snapshot.batch_get(keys.to_vec());
        let _ = timeout_at(session.until, others).await;
    }
}

/// Takes away the locks of a transaction that is *known* not to be committed, so that nobody waits for them to expire. (Of one that may
/// be, it would take away keys that count.)
async fn clean_up(session: &Session, transaction: &mut Transaction) {
    // Whoever meets a lock that stays will resolve it.
    let _ = timeout_at(session.until, transaction.rollback()).await;
}

/// What [`Error::TooManyKeys`] and [`Error::BatchTooLarge`] are about.
pub(super) fn check(effect: &Effect, max_keys: usize, max_bytes: usize) -> Result<()> {
    if effect.len() > max_keys {
        return Err(Error::TooManyKeys { max: max_keys });
    }
    let bytes = effect
        .iter()
        .map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len));
    let len = bytes.sum();
    match len > max_bytes {
        true => Err(Error::BatchTooLarge {
            len,
            max: max_bytes,
        }),
        false => Ok(()),
    }
}
