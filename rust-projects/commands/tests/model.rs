//! The commands on strings do what a naive model does, one by one and as transactions, whatever is swept in between.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use commands::{Command, Context, Overlay, ScanCursors, execute, keyspace};
use proptest::collection::vec;
use proptest::prelude::*;
use storage::{Batch, Direction, KeyRange, Limits, Reader};
use support::MapReader;
use wire::Reply;

const START_MS: u64 = 1_000_000;

/// What the model knows of a value: bytes, and the last millisecond it is there.
type Entry = (Vec<u8>, Option<u64>);

#[derive(Default)]
struct Model {
    entries: BTreeMap<String, Entry>,
}

/// A request as words.
type Words = Vec<String>;

fn nil_or(value: Option<Vec<u8>>) -> Reply {
    value.map_or(Reply::Null, Reply::bulk)
}

fn count(number: usize) -> Reply {
    Reply::Integer(number as i64)
}

impl Model {
    fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.entries.get(key).map(|(bytes, _)| bytes.clone())
    }

    fn put(&mut self, key: &str, bytes: &[u8], at: Option<u64>) {
        self.entries.insert(key.to_owned(), (bytes.to_vec(), at));
    }

    /// Changes the bytes and keeps the expiry.
    fn edit(&mut self, key: &str, bytes: Vec<u8>) {
        self.entries.entry(key.to_owned()).or_default().0 = bytes;
    }

    fn run(&mut self, words: &[String], now: u64) -> Reply {
        self.entries
            .retain(|_, (_, at)| at.is_none_or(|at| now <= at));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.read(&words, now)
            .or_else(|| self.replace(&words, now))
            .or_else(|| self.change(&words))
            .or_else(|| self.expire(&words, now))
            .unwrap_or_else(|| panic!("{words:?}"))
    }

    /// Commands that change nothing.
    fn read(&self, words: &[&str], now: u64) -> Option<Reply> {
        Some(match *words {
            ["GET", key] => nil_or(self.bytes(key)),
            ["MGET", ref keys @ ..] => {
                Reply::Array(keys.iter().map(|key| nil_or(self.bytes(key))).collect())
            }
            ["EXISTS", ref keys @ ..] => count(
                keys.iter()
                    .filter(|key| self.entries.contains_key(**key))
                    .count(),
            ),
            ["STRLEN", key] => count(self.bytes(key).unwrap_or_default().len()),
            ["GETRANGE", key, start, end] => {
                let bytes = self.bytes(key).unwrap_or_default();
                let at = |text: &str| {
                    let at: i64 = text.parse().unwrap();
                    if at < 0 { at + bytes.len() as i64 } else { at }
                };
                let inside = |index: usize| (at(start)..=at(end)).contains(&(index as i64));
                let part = bytes.iter().enumerate().filter(|(index, _)| inside(*index));
                Reply::bulk(part.map(|(_, byte)| *byte).collect::<Vec<u8>>())
            }
            ["PTTL", key] => Reply::Integer(match self.entries.get(key) {
                None => -2,
                Some((_, None)) => -1,
                Some((_, Some(at))) => (at - now) as i64,
            }),
            ["DBSIZE"] => count(self.entries.len()),
            ["KEYS", "*"] => Reply::Array(
                self.entries
                    .keys()
                    .map(|key| Reply::bulk(key.clone()))
                    .collect(),
            ),
            _ => return None,
        })
    }

    /// Commands that put or remove whole values.
    fn replace(&mut self, words: &[&str], now: u64) -> Option<Reply> {
        Some(match *words {
            ["SET", key, value, ref options @ ..] => self.set(key, value, options, now),
            ["SETNX", key, value] => {
                let is_new = self.set(key, value, &["NX"], now) == Reply::OK;
                Reply::Integer(i64::from(is_new))
            }
            ["GETSET", key, value] => self.set(key, value, &["GET"], now),
            ["MSET", ref pairs @ ..] => {
                for pair in pairs.chunks(2) {
                    self.put(pair[0], pair[1].as_bytes(), None);
                }
                Reply::OK
            }
            ["MSETNX", ref pairs @ ..] => {
                if pairs
                    .iter()
                    .step_by(2)
                    .any(|key| self.entries.contains_key(*key))
                {
                    return Some(Reply::Integer(0));
                }
                for pair in pairs.chunks(2) {
                    self.put(pair[0], pair[1].as_bytes(), None);
                }
                Reply::Integer(1)
            }
            ["DEL", ref keys @ ..] => count(
                keys.iter()
                    .filter(|key| self.entries.remove(**key).is_some())
                    .count(),
            ),
            ["GETDEL", key] => nil_or(self.entries.remove(key).map(|(bytes, _)| bytes)),
            ["FLUSHDB"] => {
                self.entries.clear();
                Reply::OK
            }
            _ => return None,
        })
    }

    /// Commands that change bytes and keep the expiry.
    fn change(&mut self, words: &[&str]) -> Option<Reply> {
        Some(match *words {
            ["APPEND", key, suffix] => {
                let bytes = [&self.bytes(key).unwrap_or_default(), suffix.as_bytes()].concat();
                let len = bytes.len();
                self.edit(key, bytes);
                count(len)
            }
            ["SETRANGE", key, offset, patch] => {
                let mut bytes = self.bytes(key).unwrap_or_default();
                let offset: usize = offset.parse().unwrap();
                if !patch.is_empty() {
                    bytes.resize(bytes.len().max(offset + patch.len()), 0);
                    bytes[offset..offset + patch.len()].copy_from_slice(patch.as_bytes());
                    self.edit(key, bytes.clone());
                }
                count(bytes.len())
            }
            ["INCRBY", key, by] => {
                let text = self.bytes(key).unwrap_or_else(|| b"0".to_vec());
                let text = String::from_utf8(text).unwrap_or_default();
                let Some(old) = text
                    .parse()
                    .ok()
                    .filter(|old: &i64| old.to_string() == text)
                else {
                    return Some(Reply::error("ERR value is not an integer or out of range"));
                };
                let Some(sum) = old.checked_add(by.parse().unwrap()) else {
                    return Some(Reply::error("ERR increment or decrement would overflow"));
                };
                self.edit(key, sum.to_string().into_bytes());
                Reply::Integer(sum)
            }
            _ => return None,
        })
    }

    /// Commands that change the expiry.
    fn expire(&mut self, words: &[&str], now: u64) -> Option<Reply> {
        Some(match *words {
            ["GETEX", key, ref options @ ..] => {
                if let Some((_, at)) = self.entries.get_mut(key) {
                    match options {
                        ["PERSIST"] => *at = None,
                        ["PX", millis] => *at = Some(now + millis.parse::<u64>().unwrap()),
                        _ => {}
                    }
                }
                nil_or(self.bytes(key))
            }
            ["PEXPIRE", key, millis, ref options @ ..] => {
                let new = now as i64 + millis.parse::<i64>().unwrap();
                let Some((_, at)) = self.entries.get_mut(key) else {
                    return Some(Reply::Integer(0));
                };
                let old = at.map(|at| at as i64);
                let changes = match options {
                    ["NX"] => old.is_none(),
                    ["XX"] => old.is_some(),
                    ["GT"] => old.is_some_and(|old| new > old),
                    ["LT"] => old.is_none_or(|old| new < old),
                    _ => true,
                };
                if changes {
                    *at = Some(new as u64);
                    if new <= now as i64 {
                        self.entries.remove(key);
                    }
                }
                Reply::Integer(i64::from(changes))
            }
            ["PERSIST", key] => {
                let at = self.entries.get_mut(key).and_then(|(_, at)| at.take());
                Reply::Integer(i64::from(at.is_some()))
            }
            _ => return None,
        })
    }

    fn set(&mut self, key: &str, value: &str, options: &[&str], now: u64) -> Reply {
        let old = self.entries.get(key).cloned();
        let has = |name| options.contains(&name);
        let holds = !(has("NX") && old.is_some() || has("XX") && old.is_none());
        if holds {
            let at = match options.iter().position(|option| *option == "PX") {
                Some(px) => Some(now + options[px + 1].parse::<u64>().unwrap()),
                None if has("KEEPTTL") => old.as_ref().and_then(|(_, at)| *at),
                None => None,
            };
            self.put(key, value.as_bytes(), at);
        }
        match (has("GET"), holds) {
            (true, _) => nil_or(old.map(|(bytes, _)| bytes)),
            (false, true) => Reply::OK,
            (false, false) => Reply::Null,
        }
    }
}

