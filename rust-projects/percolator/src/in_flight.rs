//! What was read, and what is being written: the two things that a commit without a second phase must know.
//!
//! # What it is
//!
//! A transaction that commits asynchronously or in one phase takes no timestamp from the oracle once its locks are there. Its commit
//! timestamp must lie above that of every reader who did not see its locks. The leader of a store therefore remembers the highest timestamp
//! read at, and the keys whose locks are decided and not applied yet. Beyond the paper; the behaviour is TiKV's.
//!
//! # What it guarantees
//!
//! If the caller keeps the order below, no transaction commits at or below the timestamp of a reader who did not see it (bug class P8): either
//! the reader came first, and the writer hears of his timestamp, or the writer did, and the reader is refused here or sees the lock.
//!
//! # What it does not
//!
//! It is the leader's own, and forgets with him: a new leader must take a timestamp from the oracle, and [`InFlight::saw`] it, before the
//! first such commit. It believes readers: one with a timestamp far ahead takes all later commits of this kind with it, so a server refuses
//! timestamps that its oracle did not give.
//!
//! # How it works
//!
//! ```text
//!   reader   read_keys(k, 40): nothing in flight, highest = 40        snapshot          get k
//!   writer                                                   begin: above 40                    decide   apply   done
//!
//!   writer   begin: above 30, k in flight        decide                 apply           done
//!   reader                          read_keys(k, 40): refused                 read_keys ...  snapshot, get k: sees it
//! ```

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use storage::KeyRange;

use crate::{Intent, LockInfo, LockKind, Mode, Prewrite, ReadAt, Refusal, Ticket, Timestamp};

/// The highest timestamp read at, and the keys that are being locked.
#[derive(Debug, Default)]
pub struct InFlight {
    max_read_ts: Timestamp,
    keys: BTreeMap<Bytes, LockInfo>,
    /// Which of them are whose.
    tickets: HashMap<Ticket, Vec<Bytes>>,
}

impl InFlight {
    /// Nobody read anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Somebody may have read at `ts`, here or at an earlier leader.
    pub fn saw(&mut self, ts: Timestamp) {
        self.max_read_ts = self.max_read_ts.max(ts);
    }

    /// Before reading `keys`, and before the snapshot for it is taken.
    ///
    /// # Errors
    /// [`Refusal::Locked`]: one of them is being locked by a transaction that may commit at or below the reader's timestamp. Try again once it
    /// is [`InFlight::done`].
    pub fn read_keys(&mut self, keys: &[Bytes], at: &ReadAt) -> Result<(), Refusal> {
        self.raise(at);
        let in_flight = keys.iter().filter_map(|key| self.keys.get(key));
        refuse(in_flight, at)
    }

    /// As [`InFlight::read_keys`] before a scan of `range`.
    ///
    /// # Errors
    /// The same.
    pub fn read_range(&mut self, range: &KeyRange, at: &ReadAt) -> Result<(), Refusal> {
        self.raise(at);
        if range.is_empty() {
            return Ok(());
        }
        let in_flight = self.keys.range::<[u8], _>(range.as_slices());
        refuse(in_flight.map(|(_, entry)| entry), at)
    }

    /// Before deciding `request`, and while its keys are latched: tells it how far was read, in its [`Mode`], and lets readers know of its keys
    /// until it is [`InFlight::done`]. A transaction in two phases needs neither.
    pub fn begin(&mut self, ticket: Ticket, request: &mut Prewrite) {
        match &mut request.mode {
            Mode::TwoPhases => return,
            Mode::Async { max_read_ts, .. } | Mode::OnePhase { max_read_ts } => {
                *max_read_ts = self.max_read_ts;
            }
        }
        let min_commit_ts = request.lowest_commit_ts();
        for mutation in &request.mutations {
            let kind = match mutation.intent {
                Intent::Put(_) | Intent::Insert(_) => LockKind::Put,
                Intent::Delete => LockKind::Delete,
                // Nothing that a reader could miss.
                Intent::Lock | Intent::CheckNotExists => continue,
            };
            let lock = LockInfo {
                key: mutation.key.clone(),
                kind,
                primary: request.primary.clone(),
                start_ts: request.start_ts,
                ttl_ms: request.ttl_ms,
                txn_size: request.txn_size,
                for_update_ts: request.for_update_ts,
                min_commit_ts,
                secondaries: None,
            };
            self.keys.insert(mutation.key.clone(), lock);
            let of_ticket = self.tickets.entry(ticket).or_default();
            of_ticket.push(mutation.key.clone());
        }
    }

