//! What clients do: transfers between accounts, readers who count the money, and appends to lists.

use std::collections::BTreeMap;

use bytes::Bytes;
use percolator::client::{CommitBy, Config, Outcome, Transaction};
use percolator::{Client, Timestamp};
use storage::{Direction, KeyRange};

use crate::world::{Link, World};

pub(crate) const ACCOUNTS: u64 = 5;
/// What each account begins with.
pub(crate) const BALANCE: u64 = 10;

/// How many lists there are.
pub(crate) const LISTS: u64 = 3;

const CONFIG: Config = Config {
    lock_ttl_ms: 150,
    retries: 4,
    first_pause_ms: 20,
    keys_per_request: 1,
    commit: CommitBy::TwoPhases,
};

/// What a client knows of a transaction's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Committed(Timestamp),
    Aborted,
    /// Undetermined, or the client crashed.
    Unknown,
}

/// A transaction as its client saw it. Values are `balance:writer`, or the list of writers, so that no two writes are alike.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// When the start timestamp was asked for, and when the outcome was known, in turns of the scheduler.
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) start_ts: Timestamp,
    pub(crate) reads: BTreeMap<Bytes, Option<Bytes>>,
    /// What was there when it locked a key.
    pub(crate) locked: BTreeMap<Bytes, Option<Bytes>>,
    pub(crate) writes: BTreeMap<Bytes, Option<Bytes>>,
    pub(crate) told: Told,
}

pub(crate) fn account(number: u64) -> Bytes {
    format!("account{number}").into()
}

pub(crate) fn list(number: u64) -> Bytes {
    format!("list{number}").into()
}

/// What a list becomes when `writer` appends himself.
pub(crate) fn appended(list: Option<&Bytes>, writer: Timestamp) -> Bytes {
    let before = list.map_or(&b""[..], Bytes::as_ref);
    [before, format!("{writer} ").as_bytes()].concat().into()
}

fn balance(value: Option<&Bytes>) -> u64 {
    let text = value.map_or(String::from("0:"), |value| {
        String::from_utf8(value.to_vec()).unwrap()
    });
    text.split_once(':').unwrap().0.parse().unwrap()
}

pub(crate) fn total(reads: &BTreeMap<Bytes, Option<Bytes>>) -> u64 {
    reads.values().map(|value| balance(value.as_ref())).sum()
}

/// A client that crashes and begins anew, so many times in all.
pub(crate) fn client(world: &World, client: usize, transactions: u32) -> Vec<Seen> {
    let mut seen = Vec::new();
    for _ in 0..transactions {
        let link = Link::new(world, client);
        let from = world.state().moment;
        let (commit, name) = match world.state().random.below(3) {
            0 => (CommitBy::TwoPhases, "committed in two phases"),
            1 => (CommitBy::Prewrites, "committed by prewrites"),
            _ => (CommitBy::OnePhase, "committed in one phase"),
        };
        let config = Config {
            commit,
            // No transaction here writes more than two keys.
            keys_per_request: if commit == CommitBy::OnePhase { 2 } else { 1 },
            ..CONFIG
        };
        let connection = Client::new(&link, config);
        let Ok(transaction) = connection.begin() else {
            continue;
        };
        let mut one = Seen {
            from,
            to: u64::MAX,
            start_ts: transaction.start_ts(),
            reads: BTreeMap::new(),
            locked: BTreeMap::new(),
            writes: BTreeMap::new(),
            told: Told::Aborted,
        };
        let body = match world.state().random.below(3) {
            0 => append,
            _ => transfer,
        };
        let outcome = body(world, transaction, &mut one);
        one.to = world.state().moment;
        let (told, what) = match outcome {
            _ if link.has_crashed() => (
                Told::Unknown,
                "clients that died with a transaction under way",
            ),
            None | Some(Outcome::Aborted(_)) => (Told::Aborted, "aborted"),
            Some(Outcome::Committed(commit_ts)) => (Told::Committed(commit_ts), name),
            Some(Outcome::Undetermined) => (Told::Unknown, "undetermined"),
        };
        one.told = told;
        world.state().counters.count(what);
        seen.push(one);
    }
    seen
}

