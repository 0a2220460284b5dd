//! Byte strings as byte strings that compare alike whatever follows them.
//!
//! # What it is
//!
//! A timestamp behind a key of any length must not change how keys compare: of `a` and `a\0` with eight bytes behind them, either could
//! come first. The memcomparable format of MyRocks ("MyRocks record format"), which TiKV uses for its keys, solves it: the bytes in groups
//! of eight, the last one filled up with zeros, and behind each group a marker, 0xff less the number of zeros filled in.
//!
//! # What it guarantees
//!
//! Encoded strings compare as the strings do, none is the beginning of another, and [`decode`] takes exactly what [`encode`] gives.
//!
//! # What it does not
//!
//! It is not short: nine bytes for each eight, and one group more where the last is full.
//!
//! # How it works
//!
//! ```text
//!   abc       ->  61 62 63 00 00 00 00 00 fa                             fa = ff - 5
//!   abcdefgh  ->  61 62 63 64 65 66 67 68 ff  00 00 00 00 00 00 00 00 f7
//! ```

const GROUP_BYTES: usize = 8;
const FULL: u8 = 0xff;

/// Length of the encoded form of `len` bytes.
pub(crate) const fn encoded_len(len: usize) -> usize {
    (len / GROUP_BYTES + 1) * (GROUP_BYTES + 1)
}

/// The memory-comparable form of a key, as regions' ends have it.
#[must_use]
pub fn encoded(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded_len(key.len()));
    encode(key, &mut out);
    out
}

/// The key of a memory-comparable form; `None` if it is none.
#[must_use]
pub fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let (key, behind) = decode(bytes)?;
    behind.is_empty().then_some(key)
}

/// Appends the encoded form of `bytes`.
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let mut groups = bytes.chunks_exact(GROUP_BYTES);
    for group in &mut groups {
        out.extend_from_slice(group);
        out.push(FULL);
    }
    // The last group is never full: a string whose length is a multiple of eight gets an empty one.
    let rest = groups.remainder();
    let filled = GROUP_BYTES - rest.len();
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0; GROUP_BYTES][..filled]);
    out.push(FULL - filled as u8);
}

/// The string that `bytes` begin with in encoded form, and what follows it; `None` if they do not.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        let (group, behind) = rest.split_first_chunk::<GROUP_BYTES>()?;
        let (&marker, behind) = behind.split_first()?;
        rest = behind;
        if marker == FULL {
            decoded.extend_from_slice(group);
            continue;
        }
        let used = GROUP_BYTES.checked_sub(usize::from(FULL - marker))?;
        let (used, zeros) = group.split_at(used);
        if zeros.iter().any(|&byte| byte != 0) {
            return None;
        }
        decoded.extend_from_slice(used);
        return Some((decoded, rest));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(bytes, &mut out);
        assert_eq!(out.len(), encoded_len(bytes.len()));
        out
    }

    /// Few values, so that strings that begin alike and strings with zeros at their end are common.
    fn strings() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0), Just(1), Just(0xfe), Just(0xff), any::<u8>()];
        proptest::collection::vec(byte, 0..20)
    }

    #[test]
    fn strings_have_the_form_that_tikv_gives_them() {
        assert_eq!(encoded(b""), [0, 0, 0, 0, 0, 0, 0, 0, 247]);
        assert_eq!(encoded(&[1, 2, 3]), [1, 2, 3, 0, 0, 0, 0, 0, 250]);
        assert_eq!(encoded(&[1, 2, 3, 0]), [1, 2, 3, 0, 0, 0, 0, 0, 251]);
        assert_eq!(
            encoded(&[1, 2, 3, 4, 5, 6, 7, 8]),
            [1, 2, 3, 4, 5, 6, 7, 8, 255, 0, 0, 0, 0, 0, 0, 0, 0, 247]
        );
    }

    #[test]
    fn what_no_string_encodes_to_is_refused() {
        let cut = &encoded(b"abcdefgh")[..17];
        assert_eq!(decode(cut), None);
        assert_eq!(decode(&[1, 2, 3, 0, 0, 0, 0, 0, 246]), None, "nine zeros");
        assert_eq!(
            decode(&[1, 2, 3, 0, 0, 0, 0, 9, 250]),
            None,
            "9 is no filling"
        );
    }

    proptest! {
        #[test]
        fn encoded_strings_compare_as_the_strings_do_whatever_follows(
            a in strings(), b in strings(), x in any::<[u8; 8]>(), y in any::<[u8; 8]>()
        ) {
            prop_assume!(a != b);
            let behind = |string: &[u8], tail: [u8; 8]| [encoded(string), tail.to_vec()].concat();
            prop_assert_eq!(behind(&a, x).cmp(&behind(&b, y)), a.cmp(&b));
        }

        #[test]
        fn a_string_comes_back_with_what_followed_it(string in strings(), tail in strings()) {
            let bytes = [encoded(&string), tail.clone()].concat();
            prop_assert_eq!(decode(&bytes), Some((string, &tail[..])));
        }

        #[test]
        fn whatever_decodes_is_the_encoding_of_what_it_decodes_to(bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
            if let Some((string, rest)) = decode(&bytes) {
                prop_assert_eq!([encoded(&string), rest.to_vec()].concat(), bytes);
            }
        }
    }
}
