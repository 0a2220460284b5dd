//! Commands that read and write strings.

use bytes::Bytes;
use storage::Batch;
use wire::Reply;

use crate::command::wrong_arity;
use crate::error::{NOT_AN_INTEGER, Outcome, Stop, refuse};
use crate::items::Items;
use crate::keyspace::{self, Value};
use crate::number::parse_i64;
use crate::options::{Condition, Expiry, GetexOptions, SetOptions, TimeUnit};
use crate::{Context, Result};

/// `GET key`
pub(crate) fn get(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    Ok(payload_or_null(context.get(&args[1])?))
}

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub(crate) fn set(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let options = SetOptions::parse(&args[3..])?;
    store(context, batch, &args[1], &args[2], &options, "set")
}

/// `SETNX key value`: 1 if it was set.
pub(crate) fn setnx(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let options = SetOptions {
        condition: Some(Condition::Absent),
        ..SetOptions::default()
    };
    let reply = store(context, batch, &args[1], &args[2], &options, "setnx")?;
    Ok(Reply::Integer(i64::from(reply == Reply::OK)))
}

/// `SETEX key seconds value`
pub(crate) fn setex(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    set_with_expiry(args, context, batch, TimeUnit::Seconds, "setex")
}

/// `PSETEX key milliseconds value`
pub(crate) fn psetex(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    set_with_expiry(args, context, batch, TimeUnit::Milliseconds, "psetex")
}

