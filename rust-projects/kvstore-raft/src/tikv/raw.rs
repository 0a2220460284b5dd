//! What clients ask about raw keys: keys without versions, with a time to live.
//!
//! A range is deleted without latches. The leader's clock says when a time to live is over; what is over is not shown, and removed by and by
//! ([`super::upkeep`]).

use std::sync::Arc;

use bytes::Bytes;
use percolator::MANY_KEYS;
use proto::tikv::kvrpcpb as pb;
use replica::Epoch;
use storage::{Batch, Direction, KeyRange, Reader};

use super::admission;
use super::convert::{ascending, direction};
use super::refusal::Told;
use super::route::Mode;
use super::store::{Failure, Store};
use super::transactional::{told, too_long};
use super::values::{Swap, Write, column, living, look};
use super::work::at_length_if;
use super::{MAX_REPLY_BYTES, now_ms};

type Result<T> = std::result::Result<T, Told>;

fn admit<'a>(
    store: &Store,
    context: Option<&pb::Context>,
    keys: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Epoch> {
    admission::keys(store, Mode::Raw, context, keys)
}

/// A swap that is tried again may find what it wrote itself, and be told that it failed. So its client hears that nobody knows, instead of asking
/// elsewhere. Other writes clients send again whatever happens, when a connection breaks too.
fn told_of_swap(store: &Store) -> impl Fn(Failure) -> Told {
    let told = told(store);
    move |failure| {
        match failure {
        Failure::Unknown => Told::Key(Box::new(super::refusal::aborted(
            "undetermined: the swap may have been applied, or may still be; read before you try again".into(),
        ))),
        other => told(other),
    }
    }
}

fn expiry(ttl_s: u64) -> Option<u64> {
    (ttl_s > 0).then(|| now_ms().saturating_add(ttl_s.saturating_mul(1000)))
}

async fn write(
    store: &Arc<Store>,
    epoch: Epoch,
    changes: Vec<(Bytes, Option<Bytes>)>,
    ttl_s: u64,
) -> Result<()> {
    let write = Write {
        changes,
        expires_at_ms: expiry(ttl_s),
    };
    store.change(write, epoch).await.map_err(told(store))
}

pub(super) async fn get(
    store: &Arc<Store>,
    request: pb::RawGetRequest,
) -> Result<pb::RawGetResponse> {
    let epoch = admit(store, request.context.as_ref(), [request.key.as_ref()])?;
    let view = store.view(epoch).await.map_err(told(store))?;
    let value = look(&*view, &request.key, now_ms()).map_err(told(store))?;
    Ok(pb::RawGetResponse {
        not_found: value.is_none(),
        value: value.unwrap_or_default().payload,
        ..pb::RawGetResponse::default()
    })
}

pub(super) async fn ttl(
    store: &Arc<Store>,
    request: pb::RawGetKeyTtlRequest,
) -> Result<pb::RawGetKeyTtlResponse> {
    let epoch = admit(store, request.context.as_ref(), [request.key.as_ref()])?;
    let view = store.view(epoch).await.map_err(told(store))?;
    let now_ms = now_ms();
    let value = look(&*view, &request.key, now_ms).map_err(told(store))?;
    let expires_at_ms = value.as_ref().and_then(|value| value.expires_at_ms);
    let left_ms = expires_at_ms.map_or(0, |at| at.saturating_sub(now_ms));
    Ok(pb::RawGetKeyTtlResponse {
        not_found: value.is_none(),
        ttl: left_ms.div_ceil(1000),
        ..pb::RawGetKeyTtlResponse::default()
    })
}

