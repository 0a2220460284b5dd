//! Plays a scenario. A line that begins with `> ` is a command, indented lines below it are what it brought about, all others are prose.
//!
//! | command | what happens |
//! |---|---|
//! | `cluster 1 2 3` | servers that are each other's voters |
//! | `flow small` | from the next `cluster` on at most 3 messages or 140 bytes are under way to a peer, at most 50 bytes in each |
//! | `join 4` | a server without a cluster |
//! | `log 1 TERM: 1 1 2` | the server has had this term and entries of these terms from the start |
//! | `campaign 1`, `heartbeat 1` | begins an election, sends heartbeats, whatever the clock says |
//! | `elect 1` | waits, then campaigns and settles, without a word |
//! | `settle` | everything arrives and becomes durable until nothing happens any more, without a word |
//! | `wire` | what is on its way |
//! | `deliver 1->2 [WORDS]` | what is on its way arrives, in order; with words, only what says so |
//! | `repeat 1->2 [WORDS]` | the same, and stays on its way |
//! | `lose 1->2 [WORDS]` | it is lost |
//! | `cut 3`, `mend 3` | all messages from and to a server are lost, from now on or no more |
//! | `persist 1 [N]` | the first N writes, or all, become durable, and the server is told once |
//! | `sync 1 [N]`, `complete 1` | the two halves of `persist` |
//! | `tick 1 MS`, `wait MS` | time goes by; the server looks at the clock, or nobody does |
//! | `run MS` | time goes by for all while everything works, without a word |
//! | `propose 1 a b`, `read 1 ID`, `transfer 1 2` | as they say |
//! | `change 1 2 3 + 4` | asks server 1 for voters 2 and 3, and learner 4 |
//! | `snapshot 1`, `compact 1 INDEX` | takes a snapshot of what is applied; forgets the log up to there |
//! | `crash 1` | starts again from its disk |
//! | `show [1 2]` | draws the logs |

use std::collections::BTreeSet;

use raft::{Config, Envelope, Input, NodeId};

use super::{Cluster, describe};

/// Stands below a command that cannot be, or that finds no message.
pub(crate) const MISTAKE: &str = "???";

/// The scenario with what its commands bring about now.
pub(crate) fn play(scenario: &str) -> String {
    let mut cluster = Cluster::new([]);
    let mut played = String::new();
    for line in scenario.lines() {
        if line.starts_with("  ") {
            continue;
        }
        played += line;
        played.push('\n');
        if let Some(command) = line.strip_prefix("> ") {
            let words: Vec<_> = command.split_whitespace().collect();
            cluster.trace.clear();
            if run(&mut cluster, &words).is_none() {
                cluster.trace.push(MISTAKE.to_owned());
            }
            for line in &cluster.trace {
                played += &format!("  {line}\n");
            }
        }
    }
    played
}

fn run(cluster: &mut Cluster, words: &[&str]) -> Option<()> {
    let (&verb, rest) = words.split_first()?;
    match (verb, rest) {
        ("cluster", voters) => *cluster = Cluster::tuned(nodes(voters)?, cluster.tune),
        ("flow", ["small"]) => cluster.tune = small_flow,
        ("elect", [id]) => quietly(cluster, Cluster::elect, node(id)?),
        ("settle", []) => quietly(cluster, |cluster, ()| cluster.settle(), ()),
        ("run", [ms]) => quietly(cluster, Cluster::run, node(ms)?),
        ("wire", []) => {
            let wire = cluster.wire.iter().map(describe::envelope);
            cluster.trace = wire.collect();
        }
        ("deliver" | "repeat" | "lose", [link, words @ ..]) => send(cluster, verb, link, words)?,
        ("cut", ids) => cluster.cut.extend(nodes(ids)?),
        ("mend", ids) => {
            let mended = nodes(ids)?;
            cluster.cut.retain(|id| !mended.contains(id));
        }
        ("show", ids) => {
            let wanted = nodes(ids)?;
            let servers = cluster.servers.values().map(|server| &server.core);
            let cores = servers.filter(|core| wanted.is_empty() || wanted.contains(&core.id()));
            cluster.trace = describe::logs(cores);
        }
        ("wait", [ms]) => cluster.wait(node(ms)?),
        (_, [id, rest @ ..]) => run_on(cluster, verb, node(id)?, rest)?,
        _ => return None,
    }
    Some(())
}

