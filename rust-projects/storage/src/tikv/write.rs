//! Writing: one transaction for each batch, until it is committed or refused.

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

/// Commits `effect` in a transaction that has read nothing else than at its start.
///
/// # Errors
/// [`Error::Undetermined`]; [`Error::Backend`] for what the cluster does not take.
pub(super) async fn commit(
    session: Session,
    mut transaction: Transaction,
    effect: Effect,
) -> Result<Outcome> {
    let first = effect
        .first_key_value()
        .map(|(key, value)| (key.clone(), value.clone()));
    let mutations = effect.into_iter().map(|(key, value)| match value {
        Some(value) => Mutation::Put(key.into(), value.into()),
        None => Mutation::Delete(key.into()),
    });
    let staged = transaction.batch_mutate(mutations).await;
    staged.map_err(|error| backend(&error))?;
    let start = transaction.start_timestamp().version();
    let mut pauses = Pauses::default();
    // What the last attempt met that may have been committed all the same.
    let mut doubt: Option<String> = None;
    loop {
        let error = match timeout_at(session.until, transaction.commit()).await {
            Ok(Ok(at)) => return confirm(&session, first, at).await,
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
            // An attempt before may have been committed, and written over since.
            (Verdict::Conflict | Verdict::Fatal, Some(_)) => {
                return Err(session.undetermined(error.to_string()));
            }
            // Committing is to be done again under the same timestamp: that counts once, and tells what became of it.
            (Verdict::Again, _) => doubt = Some(error.to_string()),
        }
        pauses.next().await;
    }
}

/// Sees that what the client reports as committed is there. It is not always: where the client cannot find a key's region, it takes the
/// request for done that it did not send (tikv-client 0.4.0, `transaction/requests.rs`: an iterator over an error is empty).
async fn confirm(
    session: &Session,
    written: Option<(Vec<u8>, Option<Bytes>)>,
    at: Option<Timestamp>,
) -> Result<Outcome> {
    let Some(((key, value), at)) = written.zip(at) else {
        return Ok(Outcome::Committed);
    };
    let read = || {
        let mut snapshot = session.tikv.snapshot(at.clone(), for_reading());
        let key = key.clone();
        async move { snapshot.get(key).await }
    };
    match session.persist(read).await {
        Ok(found) if found.as_deref() == value.as_deref() => Ok(Outcome::Committed),
        Ok(_) => Err(session
            .undetermined("the client reports a commit that the cluster does not have".into())),
        Err(error) => Err(session.undetermined(error.to_string())),
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
