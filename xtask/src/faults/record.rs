//! What the clients of a run saw: a history for each key, and when writes were acknowledged.
//!
//! Keys are of two kinds, registers (SET of values that are written once, GET, DEL) and counters (INCR, GET). A few are in use at a time; a key
//! that has had its share of operations is left for a new one, and judged when nothing on it is under way.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use history::{Call, Operation, Told, Verdict};
use rand::Rng;
use rand::rngs::SmallRng;
use wire::Reply;

/// Operations of one key, one more for the read at the end.
pub(crate) const MAX_OPERATIONS: usize = 999;
/// Keys in use at a time.
const KEYS: usize = 12;
/// Values are numbers with as many zeros before them as make so many digits: enough to fill files and disks.
const VALUE_BYTES: usize = 1000;
/// Of these so many are counters.
const COUNTERS: usize = 3;

/// An operation that is under way.
#[derive(Debug)]
pub(crate) struct Ticket {
    key: usize,
    call: usize,
    pub(crate) operation: Operation,
    /// The request.
    pub(crate) words: Vec<Vec<u8>>,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Told(Told),
    /// It may have taken effect, or still will.
    Unknown,
    /// It had no effect and never will.
    NotDone,
}

/// Outcomes, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) answered: u64,
    pub(crate) acknowledged_writes: u64,
    pub(crate) unknown: u64,
    pub(crate) not_done: u64,
}

#[derive(Debug, Default)]
struct Key {
    calls: Vec<Call>,
    under_way: usize,
    is_retired: bool,
}

/// The longest times without an acknowledged write.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unavailable {
    pub(crate) longest: Duration,
    /// Of those in which a majority was undisturbed all the time.
    pub(crate) longest_with_majority: Duration,
}

#[derive(Debug, Default)]
struct Inner {
    keys: Vec<Key>,
    in_use: Vec<usize>,
    last_value: i64,
    counts: Counts,
    last_acknowledged: Duration,
    unavailable: Unavailable,
    has_majority: bool,
    had_majority_since: bool,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Recorder {
    began: Instant,
    inner: Mutex<Inner>,
}

/// The name of a key; it tells the kind.
pub(crate) fn name(key: usize) -> String {
    let kind = if is_counter(key) { 'c' } else { 'r' };
    format!("{kind}{key}")
}

/// New keys keep the place of the one they replace, and so its kind.
fn is_counter(key: usize) -> bool {
    key % KEYS < COUNTERS
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            keys: (0..KEYS).map(|_| Key::default()).collect(),
            in_use: (0..KEYS).collect(),
            has_majority: true,
            had_majority_since: true,
            ..Inner::default()
        };
        Self {
            began: Instant::now(),
            inner: Mutex::new(inner),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Chooses an operation and notes it as called.
    pub(crate) fn begin(&self, rng: &mut SmallRng) -> Ticket {
        let mut inner = self.inner();
        let slot = rng.random_range(0..KEYS);
        let key = inner.in_use[slot];
        let operation = match (is_counter(key), rng.random_range(0..100)) {
            (_, 0..45) => Operation::Get,
            (true, _) => Operation::Increment,
            (false, 45..50) => Operation::Delete,
            (false, _) => {
                inner.last_value += 1;
                Operation::Set(inner.last_value)
            }
        };
        inner.call(key, operation, self.now())
    }

    /// Notes a read of a key at the end, when nothing else is under way.
    pub(crate) fn begin_last_read(&self, key: usize) -> Ticket {
        self.inner().call(key, Operation::Get, self.now())
    }

    /// Notes what became of an operation; gives the history of its key if nothing will be added to it but the last read.
    pub(crate) fn end(&self, ticket: &Ticket, outcome: Outcome) -> Option<(usize, Vec<Call>)> {
        let mut inner = self.inner();
        let now = self.now();
        let is_read = ticket.operation == Operation::Get;
        match outcome {
            Outcome::Told(_) => inner.counts.answered += 1,
            Outcome::Unknown => inner.counts.unknown += 1,
            Outcome::NotDone => inner.counts.not_done += 1,
        }
        let key = &mut inner.keys[ticket.key];
        key.under_way -= 1;
        let call = &mut key.calls[ticket.call];
        match outcome {
            Outcome::Told(told) => call.returned = Some((nanos(now), told)),
            Outcome::Unknown => {}
            // A read that tells nothing stands for what did not happen.
            Outcome::NotDone => call.operation = Operation::Get,
        }
        let is_done = key.is_retired && key.under_way == 0;
        let history = is_done.then(|| (ticket.key, key.calls.clone()));
        if !is_read && matches!(outcome, Outcome::Told(_)) {
            inner.acknowledged(now);
        }
        history
    }

    /// Whether a majority is undisturbed from now on.
    pub(crate) fn set_majority(&self, has_majority: bool) {
        let mut inner = self.inner();
        inner.has_majority = has_majority;
        inner.had_majority_since &= has_majority;
    }

    pub(crate) fn counts(&self) -> Counts {
        self.inner().counts
    }

    pub(crate) fn unavailable(&self) -> Unavailable {
        self.inner().unavailable
    }

    /// Number of keys ever used.
    pub(crate) fn keys(&self) -> usize {
        self.inner().keys.len()
    }

    /// Everything seen of a key.
    pub(crate) fn history(&self, key: usize) -> Vec<Call> {
        self.inner().keys[key].calls.clone()
    }
}

impl Inner {
    fn call(&mut self, key: usize, operation: Operation, now: Duration) -> Ticket {
        let known = &mut self.keys[key];
        known.under_way += 1;
        known.calls.push(Call {
            operation,
            called: nanos(now),
            returned: None,
        });
        let call = known.calls.len() - 1;
        if known.calls.len() == MAX_OPERATIONS {
            known.is_retired = true;
            let slot = key % KEYS;
            // The numbers of the keys of a slot go up in steps of the number of slots, so some in between may be empty.
            let next = key + KEYS;
            self.keys
                .resize_with(self.keys.len().max(next + 1), Key::default);
            self.in_use[slot] = next;
        }
        let name = name(key).into_bytes();
        let words = match operation {
            Operation::Get => vec![b"GET".to_vec(), name],
            Operation::Delete => vec![b"DEL".to_vec(), name],
            Operation::Increment => vec![b"INCR".to_vec(), name],
            Operation::Set(value) => {
                let value = format!("{value:0VALUE_BYTES$}").into_bytes();
                vec![b"SET".to_vec(), name, value]
            }
        };
        Ticket {
            key,
            call,
            operation,
            words,
        }
    }

