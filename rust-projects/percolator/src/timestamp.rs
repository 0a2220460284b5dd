//! Points in the order of all transactions.

use std::fmt;

/// How many low bits of a timestamp count within one millisecond.
pub const LOGICAL_BITS: u32 = 18;

/// What the oracle gives out: milliseconds since 1970 in the high bits, a counter in the low [`LOGICAL_BITS`].
///
/// The split is TiKV's, so that its clients can read the time off a timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Before all others; as an optional field of the protocol, "none".
    pub const ZERO: Self = Self(0);
    /// After all others: to read at it means to read what is committed by now.
    pub const MAX: Self = Self(u64::MAX);

    /// The timestamp with these parts; a counter that does not fit overflows into the milliseconds.
    #[must_use]
    pub const fn new(physical_ms: u64, logical: u64) -> Self {
        Self((physical_ms << LOGICAL_BITS).saturating_add(logical))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn physical_ms(self) -> u64 {
        self.0 >> LOGICAL_BITS
    }

    /// The counter within the millisecond.
    #[must_use]
    pub const fn logical(self) -> u64 {
        self.0 & ((1 << LOGICAL_BITS) - 1)
    }

    /// The one right after it; [`Timestamp::MAX`] has none and stays.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The one right before it, if there is one.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MAX => f.write_str("max"),
            Self(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_timestamp_come_back_and_the_counter_overflows_into_the_time() {
        let timestamp = Timestamp::new(1_700_000_000_000, 7);
        assert_eq!(timestamp.physical_ms(), 1_700_000_000_000);
        assert_eq!(timestamp.logical(), 7);
        assert_eq!(Timestamp::new(5, 1 << LOGICAL_BITS), Timestamp::new(6, 0));
    }

    #[test]
    fn the_ends_of_the_order_stay_within_it() {
        assert_eq!(Timestamp::MAX.next(), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO.previous(), None);
        assert_eq!(Timestamp(8).previous(), Some(Timestamp(7)));
    }
}
