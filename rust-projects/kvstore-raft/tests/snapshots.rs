//! A node that was away for so long that the log no longer has what it lacks, on processes.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use support::{Node, Place, ask, leader, until};
use wire::Reply;

const VALUE_BYTES: usize = 32 << 10;
/// In all 6 MiB, six times what a log holds.
const VALUES: usize = 200;
/// For where memory is looked at.
const LARGE_VALUE_BYTES: usize = 1 << 20;
const LARGE_VALUES: usize = 100;
/// Of being killed in the middle.
const ATTEMPTS: usize = 20;

fn start(place: &Place, id: usize) -> Node {
    let peers = (1..=3).filter(|&peer| peer != id);
    let arguments: Vec<_> = peers
        .map(|peer| format!("--peer={peer}={}", place.peer_addr(peer)))
        .chain(["--segment-mib=1".to_owned()])
        .collect();
    place.start_with(id, &arguments)
}

fn fill(place: &Place, id: usize, round: usize) {
    for key in 0..VALUES {
        let value = format!("{round}-{key}-").repeat(VALUE_BYTES / 10);
        let key = format!("key-{key}");
        assert_eq!(ask(place.port(id), &["SET", &key, &value]), Reply::OK);
    }
}

/// Ends what goes on beside the test, also when that fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn is_used(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some())
}

/// A snapshot is being received into one of these, and none was installed since `before`.
fn is_receiving(dir: &Path, before: &Option<Vec<u8>>) -> bool {
    let others = ["state", "state-1", "state-2"].map(|name| dir.join(name));
    let used = others.iter().filter(|dir| is_used(dir)).count();
    used > 1 && fs::read(dir.join("STATE")).ok() == *before
}

#[test]
fn a_node_that_was_away_gets_a_snapshot_while_writes_go_on_also_after_it_was_killed_in_the_middle()
{
    let place = Place::new(3, 3);
    let mut nodes: Vec<_> = (1..=3).map(|id| Some(start(&place, id))).collect();
    let away = leader(place.port(1)) % 3 + 1;
    let there = away % 3 + 1;
    let dir = place.data_dir(away);
    let in_use = || fs::read(dir.join("STATE")).ok();
    let (stop, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let key = format!("count-{}", written.load(Ordering::Relaxed));
                assert_eq!(ask(place.port(there), &["SET", &key, "x"]), Reply::OK);
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _ends = Ends(&stop);
        let caught = (0..ATTEMPTS).find(|&round| {
            nodes[away - 1].take().unwrap().kill();
            fill(&place, there, round);
            let before = in_use();
            nodes[away - 1] = Some(start(&place, away));
            until("a snapshot comes", || {
                (is_receiving(&dir, &before) || in_use() != before).then_some(())
            });
            nodes[away - 1].take().unwrap().kill();
            let caught = in_use() == before;
            nodes[away - 1] = Some(start(&place, away));
            caught
        });
        assert!(caught.is_some(), "it was always faster");
        until("the snapshot is installed", in_use);
    });
    assert!(written.load(Ordering::Relaxed) > 0);
    for key in 0..VALUES {
        let key = format!("key-{key}");
        let expected = ask(place.port(there), &["GET", &key]);
        assert_eq!(ask(place.port(away), &["GET", &key]), expected);
    }
    for count in 0..written.load(Ordering::Relaxed) {
        let key = format!("count-{count}");
        assert_eq!(ask(place.port(away), &["GET", &key]), Reply::bulk("x"));
    }
    until("what is not in use is removed", || {
        let states = ["state", "state-1", "state-2"].map(|name| is_used(&dir.join(name)));
        (states.iter().filter(|&&used| used).count() == 1).then_some(())
    });
}

/// The most memory that a process had.
#[cfg(target_os = "linux")]
fn peak_bytes(node: &Node) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", node.0.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.unwrap().trim_end_matches("kB").trim();
    kib.parse::<usize>().unwrap() << 10
}

#[test]
#[cfg(target_os = "linux")]
fn a_snapshot_takes_a_fraction_of_its_size_in_memory_where_it_comes_from_and_where_it_goes() {
    let place = Place::new(3, 3);
    let mut nodes: Vec<_> = (1..=3).map(|id| Some(start(&place, id))).collect();
    let leads = leader(place.port(1));
    let away = leads % 3 + 1;
    nodes[away - 1].take().unwrap().kill();
    let value = "x".repeat(LARGE_VALUE_BYTES);
    for key in 0..LARGE_VALUES {
        let key = format!("key-{key}");
        assert_eq!(ask(place.port(leads), &["SET", &key, &value]), Reply::OK);
    }
    let leader = nodes[leads - 1].as_ref().unwrap();
    let before = peak_bytes(leader);
    let receiver = start(&place, away);
    let pointer = place.data_dir(away).join("STATE");
    until("the snapshot is installed", || {
        pointer.exists().then_some(())
    });
    let all = LARGE_VALUES * LARGE_VALUE_BYTES;
    let (sent, received) = (peak_bytes(leader) - before, peak_bytes(&receiver));
    eprintln!("{all} bytes: {sent} bytes more where they came from, {received} where they went");
    assert!(sent < all / 4 && received < all / 2, "{sent} {received}");
    assert_eq!(
        ask(place.port(away), &["STRLEN", "key-7"]),
        Reply::Integer(1 << 20)
    );
}
