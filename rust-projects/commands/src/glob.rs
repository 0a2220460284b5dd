//! The patterns of KEYS and SCAN.
//!
//! `*` any bytes, `?` any one byte, `[abc]`, `[^abc]`, `[a-z]` one byte of a set, `\x` the byte x. As in Redis a set
//! that is not closed ends with the pattern.
//!
//! Each item but `*` takes exactly one byte, so of several `*` only the last one met ever has to be tried again: the
//! time is at most pattern length times text length, where the recursive form is exponential.

/// Whether letters match in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Sensitive,
    Insensitive,
}

/// Whether all of `text` matches `pattern`.
pub(crate) fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    // Where to resume with one byte more for the last `*`: after it in the pattern, and in the text.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at_pattern) == Some(&b'*') {
            at_pattern += 1;
            retry = Some((at_pattern, at_text));
            continue;
        }
        let step = match (pattern.get(at_pattern), text.get(at_text)) {
            (None, None) => return true,
            (Some(_), Some(&byte)) => match_one(&pattern[at_pattern..], byte, case),
            _ => None,
        };
        if let Some(item_len) = step {
            at_pattern += item_len;
            at_text += 1;
            continue;
        }
        match retry {
            Some((after_star, from)) if from < text.len() => {
                (at_pattern, at_text) = (after_star, from + 1);
                retry = Some((after_star, from + 1));
            }
            _ => return false,
        }
    }
}

/// The bytes that everything matching `pattern` begins with.
pub(crate) fn literal_prefix(pattern: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::new();
    let mut rest = pattern;
    loop {
        match rest {
            [] | [b'*' | b'?' | b'[', ..] => return prefix,
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                prefix.push(*byte);
                rest = after;
            }
        }
    }
}

/// The length of the first item of `pattern`, if it matches `byte`.
fn match_one(pattern: &[u8], byte: u8, case: Case) -> Option<usize> {
    let same = |wanted: u8| fold(wanted, case) == fold(byte, case);
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', b'^', set @ ..] => {
            let (found, len) = match_set(set, byte, case);
            (!found).then_some(2 + len)
        }
        [b'[', set @ ..] => {
            let (found, len) = match_set(set, byte, case);
            found.then_some(1 + len)
        }
        [b'\\', wanted, ..] => same(*wanted).then_some(2),
        [wanted, ..] => same(*wanted).then_some(1),
        [] => None,
    }
}

/// Whether `byte` is in the set whose inside begins at `set`, and the set's length with the closing bracket, if any.
fn match_set(set: &[u8], byte: u8, case: Case) -> (bool, usize) {
    let byte = fold(byte, case);
    let (mut found, mut at) = (false, 0);
    loop {
        match &set[at..] {
            [] => return (found, at),
            [b']', ..] => return (found, at + 1),
            [b'\\', wanted, ..] => {
                found |= fold(*wanted, case) == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (fold(*from, case), fold(*to, case));
                found |= (from.min(to)..=from.max(to)).contains(&byte);
                at += 3;
            }
            [wanted, ..] => {
                found |= fold(*wanted, case) == byte;
                at += 1;
            }
        }
    }
}

fn fold(byte: u8, case: Case) -> u8 {
    match case {
        Case::Sensitive => byte,
        Case::Insensitive => byte.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matched(pattern: &[u8], text: &[u8]) -> bool {
        matches(pattern, text, Case::Sensitive)
    }

    /// One item of a pattern, as Redis documents them.
    enum Item {
        Star,
        Any,
        Byte(u8),
        Set {
            is_negated: bool,
            ranges: Vec<(u8, u8)>,
        },
    }

    /// A pattern read from left to right, apart from matching.
    fn items(pattern: &[u8]) -> Vec<Item> {
        let (mut items, mut at) = (Vec::new(), 0);
        while let Some(&byte) = pattern.get(at) {
            at += 1;
            items.push(match byte {
                b'*' => Item::Star,
                b'?' => Item::Any,
                b'\\' if at < pattern.len() => {
                    at += 1;
                    Item::Byte(pattern[at - 1])
                }
                b'[' => set(pattern, &mut at),
                byte => Item::Byte(byte),
            });
        }
        items
    }

    fn set(pattern: &[u8], at: &mut usize) -> Item {
        let is_negated = pattern.get(*at) == Some(&b'^');
        *at += usize::from(is_negated);
        let mut ranges = Vec::new();
        while let Some(&byte) = pattern.get(*at) {
            let next = pattern.get(*at + 1).copied();
            if byte == b']' {
                *at += 1;
                break;
            } else if byte == b'\\' && next.is_some() {
                ranges.extend(next.map(|next| (next, next)));
                *at += 2;
            } else if next == Some(b'-') && *at + 2 < pattern.len() {
                let end = pattern[*at + 2];
                ranges.push((byte.min(end), byte.max(end)));
                *at += 3;
            } else {
                ranges.push((byte, byte));
                *at += 1;
            }
        }
        Item::Set { is_negated, ranges }
    }

    /// The textbook definition: recursive, exponential, obviously right.
    fn naive(items: &[Item], text: &[u8]) -> bool {
        let Some((item, rest)) = items.split_first() else {
            return text.is_empty();
        };
        if let Item::Star = item {
            return (0..=text.len()).any(|skipped| naive(rest, &text[skipped..]));
        }
        let Some((&byte, after)) = text.split_first() else {
            return false;
        };
        let is_match = match item {
            Item::Star | Item::Any => true,
            Item::Byte(wanted) => *wanted == byte,
            Item::Set { is_negated, ranges } => {
                let is_in = ranges
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&byte));
                is_in != *is_negated
            }
        };
        is_match && naive(rest, after)
    }

    #[test]
    fn patterns_mean_what_redis_documents() {
        for (pattern, text, expected) in [
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("h[\\]]llo", "h]llo", true),
            ("*", "", true),
            ("**a**", "a", true),
            ("", "", true),
            ("", "a", false),
            ("a[", "a", false),
            ("a[b", "ab", true),
            ("a[]", "ab", false),
            ("a[^]", "ab", true),
            ("[a-]", "]", true),
            ("a\\", "a\\", true),
        ] {
            assert_eq!(
                matched(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(matches(b"MAX*", b"maxmemory", Case::Insensitive));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = [b"*a".repeat(1000), b"b".to_vec()].concat();
        assert!(!matched(&pattern, &b"a".repeat(20_000)));
    }

    #[test]
    fn the_literal_prefix_ends_at_the_first_item_that_is_not_one_byte() {
        assert_eq!(literal_prefix(b"user:*"), b"user:");
        assert_eq!(literal_prefix(b"a\\*b[cd]"), b"a*b");
        assert_eq!(literal_prefix(b"abc"), b"abc");
        assert_eq!(literal_prefix(b"a\\"), b"a\\");
        assert_eq!(literal_prefix(b"?"), b"");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn matching_agrees_with_the_definition_and_the_prefix(
            pattern in "[ab*?\\[\\]^\\\\-]{0,10}", text in "[ab\\]^-]{0,10}",
        ) {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            let expected = naive(&items(pattern), text);
            prop_assert_eq!(matched(pattern, text), expected);
            // Letters of another case match as their own do, as long as the pattern has no ranges of other bytes.
            if !pattern.contains(&b'-') {
                let capitals = text.to_ascii_uppercase();
                prop_assert_eq!(matches(pattern, &capitals, Case::Insensitive), expected);
            }
            if expected {
                prop_assert!(text.starts_with(&literal_prefix(pattern)));
            }
        }
    }
}