/// What happens in a test.
#[derive(Debug, Clone)]
enum Step {
    Run(Words),
    Advance(u64),
    Sweep(usize),
}

fn word(words: &'static [&'static str]) -> BoxedStrategy<Words> {
    proptest::sample::select(words)
        .prop_map(|word| vec![word.to_owned()])
        .boxed()
}

fn join(parts: Vec<BoxedStrategy<Words>>) -> BoxedStrategy<Words> {
    parts.prop_map(|parts| parts.concat()).boxed()
}

fn request() -> BoxedStrategy<Words> {
    let key = || word(&["a", "b", "c", ""]);
    let value = || word(&["0", "7", "-3", "x", "", "9223372036854775807", "long text"]);
    let millis = || word(&["1", "2", "5", "20"]);
    let set_options = prop_oneof![
        3 => Just(Words::new()),
        1 => word(&["NX", "XX", "GET", "KEEPTTL"]),
        2 => join(vec![word(&["PX"]), millis()]),
        1 => join(vec![word(&["PX"]), millis(), word(&["NX", "XX", "GET"])]),
        1 => join(vec![word(&["KEEPTTL"]), word(&["NX", "XX", "GET"]), word(&["GET"])]),
    ]
    .boxed();
    let getex_options = prop_oneof![
        Just(Words::new()),
        word(&["PERSIST"]),
        join(vec![word(&["PX"]), millis()]),
    ]
    .boxed();
    let expire_options = prop_oneof![Just(Words::new()), word(&["NX", "XX", "GT", "LT"])].boxed();
    let keys = vec(key(), 1..4).prop_map(|keys| keys.concat()).boxed();
    let pairs = vec(join(vec![key(), value()]), 1..4)
        .prop_map(|pairs| pairs.concat())
        .boxed();
    prop_oneof![
        4 => join(vec![word(&["SET"]), key(), value(), set_options]),
        2 => join(vec![word(&["SETNX", "GETSET", "APPEND"]), key(), value()]),
        2 => join(vec![word(&["GET", "GETDEL", "STRLEN", "PTTL", "PERSIST"]), key()]),
        1 => join(vec![word(&["GETEX"]), key(), getex_options]),
        1 => join(vec![word(&["MGET", "DEL", "EXISTS"]), keys]),
        1 => join(vec![word(&["MSET", "MSETNX"]), pairs]),
        1 => join(vec![word(&["SETRANGE"]), key(), word(&["0", "1", "12"]), value()]),
        1 => join(vec![word(&["GETRANGE"]), key(), word(&["0", "-2", "3", "-99"]), word(&["0", "-1", "2", "99"])]),
        1 => join(vec![word(&["INCRBY"]), key(), word(&["1", "-1", "9223372036854775807"])]),
        3 => join(vec![word(&["PEXPIRE"]), key(), word(&["-1", "0", "1", "3", "30"]), expire_options]),
        2 => prop_oneof![word(&["DBSIZE"]), join(vec![word(&["KEYS"]), word(&["*"])])],
        1 => prop_oneof![4 => word(&["DBSIZE"]), 1 => word(&["FLUSHDB"])],
    ]
    .boxed()
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => request().prop_map(Step::Run),
        2 => (1_u64..8).prop_map(Step::Advance),
        1 => (1_usize..4).prop_map(Step::Sweep),
    ]
}

