//! Commands about keys whatever their type, and those that touch no data.

use bytes::Bytes;
use storage::Batch;
use wire::Reply;

use crate::command::wrong_arity;
use crate::error::{Outcome, SYNTAX, Stop, refuse};
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
    // Apart from the batch of the caller, which stays as it is if a key cannot be read.
    let mut removals = Batch::new();
    let mut removed = 0;
    for key in &distinct(&args[1..]) {
        if let Some(value) = context.get(key)? {
            keyspace::remove_known(&mut removals, key, &value);
            removed += 1;
        }
    }
    batch.extend(removals);
    Ok(Reply::Integer(removed))
}

/// `EXISTS key ...`: how many there are, repeated ones counted each time. TOUCH is the same where nothing is evicted.
pub(crate) fn exists(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    let mut present = 0;
    for key in &args[1..] {
        present += i64::from(context.has(key)?);
    }
    Ok(Reply::Integer(present))
}

/// `TYPE key`
pub(crate) fn type_of(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    let name = match context.get(&args[1])? {
        Some(_) => "string",
        None => "none",
    };
    Ok(Reply::Simple(name.into()))
}

/// `DBSIZE`
pub(crate) fn dbsize(_: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    let count = keyspace::count(context.reader, context.now_ms)?;
    Ok(Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// `FLUSHDB [ASYNC | SYNC]`; both are one range deletion.
pub(crate) fn flush(args: &[Bytes], _: &Context<'_>, batch: &mut Batch) -> Outcome {
    match &args[1..] {
        [] => {}
        [mode] if mode.eq_ignore_ascii_case(b"ASYNC") || mode.eq_ignore_ascii_case(b"SYNC") => {}
        _ => return refuse(SYNTAX),
    }
    keyspace::clear(batch);
    Ok(Reply::OK)
}

/// `keys` without repetition, sorted.
fn distinct(keys: &[Bytes]) -> Vec<Bytes> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    keys
}