    /// The request of this ticket is applied, or will never be.
    pub fn done(&mut self, ticket: Ticket) {
        // They were latched until now, so nobody else can have put them in.
        for key in self.tickets.remove(&ticket).unwrap_or_default() {
            self.keys.remove(&key);
        }
    }

    fn raise(&mut self, at: &ReadAt) {
        // A reader of what is committed by now has no timestamp that anybody must stay above.
        if at.ts != Timestamp::MAX {
            self.saw(at.ts);
        }
    }
}

fn refuse<'a>(in_flight: impl Iterator<Item = &'a LockInfo>, at: &ReadAt) -> Result<(), Refusal> {
    let locks: Vec<_> = in_flight
        .filter(|lock| lock.min_commit_ts <= at.ts && !at.bypass.contains(&lock.start_ts))
        .cloned()
        .collect();
    match locks.is_empty() {
        true => Ok(()),
        false => Err(Refusal::Locked(locks)),
    }
}

#[cfg(test)]
mod tests {
    use storage::{Engine, MemoryEngine};

    use super::*;
    use crate::{Columns, Decided, Mutation, Prewritten, get, prewrite, scan};

    fn request(mode: Mode) -> Prewrite {
        Prewrite {
            mutations: vec![Mutation::new("k", Intent::Put("new".into()))],
            primary: "k".into(),
            start_ts: Timestamp(10),
            ttl_ms: 100,
            txn_size: 1,
            min_commit_ts: Timestamp::ZERO,
            for_update_ts: Timestamp::ZERO,
            mode,
        }
    }

    fn modes() -> [Mode; 2] {
        let max_read_ts = Timestamp::ZERO;
        [
            Mode::Async {
                secondaries: Vec::new(),
                max_read_ts,
            },
            Mode::OnePhase { max_read_ts },
        ]
    }

    /// The steps of a reader and of a writer, in the order of a bit mask in which ones are the reader's.
    struct Interleaving {
        engine: MemoryEngine,
        in_flight: InFlight,
        request: Prewrite,
        decided: Option<Decided<Prewritten>>,
        reader_passed: bool,
        saw: Option<Option<Bytes>>,
    }

    impl Interleaving {
        fn writer(&mut self, step: usize) {
            match step {
                0 => self.in_flight.begin(1, &mut self.request),
                1 => {
                    self.decided =
                        Some(prewrite(Columns::new(&self.engine), &self.request).unwrap());
                }
                2 => {
                    let decided = self.decided.as_ref().unwrap();
                    self.engine.write(&decided.changes).unwrap();
                }
                _ => self.in_flight.done(1),
            }
        }

        fn reader(&mut self, step: usize, by_range: bool) {
            let at = ReadAt::new(Timestamp(40));
            let columns = Columns::new(&self.engine);
            match step {
                0 if by_range => {
                    self.reader_passed = self.in_flight.read_range(&KeyRange::all(), &at).is_ok();
                }
                0 => self.reader_passed = self.in_flight.read_keys(&["k".into()], &at).is_ok(),
                _ if !self.reader_passed => {}
                _ if by_range => {
                    let pairs = scan(
                        columns,
                        &KeyRange::all(),
                        storage::Direction::Forward,
                        9,
                        &at,
                    )
                    .unwrap();
                    self.saw = match pairs.into_iter().next() {
                        None => Some(None),
                        Some(pair) => pair.value.ok().map(Some),
                    };
                }
                _ => self.saw = get(columns, b"k", &at).ok(),
            }
        }
    }

