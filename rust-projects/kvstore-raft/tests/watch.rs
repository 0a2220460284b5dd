//! Metrics and health of nodes as processes.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use support::{DEADLINE, Node, Place, ask, leader, until};
use wire::{Client, Reply};

/// Three nodes, and ports for as many more, on which their metrics are shown.
struct Watched {
    place: Place,
    nodes: Vec<Option<Node>>,
}

impl Watched {
    fn new(started: usize) -> Self {
        let place = Place::new(6, 3);
        let nodes = (1..=started).map(|id| {
            let others = (1..=3).filter(|&peer| peer != id);
            let peers = others.map(|peer| format!("--peer={peer}={}", place.peer_addr(peer)));
            let addr = format!("--metrics-addr=127.0.0.1:{}", place.port(id + 3));
            let arguments: Vec<_> = peers.chain([addr]).collect();
            Some(place.start_with(id, &arguments))
        });
        Self {
            nodes: nodes.collect(),
            place,
        }
    }

    fn kill(&mut self, id: usize) {
        self.nodes[id - 1].take().unwrap().kill();
    }

    fn alive(&self) -> Vec<usize> {
        let alive = |&id: &usize| self.nodes[id - 1].is_some();
        (1..=3).filter(alive).collect()
    }

    /// Status and body of a page.
    fn get(&self, id: usize, path: &str) -> (u16, String) {
        until("the node shows its pages", || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.place.port(id + 3))).ok()?;
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).unwrap();
            let (head, body) = response.split_once("\r\n\r\n")?;
            let status = head.split(' ').nth(1)?.parse().ok()?;
            Some((status, body.to_owned()))
        })
    }

    fn scrape(&self, id: usize) -> Scrape {
        let (status, page) = self.get(id, "/metrics");
        assert_eq!(status, 200);
        Scrape::parse(&page)
    }

    fn scrapes(&self) -> Vec<Scrape> {
        self.alive().into_iter().map(|id| self.scrape(id)).collect()
    }
}

/// The value of each series, by its name with its labels.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// As strictly as the format is written.
    fn parse(page: &str) -> Self {
        assert!(page.ends_with('\n'));
        let mut kinds = BTreeMap::new();
        let mut series = BTreeMap::new();
        let (mut helped, mut current) = (None, String::new());
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty(), "{line}");
                helped = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(helped.take().as_deref(), Some(name), "help comes first");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                assert!(name.starts_with("kvs_"), "{line}");
                let before = kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} comes once");
                current = name.to_owned();
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let family = name.split('{').next().unwrap();
                let suffix = family.strip_prefix(&current).expect(line);
                let allowed: &[_] = match &kinds[&current][..] {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                assert!(allowed.contains(&suffix), "{line}");
                let before = series.insert(name.to_owned(), value.parse().expect(line));
                assert_eq!(before, None, "{name} comes once");
            }
        }
        assert!(!series.is_empty());
        Self(series)
    }

    fn get(&self, series: &str) -> f64 {
        *self
            .0
            .get(series)
            .unwrap_or_else(|| panic!("{series} is there"))
    }

    fn leads(&self) -> bool {
        self.get(r#"kvs_raft_role{role="leader"}"#) > 0.0
    }

    fn peers(&self) -> usize {
        let lags = self.0.keys();
        lags.filter(|name| name.starts_with("kvs_peer_lag_entries"))
            .count()
    }
}

const WRITES: &str = r#"kvs_requests_total{kind="write",outcome="answered"}"#;

fn sum(scrapes: &[Scrape], series: &str) -> f64 {
    scrapes.iter().map(|scrape| scrape.get(series)).sum()
}

