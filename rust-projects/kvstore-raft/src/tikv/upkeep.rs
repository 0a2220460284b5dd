//! What a leader does in the background: gives a new cluster its version of the API, and removes versions that nobody can read any more and raw values whose time is over.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use percolator::{Collect, Columns, Timestamp, garbage};
use raft::Term;
use storage::KeyRange;
use tokio::time::sleep;

use super::store::{Failure, Store};
use super::work::at_length;
use super::{now_ms, values};
use crate::view::View;

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(5);
/// One round of so many looks for raw values whose time is over: nobody sees them any more, and to look at all takes time that others want.
const ROUNDS_TO_EXPIRE: u32 = 12;
/// Before the next try of what only a leader can do.
const RETRY: Duration = Duration::from_millis(20);
/// Between two pages of a round, so that clients hardly notice.
const BREATH: Duration = Duration::from_millis(5);
/// Keys looked at, and removed with one entry, at a time.
const PAGE: usize = 256;

/// Has a new cluster get its version of the API as soon as somebody leads; goes on as long as the node does.
pub(super) async fn learn_api(store: Arc<Store>) {
    let leads = |view: &View| view.standing.leader == Some(view.identity.node);
    loop {
        store.shared().until(leads).await;
        match store.api.learn(&store).await {
            Ok(()) => return,
            Err(_) => sleep(RETRY).await,
        }
    }
}

/// Goes on as long as the node does.
pub(super) async fn keep_up(store: Arc<Store>) {
    let mut collected = (Term::default(), Timestamp::ZERO);
    for expires in (1..=ROUNDS_TO_EXPIRE)
        .cycle()
        .map(|nth| nth == ROUNDS_TO_EXPIRE)
    {
        sleep(PAUSE).await;
        // Whoever leads next begins anew, and what is left over goes with the next round.
        if let Err(failure) = round(&store, &mut collected, expires).await
            && let Failure::Broken(why) = failure
        {
            tracing::warn!(%why, "old versions and values are not removed");
        }
    }
}

async fn round(
    store: &Arc<Store>,
    collected: &mut (Term, Timestamp),
    expires: bool,
) -> Result<(), Failure> {
    let standing = store.standing();
    if standing.leader != Some(store.node()) {
        return Ok(());
    }
    let safe_point = store.safe_points().await?.safe_point();
    if *collected != (standing.term, safe_point) {
        collect(store, safe_point).await?;
        *collected = (standing.term, safe_point);
    }
    match expires {
        true => expire(store).await,
        false => Ok(()),
    }
}

/// Removes the versions below the safe point that nobody can read.
async fn collect(store: &Arc<Store>, safe_point: Timestamp) -> Result<(), Failure> {
    let mut rest = Some(KeyRange::all());
    while let Some(range) = rest {
        let epoch = store.standing().region.epoch;
        let found = {
            let view = store.view(epoch).await?;
            at_length(|| garbage(Columns::new(&*view), &range, safe_point, PAGE))?
        };
        if !found.keys.is_empty() {
            let keys = found.keys;
            store.change(Collect { keys, safe_point }, epoch).await?;
        }
        rest = found.rest;
        sleep(BREATH).await;
    }
    Ok(())
}

/// Removes raw values whose time is over.
async fn expire(store: &Arc<Store>) -> Result<(), Failure> {
    let mut range = KeyRange::all();
    loop {
        let epoch = store.standing().region.epoch;
        let now_ms = now_ms();
        let page = {
            let view = store.view(epoch).await?;
            at_length(|| values::expired(&*view, &range, now_ms, PAGE))?
        };
        if !page.keys.is_empty() {
            let keys = page.keys;
            store.change(values::Expire { keys, now_ms }, epoch).await?;
        }
        match page.last {
            None => return Ok(()),
            Some(last) => range.start = Bound::Excluded(last),
        }
        sleep(BREATH).await;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use percolator::{Column, Commit, Intent, Mode};
    use storage::{Direction, Reader};

    use super::*;
    use crate::tikv::fake::{World, prewrite, runtime};

    async fn put(world: &World, key: &Bytes) -> Timestamp {
        let start_ts = world.timestamp().await;
        // Too long to be kept within the record.
        let intent = Intent::Put(vec![b'v'; 300].into());
        let prewrite = prewrite(key.clone(), intent, start_ts, Mode::TwoPhases);
        world.store.change(prewrite, world.epoch()).await.unwrap();
        let commit = Commit {
            keys: vec![key.clone()],
            start_ts,
            commit_ts: world.timestamp().await,
            held: KeyRange::all(),
        };
        world.store.change(commit, world.epoch()).await.unwrap()
    }

    fn count(world: &World, range: &KeyRange) -> usize {
        let keys = world.node.engine.scan_keys(range, Direction::Forward);
        keys.map(Result::unwrap).count()
    }

    #[test]
    fn a_leader_removes_what_nobody_can_read_and_nothing_else() {
        runtime().block_on(async {
            let world = World::new();
            let all = KeyRange::all();
            let keys: Vec<Bytes> = (0..2 * PAGE).map(|i| format!("k{i:04}").into()).collect();
            let mut last = Timestamp::ZERO;
            for key in keys.iter().chain(&keys).chain(&keys[..1]) {
                last = put(&world, key).await;
            }
            let versions = Column::Write.range(&all);
            let values = Column::Default.range(&all);
            let before = 4 * PAGE + 1;
            let counts = |world: &World| (count(world, &versions), count(world, &values));
            assert_eq!(counts(&world), (before, before));
            let mut collected = (Term::default(), Timestamp::ZERO);
            round(&world.store, &mut collected, false).await.unwrap();
            assert_eq!(counts(&world), (before, before), "all can be read");

            let advance = world.store.change_safe_points(|points| {
                points.advance(last.previous().unwrap(), now_ms());
            });
            advance.await.unwrap();
            round(&world.store, &mut collected, false).await.unwrap();
            // The newest version of the first key lies above the safe point.
            let after = 2 * PAGE + 1;
            assert_eq!(counts(&world), (after, after));
        });
    }

    #[test]
    fn raw_values_whose_time_is_over_are_removed() {
        runtime().block_on(async {
            let world = World::new();
            let write = |name: &str, expires_at_ms| values::Write {
                changes: (0..PAGE + 1)
                    .map(|i| {
                        (
                            format!("{name}{i:04}").into(),
                            Some(Bytes::from_static(b"v")),
                        )
                    })
                    .collect(),
                expires_at_ms,
            };
            for write in [
                write("over", Some(1)),
                write("later", Some(u64::MAX)),
                write("for ever", None),
            ] {
                world.store.change(write, world.epoch()).await.unwrap();
            }
            let raw = values::column(&KeyRange::all());
            assert_eq!(count(&world, &raw), 3 * (PAGE + 1));
            let mut collected = (Term::default(), Timestamp::ZERO);
            round(&world.store, &mut collected, true).await.unwrap();
            assert_eq!(count(&world, &raw), 2 * (PAGE + 1));
        });
    }
}