pub(super) async fn batch_get(
    store: &Arc<Store>,
    request: pb::RawBatchGetRequest,
) -> Result<pb::RawBatchGetResponse> {
    let asked = request.keys.iter().map(Bytes::as_ref);
    let epoch = admit(store, request.context.as_ref(), asked)?;
    let view = store.view(epoch).await.map_err(told(store))?;
    let now_ms = now_ms();
    let mut pairs = Pairs::default();
    for key in request.keys {
        if let Some(value) = look(&*view, &key, now_ms).map_err(told(store))? {
            pairs.add(key, value.payload)?;
        }
    }
    Ok(pb::RawBatchGetResponse {
        pairs: pairs.found,
        ..pb::RawBatchGetResponse::default()
    })
}

pub(super) async fn put(
    store: &Arc<Store>,
    request: pb::RawPutRequest,
) -> Result<pb::RawPutResponse> {
    let epoch = admit(store, request.context.as_ref(), [request.key.as_ref()])?;
    let changes = vec![(request.key, Some(request.value))];
    write(store, epoch, changes, request.ttl).await?;
    Ok(pb::RawPutResponse::default())
}

pub(super) async fn batch_put(
    store: &Arc<Store>,
    request: pb::RawBatchPutRequest,
) -> Result<pb::RawBatchPutResponse> {
    let named = request.pairs.iter().map(|pair| pair.key.as_ref());
    let epoch = admit(store, request.context.as_ref(), named)?;
    // One for all, or one for each.
    let ttl_s = match request.ttls.as_slice() {
        [] => request.ttl,
        [first, rest @ ..] if rest.iter().all(|ttl| ttl == first) => *first,
        _ => return batch_put_each(store, epoch, request).await,
    };
    let pairs = request.pairs.into_iter();
    let changes = pairs.map(|pair| (pair.key, Some(pair.value)));
    write(store, epoch, changes.collect(), ttl_s).await?;
    Ok(pb::RawBatchPutResponse::default())
}

async fn batch_put_each(
    store: &Arc<Store>,
    epoch: Epoch,
    request: pb::RawBatchPutRequest,
) -> Result<pb::RawBatchPutResponse> {
    if request.ttls.len() != request.pairs.len() {
        let why = "as many times to live as pairs are needed, or one".into();
        return Err(Told::Key(Box::new(super::refusal::aborted(why))));
    }
    for (pair, ttl_s) in request.pairs.into_iter().zip(request.ttls) {
        let changes = vec![(pair.key, Some(pair.value))];
        write(store, epoch, changes, ttl_s).await?;
    }
    Ok(pb::RawBatchPutResponse::default())
}

pub(super) async fn delete(
    store: &Arc<Store>,
    request: pb::RawDeleteRequest,
) -> Result<pb::RawDeleteResponse> {
    let epoch = admit(store, request.context.as_ref(), [request.key.as_ref()])?;
    write(store, epoch, vec![(request.key, None)], 0).await?;
    Ok(pb::RawDeleteResponse::default())
}

pub(super) async fn batch_delete(
    store: &Arc<Store>,
    request: pb::RawBatchDeleteRequest,
) -> Result<pb::RawBatchDeleteResponse> {
    let named = request.keys.iter().map(Bytes::as_ref);
    let epoch = admit(store, request.context.as_ref(), named)?;
    let changes = request.keys.into_iter().map(|key| (key, None));
    write(store, epoch, changes.collect(), 0).await?;
    Ok(pb::RawBatchDeleteResponse::default())
}

pub(super) async fn delete_range(
    store: &Arc<Store>,
    request: pb::RawDeleteRangeRequest,
) -> Result<pb::RawDeleteRangeResponse> {
    let range = (request.start_key, request.end_key);
    let (epoch, range) = admission::change(store, Mode::Raw, request.context.as_ref(), range)?;
    let mut changes = Batch::new();
    changes.delete_range(column(&range));
    let lead = store.lead().await.map_err(told(store))?;
    let applied = store.apply(lead.term, epoch, changes).await;
    applied.map_err(told(store))?;
    Ok(pb::RawDeleteRangeResponse::default())
}

