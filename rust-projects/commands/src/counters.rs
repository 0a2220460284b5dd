//! Commands that add to a number in a string.

use bytes::Bytes;
use storage::Batch;
use wire::Reply;

use crate::Context;
use crate::error::{NOT_AN_INTEGER, Outcome, refuse};
use crate::keyspace;
use crate::number::{Decimal, NotDecimal, parse_i64};
use crate::strings::integer;

const OVERFLOW: &str = "ERR increment or decrement would overflow";
const NOT_A_FLOAT: &str = "ERR value is not a valid float";
const INFINITE: &str = "ERR increment would produce NaN or Infinity";

/// `INCR key`
pub(crate) fn incr(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    add(&args[1], 1, context, batch)
}

/// `DECR key`
pub(crate) fn decr(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    add(&args[1], -1, context, batch)
}

/// `INCRBY key increment`
pub(crate) fn incrby(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    add(&args[1], integer(&args[2])?, context, batch)
}

/// `DECRBY key decrement`
pub(crate) fn decrby(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    match integer(&args[2])?.checked_neg() {
        Some(increment) => add(&args[1], increment, context, batch),
        None => refuse("ERR decrement would overflow"),
    }
}

/// `INCRBYFLOAT key increment`
pub(crate) fn incrbyfloat(args: &[Bytes], context: &Context<'_>, batch: &mut Batch) -> Outcome {
    let key = &args[1];
    context.check_key(key)?;
    let old = context.get(key)?;
    let number = match &old {
        Some(old) => decimal(&old.payload)?,
        None => decimal(b"0")?,
    };
    let Some(sum) = number.checked_add(decimal(&args[2])?) else {
        return refuse(INFINITE);
    };
    let text = sum.to_string();
    keyspace::replace(batch, key, &old.unwrap_or_default(), &[text.as_bytes()]);
    Ok(Reply::bulk(text))
}

fn add(key: &[u8], increment: i64, context: &Context<'_>, batch: &mut Batch) -> Outcome {
    context.check_key(key)?;
    let old = context.get(key)?;
    let number = match &old {
        Some(old) => parse_i64(&old.payload),
        None => Some(0),
    };
    let Some(number) = number else {
        return refuse(NOT_AN_INTEGER);
    };
    let Some(sum) = number.checked_add(increment) else {
        return refuse(OVERFLOW);
    };
    let text = sum.to_string();
    keyspace::replace(batch, key, &old.unwrap_or_default(), &[text.as_bytes()]);
    Ok(Reply::Integer(sum))
}

fn decimal(text: &[u8]) -> Outcome<Decimal> {
    match Decimal::parse(text) {
        Ok(decimal) => Ok(decimal),
        Err(NotDecimal::Malformed) => refuse(NOT_A_FLOAT),
        Err(NotDecimal::Infinite) => refuse(INFINITE),
    }
}
