//! Bytes that nobody meant well: every reader refuses them or makes sense of them, without a panic and without allocating more
//! than a small multiple of what it was given, whatever the headers claim.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

#[path = "../fuzz/checks.rs"]
mod checks;
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;

use proof::files::{json, r1cs, wtns, zkey};
use proptest::prelude::*;

use common::golden;

/// Counts on the way to the system's allocator.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// The largest single allocation of this thread since it was last asked. Lists of points are made on other threads, as long as
    /// `Cursor::take` found bytes for.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator as it came; the cell needs neither allocation nor destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.set(LARGEST.get().max(layout.size()));
        // SAFETY: the caller's promise about `layout` is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` or `realloc`, which are the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs a check, and sees to it that no single allocation is much larger than the input.
fn modest(check: Check, bytes: &[u8]) {
    LARGEST.set(0);
    check(bytes);
    let limit = (1 << 16) + 32 * bytes.len();
    assert!(
        LARGEST.get() <= limit,
        "{} bytes at once for {} bytes of input",
        LARGEST.get(),
        bytes.len()
    );
}

type Check = fn(&[u8]);

/// The readers, each with a file that it accepts.
fn readers() -> Vec<(Check, Vec<u8>)> {
    let ptau = fs::read("tests/golden/final.ptau").unwrap();
    vec![
        (checks::r1cs, golden("multiplier", "circuit.r1cs")),
        (checks::wtns, golden("multiplier", "witness.wtns")),
        (checks::zkey, golden("multiplier", "final.zkey")),
        (checks::ptau, ptau),
        (checks::json, golden("multiplier", "proof.json")),
        (checks::json, golden("multiplier", "public.json")),
        (checks::json, golden("multiplier", "verification_key.json")),
    ]
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let bytes = golden("multiplier", "circuit.r1cs");
    assert!((0..bytes.len()).all(|cut| r1cs::read(&bytes[..cut]).is_err()));
    let bytes = golden("multiplier", "witness.wtns");
    assert!((0..bytes.len()).all(|cut| wtns::read(&bytes[..cut]).is_err()));
    let bytes = golden("multiplier", "final.zkey");
    assert!((0..bytes.len()).all(|cut| zkey::read(&bytes[..cut]).is_err()));
    let bytes = golden("multiplier", "proof.json");
    assert!((0..bytes.len()).all(|cut| json::read_proof(&bytes[..cut]).is_err()));
    let bytes = golden("multiplier", "verification_key.json");
    assert!((0..bytes.len()).all(|cut| json::read_verifying_key(&bytes[..cut]).is_err()));
}

#[test]
fn a_file_with_a_byte_more_is_refused() {
    let longer = |file| [golden("multiplier", file), vec![0]].concat();
    assert!(r1cs::read(&longer("circuit.r1cs")).is_err());
    assert!(wtns::read(&longer("witness.wtns")).is_err());
    assert!(zkey::read(&longer("final.zkey")).is_err());
    assert!(json::read_proof(&longer("proof.json")).is_err());
}

#[test]
fn every_number_of_a_file_can_be_the_largest() {
    for (check, bytes) in readers() {
        for at in 0..bytes.len().min(1024) - 4 {
            let mut claimed = bytes.clone();
            claimed[at..at + 4].fill(0xff);
            modest(check, &claimed);
        }
    }
}

/// One change to a file, at places given as shares of its length.
#[derive(Debug, Clone)]
enum Change {
    Byte(f64, u8),
    Number(f64, u32),
    Cut(f64),
    Remove(f64, usize),
    Repeat(f64, usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = 0.0..1.0_f64;
    let number = prop_oneof![
        Just(0),
        Just(1),
        Just(2),
        Just(1 << 28),
        Just(u32::MAX),
        0_u32..64
    ];
    let change = prop_oneof![
        4 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        4 => (at.clone(), number).prop_map(|(at, number)| Change::Number(at, number)),
        1 => at.clone().prop_map(Change::Cut),
        1 => (at.clone(), 1_usize..100).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (at, 1_usize..100).prop_map(|(at, count)| Change::Repeat(at, count)),
    ];
    prop::collection::vec(change, 1..4)
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let place = |share: f64| (share * bytes.len() as f64) as usize;
    match *change {
        Change::Byte(at, byte) => {
            let at = place(at);
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
        Change::Number(at, number) => {
            let at = place(at) & !3;
            if let Some(old) = bytes.get_mut(at..at + 4) {
                old.copy_from_slice(&number.to_le_bytes());
            }
        }
        Change::Cut(at) => bytes.truncate(place(at)),
        Change::Remove(at, count) => {
            let at = place(at);
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        Change::Repeat(at, count) => {
            let at = place(at);
            let part = bytes[at..(at + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changed_files_are_refused_or_make_sense(changes in changes()) {
        for (check, mut bytes) in readers() {
            for change in &changes {
                apply(&mut bytes, change);
            }
            modest(check, &bytes);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_make_sense(bytes in prop::collection::vec(any::<u8>(), 0..400), known in any::<bool>()) {
        for (check, seed) in readers() {
            let head = if known { &seed[..seed.len().min(12)] } else { &[] };
            modest(check, &[head, &bytes[..]].concat());
        }
    }
}
