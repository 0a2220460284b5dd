//! What a leader does in the background: gives a new cluster its version of the API, and removes versions that nobody can read any more and raw values whose time is over.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use percolator::{Collect, Columns, Timestamp, garbage};
use raft::Term;
use storage::KeyRange;
use tokio::time::sleep;

use super::store::{Failure, Store};
use super::{now_ms, values};
use crate::view::View;

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(5);
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
    loop {
        sleep(PAUSE).await;
        // Whoever leads next begins anew, and what is left over goes with the next round.
        if let Err(failure) = round(&store, &mut collected).await
            && let Failure::Broken(why) = failure
        {
            tracing::warn!(%why, "old versions and values are not removed");
        }
    }
}

async fn round(store: &Arc<Store>, collected: &mut (Term, Timestamp)) -> Result<(), Failure> {
    let standing = store.standing();
    if standing.leader != Some(store.node()) {
        return Ok(());
    }
    let safe_point = store.safe_points().await?.safe_point();
    if *collected != (standing.term, safe_point) {
        collect(store, safe_point).await?;
        *collected = (standing.term, safe_point);
    }
    expire(store).await
}

/// Removes the versions below the safe point that nobody can read.
async fn collect(store: &Arc<Store>, safe_point: Timestamp) -> Result<(), Failure> {
    let mut rest = Some(KeyRange::all());
    while let Some(range) = rest {
        let epoch = store.standing().region.epoch;
        let found = {
            let view = store.view(epoch).await?;
            garbage(Columns::new(&*view), &range, safe_point, PAGE)?
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
            values::expired(&*view, &range, now_ms, PAGE)?
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
