//! The options of SET, GETEX and EXPIRE. Which exclude each other, and the words of refusal, are Redis'.

use bytes::Bytes;
use wire::Reply;

use crate::command::one_line;
use crate::error::{Outcome, SYNTAX, Stop, refuse};
use crate::strings::integer;

/// What a time is given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    Seconds,
    Milliseconds,
}

/// An expiry as the client gave it; the number is looked at last, as Redis does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiry<'a> {
    unit: TimeUnit,
    is_absolute: bool,
    text: &'a [u8],
}

impl<'a> Expiry<'a> {
    /// An expiry that much later than now.
    pub(crate) fn after(unit: TimeUnit, text: &'a [u8]) -> Self {
        Self {
            unit,
            is_absolute: false,
            text,
        }
    }

    /// Whether it was given as a time, not as a duration.
    pub(crate) fn is_absolute(&self) -> bool {
        self.is_absolute
    }

    /// The expiry that the option called `name` gives, in whatever case.
    fn named(name: &[u8], text: &'a [u8]) -> Option<Self> {
        let (unit, is_absolute) = match &upper(name)[..] {
            b"EX" => (TimeUnit::Seconds, false),
            b"PX" => (TimeUnit::Milliseconds, false),
            b"EXAT" => (TimeUnit::Seconds, true),
            b"PXAT" => (TimeUnit::Milliseconds, true),
            _ => return None,
        };
        Some(Self {
            unit,
            is_absolute,
            text,
        })
    }

    /// Whether both were given by the same option.
    fn is_same_option(&self, other: &Self) -> bool {
        self.unit == other.unit && self.is_absolute == other.is_absolute
    }

    /// When it is, in milliseconds since 1970. Refuses what is not positive or out of range.
    pub(crate) fn deadline_ms(&self, now_ms: u64, command: &str) -> Outcome<u64> {
        let number = integer(self.text)?;
        let milliseconds = match self.unit {
            _ if number <= 0 => None,
            TimeUnit::Seconds => number.checked_mul(1000),
            TimeUnit::Milliseconds => Some(number),
        };
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let at = if self.is_absolute {
            milliseconds
        } else {
            milliseconds.and_then(|milliseconds| milliseconds.checked_add(now_ms))
        };
        match at.map(u64::try_from) {
            Some(Ok(at)) => Ok(at),
            _ => invalid_expire_time(command),
        }
    }
}

pub(crate) fn invalid_expire_time<T>(command: &str) -> Outcome<T> {
    Err(Stop::Refuse(Reply::error(format!(
        "ERR invalid expire time in '{command}' command"
    ))))
}

/// When SET sets at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// NX
    Absent,
    /// XX
    Present,
}

/// The options of SET.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SetOptions<'a> {
    pub(crate) condition: Option<Condition>,
    pub(crate) returns_old: bool,
    pub(crate) keeps_expiry: bool,
    pub(crate) expiry: Option<Expiry<'a>>,
}

impl<'a> SetOptions<'a> {
    pub(crate) fn parse(mut args: &'a [Bytes]) -> Outcome<Self> {
        let mut options = Self::default();
        while let [name, rest @ ..] = args {
            args = rest;
            match &upper(name)[..] {
                b"NX" if options.condition != Some(Condition::Present) => {
                    options.condition = Some(Condition::Absent);
                }
                b"XX" if options.condition != Some(Condition::Absent) => {
                    options.condition = Some(Condition::Present);
                }
                b"GET" => options.returns_old = true,
                b"KEEPTTL" if options.expiry.is_none() => options.keeps_expiry = true,
                _ if !options.keeps_expiry => {
                    args = take_expiry(name, rest, &mut options.expiry)?;
                }
                _ => return refuse(SYNTAX),
            }
        }
        Ok(options)
    }

    /// Whether the old value must be read; a plain SET is blind. One with an expiry reads the earlier expiry to drop its
    /// entry, or refreshing a long one would pile up entries.
    pub(crate) fn needs_old(&self) -> bool {
        self.condition.is_some() || self.returns_old || self.keeps_expiry || self.expiry.is_some()
    }
}

