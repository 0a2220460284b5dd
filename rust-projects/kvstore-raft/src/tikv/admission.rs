//! Which requests are taken: those of a client that knows node, epoch and region as they are, about keys that the region has.

use bytes::Bytes;
use proto::tikv::kvrpcpb::Context;
use replica::Epoch;
use storage::{Direction, KeyRange};

use super::convert::range;
use super::refusal::Told;
use super::route::{self, Mode, check_context};
use super::store::Store;

type Result<T> = std::result::Result<T, Told>;

/// A request about single keys: the epoch that it rests on.
///
/// # Errors
/// [`Told`].
pub(super) fn keys<'a>(
    store: &Store,
    mode: Mode,
    context: Option<&Context>,
    keys: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Epoch> {
    let view = store.shared().look();
    let (api, epoch) = check_context(&view, store.api.get(), context)?;
    for key in keys {
        route::check_key(api, &view.standing.region, mode, key)?;
    }
    Ok(epoch)
}

/// As [`keys`], for a request that asks what else the region has: all of it.
///
/// # Errors
/// [`Told`].
pub(super) fn keys_among<'a>(
    store: &Store,
    mode: Mode,
    context: Option<&Context>,
    keys: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Epoch, KeyRange)> {
    let view = store.shared().look();
    let (api, epoch) = check_context(&view, store.api.get(), context)?;
    let region = &view.standing.region;
    for key in keys {
        route::check_key(api, region, mode, key)?;
    }
    let all = range(api.of_region(&region.start), api.of_region(&region.end));
    Ok((epoch, all))
}

/// A request that reads ranges, `[start, end)` each, from one end or the other: as far as the region has them. The client asks for the rest where it is.
///
/// # Errors
/// [`Told`]: not even the end at which reading begins is in the region.
pub(super) fn scans(
    store: &Store,
    mode: Mode,
    context: Option<&Context>,
    ranges: impl IntoIterator<Item = (Bytes, Bytes)>,
    direction: Direction,
) -> Result<(Epoch, Vec<KeyRange>)> {
    let view = store.shared().look();
    let (api, epoch) = check_context(&view, store.api.get(), context)?;
    let region = &view.standing.region;
    let ranges = ranges.into_iter();
    let held = ranges.map(|range| route::check_scan(api, region, mode, range, direction));
    Ok((epoch, held.collect::<std::result::Result<_, _>>()?))
}

/// As [`scans`], of one range.
///
/// # Errors
/// [`Told`].
pub(super) fn scan(
    store: &Store,
    mode: Mode,
    context: Option<&Context>,
    range: (Bytes, Bytes),
    direction: Direction,
) -> Result<(Epoch, KeyRange)> {
    let (epoch, ranges) = scans(store, mode, context, [range], direction)?;
    let held = ranges.into_iter().next();
    Ok((epoch, held.expect("one range gives one")))
}

/// A request that changes all of a range.
///
/// # Errors
/// [`Told`]: a part of it is not in the region.
pub(super) fn change(
    store: &Store,
    mode: Mode,
    context: Option<&Context>,
    range: (Bytes, Bytes),
) -> Result<(Epoch, KeyRange)> {
    let view = store.shared().look();
    let (api, epoch) = check_context(&view, store.api.get(), context)?;
    let range = route::check_range(api, &view.standing.region, mode, range)?;
    Ok((epoch, range))
}

/// A request about all that the region has.
///
/// # Errors
/// [`Told`].
pub(super) fn all(store: &Store, context: Option<&Context>) -> Result<(Epoch, KeyRange)> {
    keys_among(store, Mode::Transactional, context, [])
}
