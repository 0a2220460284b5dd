//! Scenarios as text: lines that begin with `> ` are commands, what they do follows indented, all else is prose.
//!
//! ```text
//!   prewrite START primary=K [ttl=MS] [min=TS] [update=TS] [read=TS] [async=K,K|one-phase] INTENT...     put:K=V insert:K=V delete:K lock:K absent:K, with ! a pessimistic lock is held
//!   commit START COMMIT K...      rollback START K...      heartbeat START K MS
//!   lock START primary=K update=TS [ttl=MS] [min=TS] [new] [existing] K...      release START UPDATE K...      secondaries START K...
//!   status START K now=TS [caller=TS] [force] [pessimistic] [two-phases]
//!   resolve START COMMIT|rolled-back K...      resolve-range FROM TO LIMIT START:COMMIT|START:rolled-back ...
//!   get K TS      batch-get TS K...      scan FROM TO TS [limit=N] [reverse]        get and scan take bypass=START and access=START
//!   locks FROM TO MAX [limit=N]
//!   garbage FROM TO TS LIMIT      collect TS K...      destroy FROM TO
//!   show      the three columns
//! ```
//!
//! A timestamp is a number, `max`, or `12ms` for the first of a millisecond. `V*300` is V three hundred times. `-` is an open end of a range.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use percolator::{
    Acquire, CheckStatus, Columns, Decided, Error, Intent, Mode, Mutation, Pair, Prewrite, ReadAt,
    Refusal, Secondaries, Timestamp, TxnStatus, acquire, batch_get, check_secondaries,
    check_status, collect, commit, destroy, garbage, get, heartbeat, prewrite, release,
    resolve_keys, resolve_range, rollback, scan, scan_locks,
};
use storage::{Direction, Engine, KeyRange, MemoryEngine};

use super::draw;

/// Plays a scenario and gives it back with what happened.
pub(crate) fn play(scenario: &str) -> String {
    let engine = MemoryEngine::new();
    let mut out = String::new();
    for line in scenario.lines() {
        if line.starts_with("  ") {
            continue;
        }
        out += line;
        out += "\n";
        if let Some(command) = line.strip_prefix("> ") {
            out += &run(&engine, command);
        }
    }
    out
}

/// The words of a command: those with a name, and the others in order.
struct Words<'a> {
    named: BTreeMap<&'a str, &'a str>,
    plain: Vec<&'a str>,
}

impl<'a> Words<'a> {
    const NAMES: [&'static str; 11] = [
        "read", "async", "primary", "ttl", "min", "update", "now", "caller", "limit", "bypass",
        "access",
    ];

    fn of(command: &'a str) -> Self {
        let mut words = Self {
            named: BTreeMap::new(),
            plain: Vec::new(),
        };
        for word in command.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) if Self::NAMES.contains(&name) => {
                    words.named.insert(name, value);
                }
                _ => words.plain.push(word),
            }
        }
        words
    }

    fn timestamp(&self, name: &str) -> Timestamp {
        self.named
            .get(name)
            .map_or(Timestamp::ZERO, |ts| timestamp(ts))
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.named.get(name).map_or(default, |n| n.parse().unwrap())
    }

    fn at(&self, ts: &str) -> ReadAt {
        let one = |name| self.named.get(name).map(|ts| timestamp(ts)).into_iter();
        ReadAt {
            ts: timestamp(ts),
            bypass: one("bypass").collect(),
            access: one("access").collect(),
        }
    }

    /// Takes a flag out of the plain words.
    fn flag(&mut self, flag: &str) -> bool {
        let before = self.plain.len();
        self.plain.retain(|word| *word != flag);
        self.plain.len() < before
    }
}

fn run(engine: &MemoryEngine, command: &str) -> String {
    let mut words = Words::of(command);
    let name = words.plain.remove(0);
    let columns = Columns::new(engine);
    match name {
        "show" => draw::columns(engine),
        "get" | "batch-get" | "scan" | "locks" | "garbage" => read(columns, name, words),
        _ => change(engine, name, words),
    }
}

fn read(columns: Columns<'_>, name: &str, mut words: Words<'_>) -> String {
    let direction = match words.flag("reverse") {
        true => Direction::Reverse,
        false => Direction::Forward,
    };
    let limit = usize::try_from(words.number("limit", 100)).unwrap();
    let plain = &words.plain;
    match name {
        "get" => match get(columns, plain[0].as_bytes(), &words.at(plain[1])) {
            Ok(Some(value)) => format!("  {}\n", draw::text(&value)),
            Ok(None) => "  (none)\n".to_owned(),
            Err(error) => refused(&error),
        },
        "batch-get" => pairs(&batch_get(columns, &keys(&plain[1..]), &words.at(plain[0])).unwrap()),
        "garbage" => {
            let range = range(plain[0], plain[1]);
            let found = garbage(
                columns,
                &range,
                timestamp(plain[2]),
                plain[3].parse().unwrap(),
            )
            .unwrap();
            let names: Vec<_> = found.keys.iter().map(|key| draw::text(key)).collect();
            let more = if found.rest.is_some() {
                ", more to look at"
            } else {
                ""
            };
            format!("  [{}]{more}\n", names.join(" "))
        }
        "scan" => {
            let range = range(plain[0], plain[1]);
            pairs(&scan(columns, &range, direction, limit, &words.at(plain[2])).unwrap())
        }
        _ => {
            let range = range(plain[0], plain[1]);
            let locks = scan_locks(columns, &range, timestamp(plain[2]), limit).unwrap();
            let line = |lock| format!("  {}: {}\n", draw::text(&lock_key(lock)), draw::info(lock));
            locks.iter().map(line).collect()
        }
    }
}

