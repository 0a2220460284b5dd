//! Reading at one timestamp, in pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tikv_client::Timestamp;

use crate::tikv::client::{Client, Session, backend, for_reading};
use crate::tikv::engine::MAX_KEY_BYTES;
use crate::tikv::failure::fits;
use crate::{Direction, Entries, Error, KeyRange, Keys, Reader, Result};

/// Keys or pairs asked for at first.
const FIRST_PAGE: u32 = 64;
const LONGEST_PAGE: u32 = 4096;
/// What a page should take.
const PAGE_BYTES: usize = 1 << 20;
/// Pairs that a size is counted of.
const MEASURED_PAIRS: usize = 65_536;

/// The namespace as of a timestamp.
#[derive(Clone)]
pub(super) struct View {
    pub(super) client: Arc<Client>,
    pub(super) at: Timestamp,
}

impl View {
    pub(super) fn walk(&self, range: &KeyRange, direction: Direction, keys_only: bool) -> Walk {
        Walk {
            view: self.clone(),
            rest: self.client.space.range(range),
            direction,
            keys_only,
            limit: FIRST_PAGE,
            page: Vec::new().into_iter(),
        }
    }
}

impl Reader for View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        if key.len() > MAX_KEY_BYTES {
            return Ok(None);
        }
        let (session, at) = (self.client.session(), self.at.clone());
        let key = self.client.space.key(key);
        self.client.run(async move {
            let attempt = || {
                let mut snapshot = session.tikv.snapshot(at.clone(), for_reading());
                let key = key.clone();
                async move { snapshot.get(key).await }
            };
            Ok(session.persist(attempt).await?.map(Bytes::from))
        })
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>> {
        let wanted: BTreeSet<_> = keys
            .iter()
            .filter(|key| key.len() <= MAX_KEY_BYTES)
            .map(|key| self.client.space.key(key))
            .collect();
        let (session, at) = (self.client.session(), self.at.clone());
        let wanted = wanted.into_iter().collect();
        let found = self.client.run(batch_get(session, at, wanted))?;
        let value = |key: &&[u8]| found.get(&self.client.space.key(key)).cloned();
        Ok(keys.iter().map(value).collect())
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        Box::new(self.walk(range, direction, false))
    }

    fn scan_keys(&self, range: &KeyRange, direction: Direction) -> Keys<'_> {
        let pairs = self.walk(range, direction, true);
        Box::new(pairs.map(|pair| pair.map(|(key, _)| key)))
    }

    /// Exact for the first 65,536 pairs, which it reads; of a longer range it counts no more.
    fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        let pairs = self.walk(range, Direction::Forward, false);
        pairs
            .take(MEASURED_PAIRS)
            .map(|pair| pair.map(|(key, value)| (key.len() + value.len()) as u64))
            .sum()
    }
}

/// The values of `keys`, which are all different.
async fn batch_get(
    session: Session,
    at: Timestamp,
    keys: Vec<Vec<u8>>,
) -> Result<BTreeMap<Vec<u8>, Bytes>> {
    let mut found = BTreeMap::new();
    let mut rest = &keys[..];
    let mut count = FIRST_PAGE as usize;
    while !rest.is_empty() {
        let (some, others) = rest.split_at(count.min(rest.len()));
        let attempt = || {
            let mut snapshot = session.tikv.snapshot(at.clone(), for_reading());
            let keys = some.to_vec();
            async move { fits(snapshot.batch_get(keys).await.map(Vec::from_iter)) }
        };
        match session.persist(attempt).await? {
            Some(pairs) => {
                let pairs = pairs.into_iter().map(|pair| (pair.0.into(), pair.1.into()));
                found.extend(pairs);
                rest = others;
            }
            None => count = fewer(some.len() as u32)? as usize,
        }
    }
    Ok(found)
}

/// How many to ask for when so many were too many.
fn fewer(count: u32) -> Result<u32> {
    match count {
        0 | 1 => Err(backend(&"a value is longer than a reply may be")),
        _ => Ok((count / 4).max(1)),
    }
}

