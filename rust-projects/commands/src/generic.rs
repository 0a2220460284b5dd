//! Commands about keys whatever their type, and those that touch no data.

use bytes::Bytes;
use storage::Batch;
use wire::Reply;

use crate::command::wrong_arity;
use crate::error::{Outcome, Stop};
use crate::{Context, keyspace};

/// `PING [message]`
pub(crate) fn ping(args: &[Bytes], _: &Context<'_>, _: &mut Batch) -> Outcome {
    match args {
        [_] => Ok(Reply::Simple("PONG".into())),
        [_, message] => Ok(Reply::Bulk(message.clone())),
        _ => Err(Stop::Refuse(wrong_arity("ping"))),
    }
}

/// `ECHO message`
pub(crate) fn echo(args: &[Bytes], _: &Context<'_>, _: &mut Batch) -> Outcome {
    Ok(Reply::Bulk(args[1].clone()))
}

/// `DEL key ...`: how many there were.
pub(crate) fn del(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let keys = distinct(&args[1..]);
    let values = keyspace::multi_get(context.reader, &keys, context.now_ms)?;
    let mut removed = 0;
    for (key, value) in keys.iter().zip(values) {
        if let Some(value) = value {
            keyspace::remove_known(batch, key, &value);
            removed += 1;
        }
    }
    Ok(Reply::Integer(removed))
}

/// `keys` without repetition, sorted.
fn distinct(keys: &[Bytes]) -> Vec<Bytes> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    keys
}