fn lock_key(lock: &percolator::LockInfo) -> Bytes {
    lock.key.clone()
}

fn change(engine: &MemoryEngine, name: &str, mut words: Words<'_>) -> String {
    let columns = Columns::new(engine);
    match name {
        "prewrite" => {
            let one_phase = words.flag("one-phase");
            let request = prewrite_request(&words, one_phase);
            let told = |reply: &percolator::Prewritten| match reply.committed {
                Some(ts) => format!("committed at {ts}"),
                None => match reply.min_commit_ts {
                    Timestamp::ZERO => "prewritten".to_owned(),
                    ts => format!("prewritten, commits from {ts}"),
                },
            };
            apply(engine, prewrite(columns, &request), told)
        }
        "status" => {
            let request = CheckStatus {
                rollback_if_unknown: words.flag("force"),
                about_pessimistic_lock: words.flag("pessimistic"),
                force_two_phases: words.flag("two-phases"),
                start_ts: timestamp(words.plain[0]),
                primary: key(words.plain[1]),
                caller_start_ts: words.timestamp("caller"),
                now: words.timestamp("now"),
            };
            apply(engine, check_status(columns, &request), status)
        }
        "commit" => {
            let (start, at) = (timestamp(words.plain[0]), timestamp(words.plain[1]));
            let decided = commit(
                columns,
                &keys(&words.plain[2..]),
                start,
                at,
                &KeyRange::all(),
            );
            apply(engine, decided, |at| format!("committed at {at}"))
        }
        "lock" => {
            let request = Acquire {
                must_be_new: words.flag("new"),
                only_if_exists: words.flag("existing"),
                keys: keys(&words.plain[1..]),
                primary: key(words.named["primary"]),
                start_ts: timestamp(words.plain[0]),
                for_update_ts: words.timestamp("update"),
                ttl_ms: words.number("ttl", 100),
                min_commit_ts: words.timestamp("min"),
            };
            apply(engine, acquire(columns, &request), |values| {
                let values = values.iter().map(|value| {
                    value
                        .as_ref()
                        .map_or("(none)".to_owned(), |value| draw::text(value))
                });
                format!("locked: {}", values.collect::<Vec<_>>().join(" "))
            })
        }
        "release" => {
            let (start, update) = (timestamp(words.plain[0]), timestamp(words.plain[1]));
            let decided = release(columns, &keys(&words.plain[2..]), start, update);
            apply(engine, decided, |()| "released".to_owned())
        }
        "secondaries" => {
            let decided =
                check_secondaries(columns, &keys(&words.plain[1..]), timestamp(words.plain[0]));
            apply(engine, decided, |reply| match reply {
                Secondaries::Locked(locks) => {
                    let highest = locks.iter().map(|lock| lock.min_commit_ts).max();
                    format!(
                        "{} locked, commits from {}",
                        locks.len(),
                        highest.unwrap_or_default()
                    )
                }
                Secondaries::Committed(at) => format!("committed at {at}"),
                Secondaries::RolledBack => "rolled back".to_owned(),
            })
        }
        "collect" => {
            let decided = collect(columns, &keys(&words.plain[1..]), timestamp(words.plain[0]));
            apply(engine, decided, |removed| format!("{removed} removed"))
        }
        "destroy" => {
            engine
                .write(&destroy(&range(words.plain[0], words.plain[1])))
                .unwrap();
            "  destroyed\n".to_owned()
        }
        "rollback" => {
            let decided = rollback(columns, &keys(&words.plain[1..]), timestamp(words.plain[0]));
            apply(engine, decided, |()| "rolled back".to_owned())
        }
        "heartbeat" => {
            let (start, ttl) = (timestamp(words.plain[0]), words.plain[2].parse().unwrap());
            let decided = heartbeat(columns, &key(words.plain[1]), start, ttl);
            apply(engine, decided, |ttl| format!("lives for {ttl} ms"))
        }
        "resolve" => {
            let (start, fate) = (timestamp(words.plain[0]), fate(words.plain[1]));
            let decided = resolve_keys(columns, &keys(&words.plain[2..]), start, fate);
            apply(engine, decided, |()| "resolved".to_owned())
        }
        "resolve-range" => {
            let fates = words.plain[3..].iter().map(|word| {
                let (start, end) = word.split_once(':').unwrap();
                (timestamp(start), fate(end))
            });
            let range = range(words.plain[0], words.plain[1]);
            let limit = words.plain[2].parse().unwrap();
            let decided = resolve_range(columns, &range, &fates.collect(), limit);
            apply(engine, decided, |resolved| {
                let more = if resolved.rest.is_some() {
                    ", more follow"
                } else {
                    ""
                };
                format!("{} resolved{more}", resolved.locks)
            })
        }
        _ => panic!("unknown command {name}"),
    }
}