#[test]
fn what_clients_do_moves_the_figures_of_the_node_that_they_talk_to() {
    let watched = Watched::new(3);
    let port = watched.place.port(1);
    assert_eq!(ask(port, &["SET", "key", "value"]), Reply::OK);
    let leads = leader(port);
    let before = watched.scrape(1);
    let mut client = Client::connect(("127.0.0.1", port), DEADLINE).unwrap();
    for count in 1..=10 {
        let reply = client.call(&[b"INCR", b"count"]).unwrap();
        assert_eq!(reply, Reply::Integer(count));
    }
    client.call(&[b"GET", b"count"]).unwrap();
    client.call(&[b"READONLY"]).unwrap();
    client.call(&[b"GET", b"count"]).unwrap();
    let after = watched.scrape(1);
    let grew = |series: &str| after.get(series) - before.get(series);
    for (series, by) in [
        (WRITES, 10.0),
        (r#"kvs_requests_total{kind="read",outcome="answered"}"#, 1.0),
        (
            r#"kvs_requests_total{kind="stale_read",outcome="answered"}"#,
            1.0,
        ),
        (r#"kvs_request_duration_seconds_count{kind="write"}"#, 10.0),
        ("kvs_commit_duration_seconds_count", 10.0),
    ] {
        assert_eq!(grew(series), by, "{series}");
    }
    for series in [
        "kvs_raft_commit_index",
        "kvs_raft_applied_index",
        "kvs_raft_log_last_index",
        "kvs_log_appends_total",
        "kvs_log_entries_total",
        "kvs_log_sync_duration_seconds_count",
    ] {
        assert!(grew(series) >= 10.0, "{series} grew by {}", grew(series));
    }
    assert!(grew("kvs_commit_duration_seconds_sum") > 0.0);
    assert!(after.get("kvs_clients") >= 1.0);
    assert_eq!(after.get(r#"kvs_inbox_requests{from="clients"}"#), 0.0);
    for (scrape, id) in watched.scrapes().iter().zip(1..) {
        assert_eq!(scrape.get("kvs_up"), 1.0);
        assert_eq!(scrape.get("kvs_raft_leader_id"), leads as f64);
        assert_eq!(scrape.leads(), id == leads);
        assert_eq!(scrape.peers(), if id == leads { 2 } else { 0 });
        assert!(scrape.get("kvs_raft_leader_silent_seconds") < 10.0);
        assert!(scrape.get("kvs_log_size_bytes") > 0.0);
        assert_eq!(scrape.get("kvs_raft_log_first_index"), 1.0);
    }
}

#[test]
fn the_death_of_the_leader_shows_as_an_election_and_that_of_the_majority_as_bad_health() {
    let mut watched = Watched::new(3);
    let port = watched.place.port(1);
    assert_eq!(ask(port, &["SET", "key", "value"]), Reply::OK);
    for id in 1..=3 {
        until("the node is in good health", || {
            (watched.get(id, "/healthz") == (200, "ok\n".to_owned())).then_some(())
        });
    }
    let dead = leader(port);
    let alive = || (1..=3).filter(move |&id| id != dead);
    let before: Vec<_> = alive().map(|id| watched.scrape(id)).collect();
    watched.kill(dead);
    let elected = until("another is elected and known", || {
        let scrapes = watched.scrapes();
        let leader = scrapes[0].get("kvs_raft_leader_id");
        let agreed = scrapes
            .iter()
            .all(|s| s.get("kvs_raft_leader_id") == leader);
        (agreed && leader != 0.0 && leader != dead as f64).then_some(leader as usize)
    });
    let after = watched.scrapes();
    for (before, after) in before.iter().zip(&after) {
        assert!(after.get("kvs_raft_term") > before.get("kvs_raft_term"));
        let changes = "kvs_leader_changes_total";
        assert!(after.get(changes) > before.get(changes));
    }
    for series in ["kvs_elections_started_total", "kvs_elections_won_total"] {
        let grew = sum(&after, series) - sum(&before, series);
        assert!(grew >= 1.0, "{series} grew by {grew}");
    }
    for id in alive() {
        assert_eq!(watched.get(id, "/healthz"), (200, "ok\n".to_owned()));
    }
    watched.kill(elected);
    let last = watched.alive()[0];
    let why = until("the last one notices", || {
        let (status, why) = watched.get(last, "/healthz");
        (status == 503).then_some(why)
    });
    assert_eq!(why, "no leader is known\n");
    let alone = watched.scrape(last);
    assert_eq!(alone.get("kvs_raft_leader_id"), 0.0);
    assert_eq!(alone.get("kvs_up"), 1.0, "it runs, and that is all");
    assert_eq!(watched.get(last, "/livez"), (200, "ok\n".to_owned()));
}

#[test]
fn a_founder_that_waits_for_the_others_says_so() {
    let watched = Watched::new(1);
    let (status, why) = watched.get(1, "/healthz");
    assert_eq!(status, 503);
    assert!(why.contains("waits for the other founders"), "{why}");
    assert_eq!(watched.get(1, "/livez"), (200, "ok\n".to_owned()));
    assert_eq!(watched.scrape(1).get("kvs_up"), 0.0);
    assert_eq!(watched.get(1, "/elsewhere").0, 404);
}

#[test]
fn metrics_are_not_shown_beyond_this_machine_unless_that_is_said() {
    let place = Place::new(1, 1);
    let mut node = place.start_with(1, &["--metrics-addr=0.0.0.0:0".to_owned()]);
    assert_eq!(node.ended().code(), Some(2));
    // Nor is it said without an address.
    let mut node = place.start_with(1, &["--metrics-for-anybody".to_owned()]);
    assert_eq!(node.ended().code(), Some(2));
}