/// Commands that concern one server.
fn run_on(cluster: &mut Cluster, verb: &str, id: NodeId, rest: &[&str]) -> Option<()> {
    let input = match (verb, rest) {
        ("join", []) => {
            cluster.join(id);
            return Some(());
        }
        ("log", [term, terms @ ..]) => {
            let terms: Option<Vec<_>> = terms.iter().map(|term| node(term)).collect();
            cluster.with_log(id, node(term.trim_end_matches(':'))?, &terms?);
            return Some(());
        }
        ("persist" | "sync", count) => {
            let all = cluster.server(id).unsynced.len();
            let count = count
                .first()
                .map_or(Some(all), |count| count.parse().ok())?;
            cluster.sync(id, count);
            if verb == "sync" {
                return Some(());
            }
            cluster.complete(id);
            return Some(());
        }
        ("complete", []) => {
            cluster.complete(id);
            return Some(());
        }
        ("tick", [ms]) => {
            cluster.wait(node(ms)?);
            Input::Tick
        }
        ("crash", []) => {
            cluster.crash(id);
            return Some(());
        }
        ("snapshot", []) => {
            cluster.snapshot(id);
            return Some(());
        }
        ("compact", [index]) => {
            cluster.compact(id, node(index)?);
            return Some(());
        }
        ("campaign", []) => Input::Campaign,
        ("heartbeat", []) => Input::Heartbeat,
        ("propose", commands) => {
            let commands = commands.iter().map(|command| (*command).to_owned().into());
            Input::Propose(commands.collect())
        }
        ("read", [read]) => Input::Read { id: node(read)? },
        ("transfer", [to]) => Input::Transfer(node(to)?),
        ("change", members) => {
            let (voters, learners) = match members.iter().position(|&word| word == "+") {
                Some(plus) => (&members[..plus], &members[plus + 1..]),
                None => (members, &[][..]),
            };
            Input::Change {
                voters: nodes(voters)?,
                learners: nodes(learners)?,
            }
        }
        _ => return None,
    };
    cluster.input(id, input);
    Some(())
}

fn send(cluster: &mut Cluster, verb: &str, link: &str, words: &[&str]) -> Option<()> {
    let (from, to) = link.split_once("->")?;
    let (from, to) = (node(from)?, node(to)?);
    let words = words.join(" ");
    let chosen = |envelope: &Envelope| {
        let said = describe::message(&envelope.message);
        (envelope.from, envelope.to) == (from, to) && said.contains(&words)
    };
    let picked = match verb {
        "repeat" => cluster.wire.iter().filter(|e| chosen(e)).cloned().collect(),
        _ => cluster.take(chosen),
    };
    if picked.is_empty() {
        return None;
    }
    if verb != "lose" {
        for envelope in picked {
            cluster.arrive(envelope);
        }
    }
    Some(())
}

fn small_flow(config: &mut Config) {
    config.flow.max_message_bytes = 50;
    config.flow.max_inflight_bytes = 140;
    config.flow.max_inflight_messages = 3;
}

fn quietly<T>(cluster: &mut Cluster, what: impl FnOnce(&mut Cluster, T), argument: T) {
    what(cluster, argument);
    cluster.trace.clear();
}

fn node(word: &str) -> Option<u64> {
    word.parse().ok()
}

fn nodes(words: &[&str]) -> Option<BTreeSet<NodeId>> {
    words.iter().map(|word| node(word)).collect()
}