    fn acknowledged(&mut self, now: Duration) {
        self.counts.acknowledged_writes += 1;
        let gap = now.saturating_sub(self.last_acknowledged);
        // The first one waits for the first election, which is no failure.
        if self.last_acknowledged > Duration::ZERO {
            self.unavailable.longest = self.unavailable.longest.max(gap);
            if self.had_majority_since {
                let longest = self.unavailable.longest_with_majority.max(gap);
                self.unavailable.longest_with_majority = longest;
            }
        }
        self.last_acknowledged = now;
        self.had_majority_since = self.has_majority;
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("no run lasts 500 years")
}

/// What a reply says of an operation; an error is a reply that no node may give.
pub(crate) fn outcome(operation: Operation, reply: &Reply) -> Result<Outcome, String> {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i64>().ok();
    let told = match (operation, reply) {
        (_, Reply::Error(error)) if error.starts_with("UNKNOWN") => return Ok(Outcome::Unknown),
        (_, Reply::Error(error)) if error.contains("nothing was done") => {
            return Ok(Outcome::NotDone);
        }
        (Operation::Set(_), Reply::Simple(text)) if text == "OK" => Some(Told::Done),
        (Operation::Get, Reply::Null) => Some(Told::Value(None)),
        (Operation::Get, Reply::Bulk(text)) => number(text).map(|value| Told::Value(Some(value))),
        (Operation::Delete | Operation::Increment, Reply::Integer(number)) => {
            Some(Told::Number(*number))
        }
        _ => None,
    };
    told.map(Outcome::Told)
        .ok_or_else(|| format!("a client that asked for {operation:?} was told {reply:?}"))
}

/// Verdicts on histories by key.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    last: BTreeMap<usize, Verdict>,
    /// Keys that had an order until they were read at the end, and have none since: an acknowledged write was lost, or one
    /// that was undone came back.
    pub(crate) lost: usize,
}

impl Verdicts {
    /// The last verdict on a key counts; true if it is the first that says it is impossible.
    pub(crate) fn add(&mut self, key: usize, verdict: Verdict) -> bool {
        let before = self.last.insert(key, verdict);
        let is_new = verdict == Verdict::Impossible && before != Some(Verdict::Impossible);
        if is_new && before == Some(Verdict::Linearizable) {
            self.lost += 1;
        }
        is_new
    }