fn prewrite_request(words: &Words<'_>, one_phase: bool) -> Prewrite {
    let mutation = |word: &&str| {
        let (kind, rest) = word.split_once(':').unwrap();
        let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
        let intent = match kind.trim_end_matches('!') {
            "put" => Intent::Put(self::value(value)),
            "insert" => Intent::Insert(self::value(value)),
            "delete" => Intent::Delete,
            "lock" => Intent::Lock,
            "absent" => Intent::CheckNotExists,
            _ => panic!("unknown intent {kind}"),
        };
        Mutation {
            holds_pessimistic_lock: kind.ends_with('!'),
            ..Mutation::new(key(name), intent)
        }
    };
    Prewrite {
        mutations: words.plain[1..].iter().map(mutation).collect(),
        primary: key(words.named["primary"]),
        start_ts: timestamp(words.plain[0]),
        ttl_ms: words.number("ttl", 100),
        txn_size: 0,
        min_commit_ts: words.timestamp("min"),
        for_update_ts: words.timestamp("update"),
        mode: match words.named.get("async") {
            Some(names) => Mode::Async {
                secondaries: names
                    .split(',')
                    .filter(|name| *name != "-")
                    .map(key)
                    .collect(),
                max_read_ts: words.timestamp("read"),
            },
            None if one_phase => Mode::OnePhase {
                max_read_ts: words.timestamp("read"),
            },
            None => Mode::TwoPhases,
        },
    }
}

fn apply<T>(
    engine: &MemoryEngine,
    decided: percolator::Result<Decided<T>>,
    tell: impl FnOnce(&T) -> String,
) -> String {
    match decided {
        Ok(decided) => {
            engine.write(&decided.changes).unwrap();
            format!(
                "  {}\n{}",
                tell(&decided.reply),
                draw::changes(&decided.changes)
            )
        }
        Err(error) => refused(&error),
    }
}

fn status(status: &TxnStatus) -> String {
    match status {
        TxnStatus::Alive { lock, pushed } => {
            format!(
                "alive{}: {}",
                if *pushed { ", pushed" } else { "" },
                draw::info(lock)
            )
        }
        TxnStatus::Committed(ts) => format!("committed at {ts}"),
        TxnStatus::RolledBack(cause) => {
            format!("rolled back: {}", format!("{cause:?}").to_lowercase())
        }
        TxnStatus::PessimisticLockDropped => "pessimistic lock dropped".to_owned(),
        TxnStatus::Unknown => "unknown".to_owned(),
    }
}

fn refused(error: &Error) -> String {
    let mut out = format!("  REFUSED {error}\n");
    match error.refusal().expect("the engine in memory does not fail") {
        Refusal::Locked(locks) => {
            for lock in locks {
                out += &format!(
                    "  {} is locked: {}\n",
                    draw::text(&lock.key),
                    draw::info(lock)
                );
            }
        }
        Refusal::WriteConflict { reason, .. } => out += &format!("  because: {reason:?}\n"),
        _ => {}
    }
    out
}

fn pairs(pairs: &[Pair]) -> String {
    if pairs.is_empty() {
        return "  (none)\n".to_owned();
    }
    pairs
        .iter()
        .map(|pair| match &pair.value {
            Ok(value) => format!("  {} = {}\n", draw::text(&pair.key), draw::text(value)),
            Err(lock) => format!(
                "  {} is locked: {}\n",
                draw::text(&pair.key),
                draw::info(lock)
            ),
        })
        .collect()
}

fn timestamp(word: &str) -> Timestamp {
    match word.strip_suffix("ms") {
        Some(ms) => Timestamp::new(ms.parse().unwrap(), 0),
        None if word == "max" => Timestamp::MAX,
        None => Timestamp(word.parse().unwrap()),
    }
}

fn fate(word: &str) -> Option<Timestamp> {
    (word != "rolled-back").then(|| timestamp(word))
}

fn key(word: &str) -> Bytes {
    Bytes::copy_from_slice(word.as_bytes())
}

fn keys(words: &[&str]) -> Vec<Bytes> {
    words.iter().map(|word| key(word)).collect()
}

fn value(word: &str) -> Bytes {
    match word.split_once('*') {
        Some((unit, times)) => unit.repeat(times.parse().unwrap()).into(),
        None => key(word),
    }
}

fn range(from: &str, to: &str) -> KeyRange {
    let bound = |word| Some(key(word)).filter(|_| word != "-");
    KeyRange {
        start: bound(from).map_or(Bound::Unbounded, Bound::Included),
        end: bound(to).map_or(Bound::Unbounded, Bound::Excluded),
    }
}