fn decide(reader: &dyn Reader, now_ms: u64, words: &[String]) -> (Reply, Batch) {
    let args: Vec<Bytes> = words.iter().map(|word| Bytes::from(word.clone())).collect();
    let context = Context {
        reader,
        now_ms,
        limits: Limits::default(),
        max_reply_bytes: usize::MAX,
        cursors: &ScanCursors::default(),
    };
    let mut batch = Batch::new();
    let reply = execute(&Command::parse(&args).unwrap(), &context, &mut batch).unwrap();
    (reply, batch)
}

/// For each value that expires there is an entry in the expiry column.
fn check_entries(data: &MapReader) -> std::result::Result<(), TestCaseError> {
    for pair in data.scan(&keyspace::data_range(b""), Direction::Forward) {
        let (engine_key, envelope) = pair.unwrap();
        let value = keyspace::Value::decode(&engine_key[1..], &envelope).unwrap();
        if let Some(at) = value.expires_at_ms {
            let entry = keyspace::expiry_key(at, &engine_key[1..]);
            prop_assert!(
                data.entries.contains_key(&entry),
                "{:?} expires at {}",
                engine_key,
                at
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn string_commands_do_what_a_naive_model_does(steps in vec(step(), 1..60)) {
        let (mut data, mut model, mut now) = (MapReader::default(), Model::default(), START_MS);
        for step in steps {
            match step {
                Step::Run(words) => {
                    let (reply, batch) = decide(&data, now, &words);
                    data.apply(&batch);
                    prop_assert_eq!(reply, model.run(&words, now), "{:?}", words);
                }
                Step::Advance(millis) => now += millis,
                Step::Sweep(limit) => {
                    let mut batch = Batch::new();
                    keyspace::expire_due(&data, now, limit, &mut batch).unwrap();
                    data.apply(&batch);
                }
            }
            check_entries(&data)?;
        }
        // Long after, one sweep removes all that expires and every entry.
        model.run(&["DBSIZE".to_owned()], u64::MAX);
        let mut batch = Batch::new();
        keyspace::expire_due(&data, now + 1000, usize::MAX, &mut batch).unwrap();
        data.apply(&batch);
        prop_assert_eq!(data.entries.len(), model.entries.len());
        prop_assert_eq!(data.scan(&KeyRange::prefix(&[keyspace::EXPIRY_COLUMN]), Direction::Forward).count(), 0);
    }

    #[test]
    fn deciding_over_an_overlay_is_deciding_over_applied_changes(
        before in vec(request(), 0..10), requests in vec(request(), 1..20), later in 0_u64..8,
    ) {
        let mut data = MapReader::default();
        for words in &before {
            let (_, batch) = decide(&data, START_MS, words);
            data.apply(&batch);
        }
        let now = START_MS + later;
        let (below, mut all) = (data.clone(), Batch::new());
        let mut overlay = Overlay::new(&below);
        for words in &requests {
            let (expected, batch) = decide(&data, now, words);
            let (reply, over) = decide(&overlay, now, words);
            prop_assert_eq!(reply, expected, "{:?}", words);
            prop_assert_eq!(&over, &batch, "{:?}", words);
            overlay.apply(over.ops());
            data.apply(&batch);
            all.extend(over);
        }
        let mut at_once = below.clone();
        at_once.apply(&all);
        prop_assert_eq!(at_once, data);
    }
}
