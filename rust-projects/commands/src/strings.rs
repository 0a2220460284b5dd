//! Commands that read and write whole strings.

use bytes::Bytes;
use storage::Batch;
use wire::Reply;

use crate::error::Outcome;
use crate::{Context, keyspace};

/// `GET key`
pub(crate) fn get(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    let value = keyspace::get(context.reader, &args[1], context.now_ms)?;
    Ok(value.map_or(Reply::Null, |value| Reply::Bulk(value.payload)))
}

/// `SET key value`
pub(crate) fn set(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let (key, payload) = (&args[1], &args[2]);
    context.check(key, payload)?;
    keyspace::set(batch, key, payload, None);
    Ok(Reply::OK)
}