    /// Keys that no order explains.
    pub(crate) fn impossible(&self) -> Vec<usize> {
        let last = self.last.iter();
        let last = last.filter(|(_, verdict)| **verdict == Verdict::Impossible);
        last.map(|(&key, _)| key).collect()
    }

    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        self.last
            .values()
            .filter(|&&found| found == verdict)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use history::search;
    use rand::SeedableRng;

    /// Answers as a single store would.
    #[derive(Default)]
    struct Store(BTreeMap<Vec<u8>, i64>);

    impl Store {
        fn answer(&mut self, words: &[Vec<u8>]) -> Reply {
            let key = words[1].clone();
            match words[0].as_slice() {
                b"GET" => match self.0.get(&key) {
                    Some(value) => Reply::bulk(value.to_string()),
                    None => Reply::Null,
                },
                b"DEL" => Reply::Integer(i64::from(self.0.remove(&key).is_some())),
                b"INCR" => {
                    let count = self.0.entry(key).or_default();
                    *count += 1;
                    Reply::Integer(*count)
                }
                _ => {
                    let value = String::from_utf8(words[2].clone()).unwrap();
                    self.0.insert(key, value.parse().unwrap());
                    Reply::OK
                }
            }
        }
    }

    #[test]
    fn keys_are_left_after_their_share_and_their_histories_are_what_happened() {
        let recorder = Recorder::new();
        let mut store = Store::default();
        let mut rng = SmallRng::seed_from_u64(1);
        let mut done = BTreeMap::new();
        while done.len() < KEYS {
            let ticket = recorder.begin(&mut rng);
            let reply = store.answer(&ticket.words);
            let outcome = outcome(ticket.operation, &reply).unwrap();
            done.extend(recorder.end(&ticket, outcome));
        }
        for (key, calls) in done {
            assert_eq!(calls.len(), MAX_OPERATIONS, "{}", name(key));
            assert_eq!(search(&calls, 10_000), Verdict::Linearizable);
        }
    }

    #[test]
    fn errors_tell_what_may_have_happened() {
        let said = |text: &'static str| outcome(Operation::Increment, &Reply::error(text));
        assert_eq!(said("UNKNOWN outcome: read first"), Ok(Outcome::Unknown));
        assert_eq!(
            said("BUSY too much; nothing was done, try again"),
            Ok(Outcome::NotDone)
        );
        assert!(said("ERR syntax error").is_err());
        assert!(outcome(Operation::Set(1), &Reply::Null).is_err());
        assert!(outcome(Operation::Get, &Reply::bulk("not a number")).is_err());
    }

    #[test]
    fn what_was_not_done_is_no_part_of_a_history_and_what_is_unknown_is() {
        let recorder = Recorder::new();
        for (key, end) in [
            (COUNTERS, Outcome::NotDone),
            (COUNTERS + 1, Outcome::Unknown),
        ] {
            let ticket = recorder
                .inner()
                .call(key, Operation::Set(5), recorder.now());
            recorder.end(&ticket, end);
            let read = recorder.begin_last_read(key);
            recorder.end(&read, Outcome::Told(Told::Value(Some(5))));
            let verdict = search(&recorder.history(key), 1000);
            let expected = match end {
                Outcome::NotDone => Verdict::Impossible,
                _ => Verdict::Linearizable,
            };
            assert_eq!(verdict, expected, "{end:?}");
        }
    }

    #[test]
    fn a_gap_counts_as_one_with_a_majority_only_if_there_was_one_all_the_time() {
        let mut inner = Inner {
            has_majority: true,
            had_majority_since: true,
            ..Inner::default()
        };
        let at = Duration::from_secs;
        inner.acknowledged(at(3));
        inner.acknowledged(at(4));
        inner.had_majority_since = false;
        inner.acknowledged(at(10));
        inner.acknowledged(at(12));
        assert_eq!(inner.unavailable.longest, at(6));
        assert_eq!(inner.unavailable.longest_with_majority, at(2));
    }
}