/// A scan, read page by page.
pub(super) struct Walk {
    view: View,
    /// From and to, in the cluster's keys; none when all is read.
    rest: Option<(Vec<u8>, Vec<u8>)>,
    direction: Direction,
    keys_only: bool,
    limit: u32,
    page: std::vec::IntoIter<(Bytes, Bytes)>,
}

impl Walk {
    /// The next page; an empty one is the last.
    fn load(&mut self) -> Result<()> {
        let Some((from, to)) = self.rest.take() else {
            return Ok(());
        };
        let client = &self.view.client;
        let ask = Ask {
            session: client.session(),
            at: self.view.at.clone(),
            range: (from, to),
            direction: self.direction,
            keys_only: self.keys_only,
            limit: self.limit,
        };
        let ((from, to), limit, pairs) = client.run(ask.page())?;
        if let Some((last, _)) = pairs.last()
            && pairs.len() >= limit as usize
        {
            self.rest = Some(match self.direction {
                Direction::Forward => ([last, &[0][..]].concat(), to),
                Direction::Reverse => (from, last.clone()),
            });
        }
        let bytes: usize = pairs
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        let fitting = PAGE_BYTES * pairs.len() / bytes.max(1);
        // No more than four times as many: what comes may be longer than what came.
        let at_most = limit.saturating_mul(4).min(LONGEST_PAGE) as usize;
        self.limit = fitting.clamp(1, at_most) as u32;
        let strip = |(key, value)| (client.space.strip(key), Bytes::from(value));
        self.page = pairs.into_iter().map(strip).collect::<Vec<_>>().into_iter();
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(pair) = self.page.next() {
            return Some(Ok(pair));
        }
        match self.load() {
            Ok(()) => self.page.next().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}

type Pair = (Vec<u8>, Vec<u8>);

/// One page asked for.
struct Ask {
    session: Session,
    at: Timestamp,
    range: Pair,
    direction: Direction,
    keys_only: bool,
    limit: u32,
}

impl Ask {
    /// The page, with the range and the limit that it came of: the limit is lower where a reply would have been too long.
    async fn page(mut self) -> Result<(Pair, u32, Vec<Pair>)> {
        loop {
            match self.session.persist(|| self.attempt()).await? {
                Some(pairs) => return Ok((self.range, self.limit, pairs)),
                None => self.limit = fewer(self.limit)?,
            }
        }
    }

    fn attempt(&self) -> impl Future<Output = tikv_client::Result<Option<Vec<Pair>>>> + use<> {
        // A fresh one for each page: it keeps all that it has read.
        let mut snapshot = self.session.tikv.snapshot(self.at.clone(), for_reading());
        let (from, to) = self.range.clone();
        let (range, limit) = (from..to, self.limit);
        let (direction, keys_only) = (self.direction, self.keys_only);
        async move {
            let key = |key: tikv_client::Key| (key.into(), Vec::new());
            let pair = |pair: tikv_client::KvPair| (pair.0.into(), pair.1);
            fits(match (direction, keys_only) {
                (Direction::Forward, true) => {
                    let keys = snapshot.scan_keys(range, limit).await;
                    keys.map(|keys| keys.map(key).collect())
                }
                (Direction::Reverse, true) => {
                    let keys = snapshot.scan_keys_reverse(range, limit).await;
                    keys.map(|keys| keys.map(key).collect())
                }
                (Direction::Forward, false) => {
                    let pairs = snapshot.scan(range, limit).await;
                    pairs.map(|pairs| pairs.map(pair).collect())
                }
                (Direction::Reverse, false) => {
                    let pairs = snapshot.scan_reverse(range, limit).await;
                    pairs.map(|pairs| pairs.map(pair).collect())
                }
            })
        }
    }
}

/// A scan of a moment that could not be had.
pub(super) fn failed<'a, T: 'a + Send>(
    error: Error,
) -> Box<dyn Iterator<Item = Result<T>> + Send + 'a> {
    Box::new(std::iter::once(Err(error)))
}