/// Appends itself to a list or two, and may read another one: a list tells the order in which it was written.
fn append(
    world: &World,
    mut transaction: Transaction<'_, &Link<'_>>,
    seen: &mut Seen,
) -> Option<Outcome> {
    let (first, others, is_pessimistic) = {
        let random = &mut world.state().random;
        let others = random.below(3);
        (random.below(LISTS), others, random.below(2) == 0)
    };
    let writer = transaction.start_ts();
    for number in (0..=others).map(|next| (first + next) % LISTS) {
        let key = list(number);
        let is_read_only = others > 0 && number == first;
        // Not one and the other: what is locked is seen as of later than what is read.
        let value = match is_pessimistic {
            true => match transaction.lock(key.clone()) {
                Ok(value) => {
                    seen.locked.insert(key.clone(), value.clone());
                    value
                }
                Err(_) => {
                    let _ = transaction.rollback();
                    return None;
                }
            },
            false => {
                let value = transaction.get(&key).ok()?;
                seen.reads.insert(key.clone(), value.clone());
                value
            }
        };
        if !is_read_only {
            let value = appended(value.as_ref(), writer);
            transaction.set(key.clone(), value.clone());
            seen.writes.insert(key, Some(value));
        }
    }
    world.state().counters.count("appends to lists");
    Some(transaction.commit())
}

fn transfer(
    world: &World,
    mut transaction: Transaction<'_, &Link<'_>>,
    seen: &mut Seen,
) -> Option<Outcome> {
    let (kind, from, to, amount) = {
        let random = &mut world.state().random;
        let from = random.below(ACCOUNTS);
        let to = (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS;
        (random.below(4), from, to, 1 + random.below(BALANCE))
    };
    if kind == 0 {
        let direction = match amount % 2 {
            0 => Direction::Forward,
            _ => Direction::Reverse,
        };
        let pairs = transaction.scan(&accounts(), direction, 100).ok()?;
        seen.reads = (0..ACCOUNTS)
            .map(|number| (account(number), None))
            .collect();
        seen.reads
            .extend(pairs.into_iter().map(|(key, value)| (key, Some(value))));
        return Some(transaction.commit());
    }
    let is_pessimistic = kind == 1;
    for number in [from, to] {
        let key = account(number);
        if is_pessimistic {
            // In an order of its own each time, so that some wait for each other.
            match transaction.lock(key.clone()) {
                Ok(value) => seen.locked.insert(key, value),
                Err(_) => {
                    let _ = transaction.rollback();
                    return None;
                }
            };
        } else {
            let value = transaction.get(&key).ok()?;
            seen.reads.insert(key, value);
        }
    }
    if is_pessimistic {
        world.state().counters.count("locked before they commit");
    }
    let balances = if is_pessimistic {
        &seen.locked
    } else {
        &seen.reads
    };
    let (from, to) = (account(from), account(to));
    let amount = amount.min(balance(balances[&from].as_ref()));
    let writer = transaction.start_ts();
    for (key, balance) in [
        (&from, balance(balances[&from].as_ref()) - amount),
        (&to, balance(balances[&to].as_ref()) + amount),
    ] {
        // An account without money is no account.
        match balance {
            0 => transaction.delete(key.clone()),
            _ => transaction.set(key.clone(), format!("{balance}:{writer}")),
        }
        let value = (balance > 0).then(|| format!("{balance}:{writer}").into());
        seen.writes.insert(key.clone(), value);
    }
    Some(transaction.commit())
}

fn accounts() -> KeyRange {
    KeyRange::half_open(account(0), account(ACCOUNTS))
}

/// The first transaction, before any other.
pub(crate) fn set_up(world: &World) {
    let link = Link::new(world, 0);
    let connection = Client::new(&link, CONFIG);
    let mut transaction = connection.begin().unwrap();
    for number in 0..ACCOUNTS {
        transaction.set(account(number), format!("{BALANCE}:0"));
    }
    assert!(transaction.commit().is_committed());
}

/// The last one: locks everything, long after all others, and so finishes whatever they left.
pub(crate) fn sweep(world: &World) {
    world.state().long_after();
    let link = Link::new(world, 0);
    let connection = Client::new(&link, CONFIG);
    let mut transaction = connection.begin().unwrap();
    for key in (0..ACCOUNTS).map(account).chain((0..LISTS).map(list)) {
        transaction.lock(key).unwrap();
    }
    transaction.rollback().unwrap();
}