    #[test]
    fn who_reads_without_seeing_a_transaction_is_below_it_however_their_steps_interleave() {
        let (mut refused, mut unseen, mut seen) = (0, 0, 0);
        let orders = (0_u32..1 << 6).filter(|mask| mask.count_ones() == 2);
        for (mask, by_range) in orders.flat_map(|mask| [(mask, false), (mask, true)]) {
            for mode in modes() {
                let mut all = Interleaving {
                    engine: MemoryEngine::new(),
                    in_flight: InFlight::new(),
                    request: request(mode),
                    decided: None,
                    reader_passed: false,
                    saw: None,
                };
                all.in_flight.saw(Timestamp(30));
                let (mut reader, mut writer) = (0, 0);
                for bit in 0..6 {
                    if mask & (1 << bit) == 0 {
                        all.writer(writer);
                        writer += 1;
                    } else {
                        all.reader(reader, by_range);
                        reader += 1;
                    }
                }
                let commit_ts = all.decided.unwrap().reply.min_commit_ts;
                match all.saw {
                    None => refused += 1,
                    Some(None) => {
                        unseen += 1;
                        assert!(commit_ts > Timestamp(40), "order {mask:06b}: {commit_ts}");
                    }
                    Some(Some(_)) => {
                        seen += 1;
                        assert!(commit_ts <= Timestamp(40), "order {mask:06b}: {commit_ts}");
                    }
                }
            }
        }
        assert!(refused > 0 && unseen > 0 && seen > 0);
    }

    #[test]
    fn only_those_are_refused_who_could_miss_something() {
        let mut in_flight = InFlight::new();
        in_flight.saw(Timestamp(30));
        let [mut asynchronous, _] = modes().map(request);
        in_flight.begin(7, &mut asynchronous);
        let mut read = |ts| in_flight.read_keys(&["k".into()], &ReadAt::new(ts));
        assert_eq!(read(Timestamp(30)), Ok(()), "it commits above");
        assert!(
            matches!(read(Timestamp(31)), Err(Refusal::Locked(locks)) if locks[0].min_commit_ts == Timestamp(31))
        );
        assert!(read(Timestamp::MAX).is_err());
        let bypass = ReadAt {
            bypass: [Timestamp(10)].into(),
            ..ReadAt::new(Timestamp(31))
        };
        assert_eq!(in_flight.read_keys(&["k".into()], &bypass), Ok(()));
        assert_eq!(
            in_flight.read_range(&KeyRange::half_open("l", "a"), &bypass),
            Ok(())
        );
        let at = ReadAt::new(Timestamp(35));
        assert_eq!(
            in_flight.read_range(&KeyRange::half_open("l", "z"), &at),
            Ok(())
        );
        in_flight.done(8);
        assert!(
            in_flight
                .read_range(&KeyRange::half_open("a", "l"), &at)
                .is_err()
        );
        in_flight.done(7);
        assert_eq!(in_flight.read_keys(&["k".into()], &at), Ok(()));
    }

    #[test]
    fn a_reader_of_what_is_committed_by_now_lifts_nobody_and_two_phases_need_nothing() {
        let mut in_flight = InFlight::new();
        in_flight
            .read_keys(&[], &ReadAt::new(Timestamp::MAX))
            .unwrap();
        let [_, mut one_phase] = modes().map(request);
        in_flight.begin(1, &mut one_phase);
        assert_eq!(one_phase.lowest_commit_ts(), Timestamp(11));
        in_flight.done(1);
        let mut two_phases = request(Mode::TwoPhases);
        in_flight.begin(2, &mut two_phases);
        assert_eq!(
            in_flight.read_keys(&["k".into()], &ReadAt::new(Timestamp(50))),
            Ok(())
        );
    }
}
