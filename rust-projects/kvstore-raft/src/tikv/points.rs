//! The safe points, where they are kept: below them old versions are removed.

use std::collections::BTreeSet;

use percolator::SafePoints;
use storage::{Batch, Reader};

use super::store::{Failure, Store};

/// Where they are kept: no user key is there.
const SAFE_POINTS_KEY: &[u8] = b"s";

/// The safe points, as of a view.
///
/// # Errors
/// [`Failure::Broken`].
pub(super) fn safe_points(view: &dyn Reader) -> Result<SafePoints, Failure> {
    let Some(bytes) = view.get(SAFE_POINTS_KEY)? else {
        return Ok(SafePoints::new());
    };
    SafePoints::decode(&bytes).ok_or_else(|| {
        Failure::Broken("the safe points are of another version; run `kvs-admin verify`".into())
    })
}

impl Store {
    /// The safe points.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn safe_points(&self) -> Result<SafePoints, Failure> {
        safe_points(self.lead().await?.engine.latest())
    }

    /// Changes the safe points.
    ///
    /// # Errors
    /// [`Failure`]: nothing was changed, or nobody knows.
    pub(super) async fn change_safe_points<T>(
        &self,
        change: impl FnOnce(&mut SafePoints) -> T,
    ) -> Result<T, Failure> {
        let _held = self.latch(BTreeSet::from([SAFE_POINTS_KEY.into()])).await?;
        let lead = self.lead().await?;
        let mut points = safe_points(lead.engine.latest())?;
        let changed = change(&mut points);
        let mut batch = Batch::new();
        batch.put(SAFE_POINTS_KEY, points.encode());
        self.apply_anywhere(lead.term, batch).await?;
        Ok(changed)
    }
}