/// `GETSET key value`
pub(crate) fn getset(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let options = SetOptions {
        returns_old: true,
        ..SetOptions::default()
    };
    store(context, batch, &args[1], &args[2], &options, "getset")
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
pub(crate) fn getex(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let key = &args[1];
    let options = GetexOptions::parse(&args[2..])?;
    let Some(old) = context.get(key)? else {
        return Ok(Reply::Null);
    };
    match options {
        GetexOptions::Leave => {}
        // Nothing to change is nothing written, or EXEC would take the key for changed.
        GetexOptions::Persist if old.expires_at_ms.is_none() => {}
        GetexOptions::Persist => keyspace::change_expiry(batch, key, &old, None),
        GetexOptions::Expire(expiry) => {
            let at = expiry.deadline_ms(context.now_ms, "getex")?;
            if expiry.is_absolute() && at <= context.now_ms {
                keyspace::remove_known(batch, key, &old);
            } else {
                keyspace::change_expiry(batch, key, &old, Some(at));
            }
        }
    }
    Ok(Reply::Bulk(old.payload))
}

/// `GETDEL key`
pub(crate) fn getdel(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let value = context.get(&args[1])?;
    if let Some(value) = &value {
        keyspace::remove_known(batch, &args[1], value);
    }
    Ok(payload_or_null(value))
}

/// `MGET key ...`
pub(crate) fn mget(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    let mut items = Items::new(context, "the reply", "ask for fewer keys at a time");
    for key in &args[1..] {
        items.push(payload_or_null(context.get(key)?))?;
    }
    Ok(items.into_reply())
}

/// `MSET key value ...`
pub(crate) fn mset(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let pairs = pairs(&args[1..], context, "mset")?;
    set_all(pairs, batch);
    Ok(Reply::OK)
}

/// `MSETNX key value ...`: all or, if any is there, none.
pub(crate) fn msetnx(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let pairs = pairs(&args[1..], context, "msetnx")?;
    for [key, _] in pairs {
        if context.has(key)? {
            return Ok(Reply::Integer(0));
        }
    }
    set_all(pairs, batch);
    Ok(Reply::Integer(1))
}

/// `STRLEN key`
pub(crate) fn strlen(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    let value = context.get(&args[1])?;
    Ok(length(value.map_or(0, |value| value.payload.len())))
}

/// `APPEND key value`: the length after it.
pub(crate) fn append(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let (key, suffix) = (&args[1], &args[2]);
    context.check_key(key)?;
    let old = context.get(key)?.unwrap_or_default();
    let len = old.payload.len() + suffix.len();
    context.check_len(len as u64)?;
    keyspace::replace(batch, key, &old, &[&old.payload, suffix]);
    Ok(length(len))
}

/// `GETRANGE key start end`, both included and counted from the end when negative.
pub(crate) fn getrange(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    let (start, end) = (integer(&args[2])?, integer(&args[3])?);
    let payload = context.get(&args[1])?.unwrap_or_default().payload;
    let len = i64::try_from(payload.len()).unwrap_or(i64::MAX);
    if start < 0 && end < 0 && start > end {
        return Ok(Reply::Bulk(Bytes::new()));
    }
    let from_end = |at: i64| if at < 0 { (len + at).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end {
        return Ok(Reply::Bulk(Bytes::new()));
    }
    // Both lie within the payload now, so neither conversion changes them.
    Ok(Reply::Bulk(payload.slice(start as usize..=end as usize)))
}

/// `SETRANGE key offset value`: the length after it; a gap is filled with zero bytes.
pub(crate) fn setrange(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let (key, patch) = (&args[1], &args[3]);
    let Ok(offset) = u64::try_from(integer(&args[2])?) else {
        return refuse("ERR offset is out of range");
    };
    context.check_key(key)?;
    let old = context.get(key)?.unwrap_or_default();
    if patch.is_empty() {
        return Ok(length(old.payload.len()));
    }
    context.check_len(offset.saturating_add(patch.len() as u64))?;
    // Within the limit on values, which is a usize.
    let offset = offset as usize;
    let end = offset + patch.len();
    let head = &old.payload[..old.payload.len().min(offset)];
    let gap = vec![0; offset - head.len()];
    let tail = old.payload.get(end..).unwrap_or_default();
    keyspace::replace(batch, key, &old, &[head, &gap, patch, tail]);
    Ok(length(end + tail.len()))
}

/// SET and its relatives: reads the old value only if an option needs it.
fn store(
    context: &Context<'_>,
    batch: &mut Batch,
    key: &Bytes,
    payload: &Bytes,
    options: &SetOptions<'_>,
    command: &str,
) -> Outcome {
    let deadline_ms = match &options.expiry {
        Some(expiry) => Some(expiry.deadline_ms(context.now_ms, command)?),
        None => None,
    };
    context.check(key, payload)?;
    let old = if options.needs_old() {
        context.get(key)?
    } else {
        None
    };
    let holds = match options.condition {
        None => true,
        Some(Condition::Absent) => old.is_none(),
        Some(Condition::Present) => old.is_some(),
    };
    if holds {
        if let Some(old) = &old {
            keyspace::forget_expiry(batch, key, old);
        }
        let kept = old.as_ref().and_then(|old| old.expires_at_ms);
        let expires_at_ms = deadline_ms.or(kept.filter(|_| options.keeps_expiry));
        if expires_at_ms.is_some_and(|at| keyspace::is_due(at, context.now_ms)) {
            keyspace::remove(batch, key);
        } else {
            keyspace::set(batch, key, payload, expires_at_ms);
        }
    }
    Ok(if options.returns_old {
        payload_or_null(old)
    } else if holds {
        Reply::OK
    } else {
        Reply::Null
    })
}

fn set_with_expiry(
    args: &[Bytes],
    context: &Context<'_>,
    batch: &mut Batch,
    unit: TimeUnit,
    command: &str,
) -> Outcome {
    let options = SetOptions {
        expiry: Some(Expiry::after(unit, &args[2])),
        ..SetOptions::default()
    };
    store(context, batch, &args[1], &args[3], &options, command)
}

/// Key-value pairs that the engine will take.
fn pairs<'a>(args: &'a [Bytes], context: &Context<'_>, command: &str) -> Outcome<&'a [[Bytes; 2]]> {
    let (pairs, []) = args.as_chunks() else {
        return Err(Stop::Refuse(wrong_arity(command)));
    };
    let mut batch_bytes = 0_usize;
    for [key, payload] in pairs {
        context.check(key, payload)?;
        batch_bytes += 2 + key.len() + payload.len();
    }
    let max = context.limits.batch_bytes;
    if batch_bytes > max {
        return Err(Stop::Refuse(Reply::error(format!(
            "ERR the pairs take more than {max} bytes"
        ))));
    }
    Ok(pairs)
}

fn set_all(pairs: &[[Bytes; 2]], batch: &mut Batch) {
    for [key, payload] in pairs {
        keyspace::set(batch, key, payload, None);
    }
}

fn payload_or_null(value: Option<Value>) -> Reply {
    value.map_or(Reply::Null, |value| Reply::Bulk(value.payload))
}

fn length(len: usize) -> Reply {
    Reply::Integer(i64::try_from(len).unwrap_or(i64::MAX))
}

pub(crate) fn integer(text: &[u8]) -> Outcome<i64> {
    parse_i64(text).map_or_else(|| refuse(NOT_AN_INTEGER), Ok)
}

impl Context<'_> {
    /// The value of `key` now.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        keyspace::get(self.reader, key, self.now_ms)
    }

    /// Whether `key` has a value now. It must be read to see whether it expired, and is not kept.
    pub(crate) fn has(&self, key: &[u8]) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }
}
