//! No bytes make reading a segment or a hint panic or run away: the checks of the fuzz targets over the fixtures and
//! random mutations of them.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

#[allow(unreachable_pub, reason = "public for the fuzz targets")]
#[path = "../fuzz/checks.rs"]
mod checks;

use std::path::Path;

use proptest::prelude::*;

/// Every file of the fixtures with this extension.
fn seeds(extension: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    let mut seeds = Vec::new();
    for dir in ["closed", "torn"] {
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == extension) {
                seeds.push(std::fs::read(path).unwrap());
            }
        }
    }
    assert!(!seeds.is_empty(), "the fixtures have a .{extension} file");
    seeds
}

/// Overwrites, removals, repetitions and truncations at random places.
fn mutate(seed: &[u8], edits: &[(u8, prop::sample::Index, u8)]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for (kind, at, value) in edits {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        match kind % 5 {
            0 => bytes[at] = *value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => drop(bytes.drain(at..(at + usize::from(*value)).min(bytes.len()))),
            3 => {
                let piece = bytes[at..(at + usize::from(*value)).min(bytes.len())].to_vec();
                bytes.extend(piece);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(u8, prop::sample::Index, u8)>> {
    prop::collection::vec(any::<(u8, prop::sample::Index, u8)>(), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn mutated_segments_keep_the_promises_of_the_scan(pick: prop::sample::Index, edits in edits()) {
        let seeds = seeds("segment");
        checks::segment(&mutate(&seeds[pick.index(seeds.len())], &edits));
    }

    #[test]
    fn mutated_hints_decode_to_no_more_than_they_hold(pick: prop::sample::Index, edits in edits()) {
        let seeds = seeds("hint");
        checks::hint(&mutate(&seeds[pick.index(seeds.len())], &edits));
    }

    #[test]
    fn random_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        checks::segment(&bytes);
        checks::hint(&bytes);
    }
}

#[test]
fn the_fixtures_themselves_pass_and_hints_of_them_decode() {
    for seed in seeds("segment") {
        checks::segment(&seed);
    }
    for seed in seeds("hint") {
        checks::hint(&seed);
        let (body, _) = seed.split_last_chunk::<4>().unwrap();
        assert!(storage::kvs::decode_hint_for_fuzzing(body.to_vec()).is_some());
    }
}

#[test]
fn a_hint_with_a_length_that_means_deletion_ends_there() {
    // Magic, id, salt, covered, one record, no range, largest sequence number.
    let mut hint = b"KPHINTS\x01".to_vec();
    hint.extend([0; 4 + 8 + 8]);
    hint.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    hint.extend([0; 8]);
    // A put with sequence number 1 at offset 1 and a value of 2^32 - 1 bytes.
    hint.extend([1, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    assert_eq!(storage::kvs::decode_hint_for_fuzzing(hint), Some((0, 0)));
}
