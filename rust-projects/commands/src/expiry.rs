//! Commands about when keys expire.

use bytes::Bytes;
use storage::Batch;
use wire::Reply;

use crate::error::Outcome;
use crate::options::{ExpireOptions, TimeUnit, invalid_expire_time};
use crate::strings::integer;
use crate::{Context, keyspace};

/// What a time is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Now,
    Epoch,
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`
pub(crate) fn expire(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    change(
        args,
        context,
        batch,
        (TimeUnit::Seconds, Base::Now),
        "expire",
    )
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`
pub(crate) fn pexpire(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    change(
        args,
        context,
        batch,
        (TimeUnit::Milliseconds, Base::Now),
        "pexpire",
    )
}

/// `EXPIREAT key seconds-since-1970 [NX | XX | GT | LT]`
pub(crate) fn expireat(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    change(
        args,
        context,
        batch,
        (TimeUnit::Seconds, Base::Epoch),
        "expireat",
    )
}

/// `PEXPIREAT key milliseconds-since-1970 [NX | XX | GT | LT]`
pub(crate) fn pexpireat(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    change(
        args,
        context,
        batch,
        (TimeUnit::Milliseconds, Base::Epoch),
        "pexpireat",
    )
}

/// `PERSIST key`: 1 if it had an expiry.
pub(crate) fn persist(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let key = &args[1];
    match context.get(key)? {
        Some(old) if old.expires_at_ms.is_some() => {
            keyspace::change_expiry(batch, key, &old, None);
            Ok(Reply::Integer(1))
        }
        _ => Ok(Reply::Integer(0)),
    }
}

/// `TTL key`
pub(crate) fn ttl(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    tell(&args[1], context, TimeUnit::Seconds, Base::Now)
}

/// `PTTL key`
pub(crate) fn pttl(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    tell(&args[1], context, TimeUnit::Milliseconds, Base::Now)
}

/// `EXPIRETIME key`
pub(crate) fn expiretime(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    tell(&args[1], context, TimeUnit::Seconds, Base::Epoch)
}

/// `PEXPIRETIME key`
pub(crate) fn pexpiretime(args: &[Bytes], context: &Context<'_>, _: &mut Batch) -> Outcome {
    tell(&args[1], context, TimeUnit::Milliseconds, Base::Epoch)
}

/// 1 if the expiry was changed. Unlike with SET, a time that has passed is no error but removes the key.
fn change(
    args: &[Bytes],
    context: &Context<'_>,
    batch: &mut Batch,
    (unit, base): (TimeUnit, Base),
    command: &str,
) -> Outcome {
    let key = &args[1];
    let options = ExpireOptions::parse(&args[3..])?;
    let number = integer(&args[2])?;
    let milliseconds = match unit {
        TimeUnit::Seconds => number.checked_mul(1000),
        TimeUnit::Milliseconds => Some(number),
    };
    let base_ms = match base {
        Base::Now => i64::try_from(context.now_ms).unwrap_or(i64::MAX),
        Base::Epoch => 0,
    };
    let Some(at) = milliseconds.and_then(|milliseconds| milliseconds.checked_add(base_ms)) else {
        return invalid_expire_time(command);
    };
    let Some(old) = context.get(key)? else {
        return Ok(Reply::Integer(0));
    };
    if !options.allow(old.expires_at_ms, at) {
        return Ok(Reply::Integer(0));
    }
    match u64::try_from(at) {
        Ok(at) if at > context.now_ms => keyspace::change_expiry(batch, key, &old, Some(at)),
        _ => keyspace::remove_known(batch, key, &old),
    }
    Ok(Reply::Integer(1))
}

/// When the key expires: -2 if there is none, -1 if it does not.
fn tell(key: &[u8], context: &Context<'_>, unit: TimeUnit, base: Base) -> Outcome {
    let Some(value) = context.get(key)? else {
        return Ok(Reply::Integer(-2));
    };
    let Some(at) = value.expires_at_ms else {
        return Ok(Reply::Integer(-1));
    };
    let milliseconds = match base {
        Base::Now => at - context.now_ms,
        Base::Epoch => at,
    };
    let number = match unit {
        TimeUnit::Seconds => milliseconds.saturating_add(500) / 1000,
        TimeUnit::Milliseconds => milliseconds,
    };
    Ok(Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
}