pub(super) async fn compare_and_swap(
    store: &Arc<Store>,
    request: pb::RawCasRequest,
) -> Result<pb::RawCasResponse> {
    let epoch = admit(store, request.context.as_ref(), [request.key.as_ref()])?;
    let swap = Swap {
        key: request.key,
        expected: (!request.previous_not_exist).then_some(request.previous_value),
        value: request.value,
        expires_at_ms: expiry(request.ttl),
        now_ms: now_ms(),
    };
    let swapped = store.change(swap, epoch).await;
    let (succeed, there) = swapped.map_err(told_of_swap(store))?;
    Ok(pb::RawCasResponse {
        succeed,
        previous_not_exist: there.is_none(),
        previous_value: there.unwrap_or_default(),
        ..pb::RawCasResponse::default()
    })
}

/// Pairs of a reply, as many as a client takes.
#[derive(Default)]
struct Pairs {
    found: Vec<pb::KvPair>,
    bytes: usize,
}

impl Pairs {
    fn add(&mut self, key: Bytes, value: Bytes) -> Result<()> {
        let pair = pb::KvPair {
            key,
            value,
            error: None,
        };
        self.bytes += prost::Message::encoded_len(&pair);
        if self.bytes > MAX_REPLY_BYTES {
            return Err(too_long());
        }
        self.found.push(pair);
        Ok(())
    }

    /// Adds up to `limit` pairs of a range.
    fn scan(
        &mut self,
        store: &Store,
        view: &dyn Reader,
        range: &KeyRange,
        direction: Direction,
        limit: u32,
        key_only: bool,
    ) -> Result<()> {
        let now_ms = now_ms();
        let mut left = limit;
        for entry in view.scan(&column(range), direction) {
            if left == 0 {
                break;
            }
            let (key, envelope) = entry.map_err(Failure::from).map_err(told(store))?;
            let key = key.slice(1..);
            if let Some(value) = living(&key, &envelope, now_ms).map_err(told(store))? {
                let value = match key_only {
                    true => Bytes::new(),
                    false => value.payload,
                };
                self.add(key, value)?;
                left -= 1;
            }
        }
        Ok(())
    }
}

fn is_long(limit: u32, scans: usize) -> bool {
    (limit as usize).saturating_mul(scans) > MANY_KEYS
}

pub(super) async fn scan(
    store: &Arc<Store>,
    request: pb::RawScanRequest,
) -> Result<pb::RawScanResponse> {
    let direction = direction(request.reverse);
    let range = ascending(request.start_key, request.end_key, request.reverse);
    let context = request.context.as_ref();
    let (epoch, range) = admission::scan(store, Mode::Raw, context, range, direction)?;
    let view = store.view(epoch).await.map_err(told(store))?;
    let mut pairs = Pairs::default();
    let key_only = request.key_only;
    let limit = request.limit;
    at_length_if(is_long(limit, 1), || {
        pairs.scan(store, &*view, &range, direction, limit, key_only)
    })?;
    Ok(pb::RawScanResponse {
        kvs: pairs.found,
        ..pb::RawScanResponse::default()
    })
}

pub(super) async fn batch_scan(
    store: &Arc<Store>,
    request: pb::RawBatchScanRequest,
) -> Result<pb::RawBatchScanResponse> {
    let direction = direction(request.reverse);
    let ranges = request.ranges.into_iter();
    let ranges = ranges.map(|range| ascending(range.start_key, range.end_key, request.reverse));
    let context = request.context.as_ref();
    let (epoch, ranges) = admission::scans(store, Mode::Raw, context, ranges, direction)?;
    let view = store.view(epoch).await.map_err(told(store))?;
    let mut pairs = Pairs::default();
    let (limit, key_only) = (request.each_limit, request.key_only);
    let is_long = is_long(limit, ranges.len());
    let mut ranges = ranges.iter();
    at_length_if(is_long, || {
        ranges.try_for_each(|range| pairs.scan(store, &*view, range, direction, limit, key_only))
    })?;
    Ok(pb::RawBatchScanResponse {
        kvs: pairs.found,
        ..pb::RawBatchScanResponse::default()
    })
}