/// The option of GETEX.
#[derive(Debug, Clone, Copy)]
pub(crate) enum GetexOptions<'a> {
    Leave,
    Persist,
    Expire(Expiry<'a>),
}

impl<'a> GetexOptions<'a> {
    pub(crate) fn parse(mut args: &'a [Bytes]) -> Outcome<Self> {
        let (mut persists, mut expiry) = (false, None);
        while let [name, rest @ ..] = args {
            if name.eq_ignore_ascii_case(b"PERSIST") && expiry.is_none() {
                persists = true;
                args = rest;
            } else if persists {
                return refuse(SYNTAX);
            } else {
                args = take_expiry(name, rest, &mut expiry)?;
            }
        }
        Ok(match expiry {
            Some(expiry) => Self::Expire(expiry),
            None if persists => Self::Persist,
            None => Self::Leave,
        })
    }
}

/// Takes the number of the expiry option `name` off `rest`. One option may repeat itself, the last wins.
fn take_expiry<'a>(
    name: &[u8],
    rest: &'a [Bytes],
    expiry: &mut Option<Expiry<'a>>,
) -> Outcome<&'a [Bytes]> {
    let Some((text, rest)) = rest.split_first() else {
        return refuse(SYNTAX);
    };
    match (Expiry::named(name, text), &expiry) {
        (Some(new), Some(old)) if !new.is_same_option(old) => refuse(SYNTAX),
        (Some(new), _) => {
            *expiry = Some(new);
            Ok(rest)
        }
        (None, _) => refuse(SYNTAX),
    }
}

/// When EXPIRE and its relatives change the expiry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExpireOptions {
    if_none: bool,
    if_any: bool,
    if_later: bool,
    if_sooner: bool,
}

impl ExpireOptions {
    pub(crate) fn parse(args: &[Bytes]) -> Outcome<Self> {
        let mut options = Self::default();
        for name in args {
            match &upper(name)[..] {
                b"NX" => options.if_none = true,
                b"XX" => options.if_any = true,
                b"GT" => options.if_later = true,
                b"LT" => options.if_sooner = true,
                _ => {
                    let message = format!("ERR Unsupported option {}", one_line(name));
                    return Err(Stop::Refuse(Reply::error(message)));
                }
            }
        }
        if options.if_none && (options.if_any || options.if_later || options.if_sooner) {
            return refuse("ERR NX and XX, GT or LT options at the same time are not compatible");
        }
        if options.if_later && options.if_sooner {
            return refuse("ERR GT and LT options at the same time are not compatible");
        }
        Ok(options)
    }

    /// Whether an expiry of `current` becomes one of `new_ms`, which may lie before 1970. None is later than any.
    pub(crate) fn allow(&self, current: Option<u64>, new_ms: i64) -> bool {
        // Both as i128, which holds every u64 and every i64.
        let new = i128::from(new_ms);
        let is_later = current.is_some_and(|current| new > i128::from(current));
        let is_sooner = current.is_none_or(|current| new < i128::from(current));
        (!self.if_none || current.is_none())
            && (!self.if_any || current.is_some())
            && (!self.if_later || is_later)
            && (!self.if_sooner || is_sooner)
    }
}

/// The longest name of an option.
const MAX_OPTION_BYTES: usize = 8;

/// `name` in capitals without allocating; longer names, which no option has, give nothing.
pub(crate) fn upper(name: &[u8]) -> Upper {
    let mut upper = Upper {
        bytes: [0; MAX_OPTION_BYTES],
        len: 0,
    };
    if let Some(bytes) = upper.bytes.get_mut(..name.len()) {
        bytes.copy_from_slice(name);
        bytes.make_ascii_uppercase();
        upper.len = name.len();
    }
    upper
}

/// A short name in capitals.
pub(crate) struct Upper {
    bytes: [u8; MAX_OPTION_BYTES],
    len: usize,
}

impl std::ops::Deref for Upper {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
