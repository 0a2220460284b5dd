//! The store over a node that does as it is told.

use percolator::{Commit, Get, Intent, Mode, Prewrite, ReadAt};
use storage::KeyRange;

use super::*;
use crate::tikv::fake::{self, World, runtime};

fn key() -> Bytes {
    Bytes::from_static(b"k")
}

fn prewrite(start_ts: Timestamp, mode: Mode) -> Prewrite {
    fake::prewrite(key(), Intent::Put(Bytes::from_static(b"v")), start_ts, mode)
}

impl World {
    async fn prewrite(&self, start_ts: Timestamp) -> Result<(), Failure> {
        let prewrite = prewrite(start_ts, Mode::TwoPhases);
        self.store.change(prewrite, self.epoch()).await.map(drop)
    }

    async fn commit(&self, start_ts: Timestamp, commit_ts: Timestamp) -> Result<(), Failure> {
        let commit = Commit {
            keys: vec![key()],
            start_ts,
            commit_ts,
            held: KeyRange::all(),
        };
        self.store.change(commit, self.epoch()).await.map(drop)
    }

    async fn get(&self, ts: Timestamp) -> Result<Option<Bytes>, Failure> {
        let get = Get {
            key: key(),
            at: ReadAt::new(ts),
        };
        self.store.read_at(get, ts, self.epoch()).await
    }

    fn questions(&self) -> u64 {
        self.node.questions.load(Ordering::Relaxed)
    }
}

#[test]
fn a_read_at_a_timestamp_of_ones_own_asks_nobody_and_others_do() {
    runtime().block_on(async {
        let world = World::new();
        let start = world.timestamp().await;
        world.prewrite(start).await.unwrap();
        let commit = world.timestamp().await;
        world.commit(start, commit).await.unwrap();
        let own = world.timestamp().await;
        let before = world.questions();
        assert_eq!(world.get(own).await.unwrap().unwrap(), "v");
        assert_eq!(world.get(start).await.unwrap(), None);
        assert_eq!(world.questions(), before);
        assert_eq!(world.get(Timestamp::MAX).await.unwrap().unwrap(), "v");
        assert_eq!(world.questions(), before + 1, "the newest is asked for");
        // Whoever is deposed and does not know it yet has all that lies below his own timestamps, and nothing else.
        world.node.leads.store(false, Ordering::Relaxed);
        assert_eq!(world.get(own).await.unwrap().unwrap(), "v");
        let newest = world.get(Timestamp::MAX).await;
        assert!(matches!(newest, Err(Failure::NotLeader)), "{newest:?}");
    });
}

#[test]
fn who_reads_at_a_timestamp_that_nobody_was_given_is_refused_and_moves_nothing() {
    runtime().block_on(async {
        let world = World::new();
        let now = world.timestamp().await;
        let ahead = Timestamp(now.0 + (3_600_000 << 18));
        let read = world.get(ahead).await;
        assert!(matches!(read, Err(Failure::NeverGiven(ts)) if ts == ahead));
        assert!(world.get(now).await.unwrap().is_none());
        let mut prewrite = prewrite(
            now,
            Mode::OnePhase {
                max_read_ts: Timestamp::ZERO,
            },
        );
        world.store.state().in_flight.begin(1, &mut prewrite);
        assert!(matches!(prewrite.mode, Mode::OnePhase { max_read_ts } if max_read_ts == now));
    });
}

#[test]
fn what_is_refused_is_told_only_by_who_still_leads() {
    runtime().block_on(async {
        let world = World::new();
        let start = world.timestamp().await;
        let refused = world.commit(start, Timestamp(start.0 + 1)).await;
        assert!(matches!(refused, Err(Failure::Refused(_))), "{refused:?}");
        world.node.leads.store(false, Ordering::Relaxed);
        let deposed = world.commit(start, Timestamp(start.0 + 1)).await;
        assert!(matches!(deposed, Err(Failure::NotLeader)), "{deposed:?}");
        let unknown = world.prewrite(start).await;
        assert!(matches!(unknown, Err(Failure::Unknown)), "{unknown:?}");
    });
}

#[test]
fn who_finds_no_room_waits_for_it_and_is_told_so_after_a_second_and_a_half() {
    runtime().block_on(async {
        let world = World::new();
        let start = world.timestamp().await;
        world.prewrite(start).await.unwrap();
        let places = (world.inbox.room(1).await, world.inbox.room(1).await);
        let began = Instant::now();
        let (crowded, waited) = tokio::join!(
            world.commit(start, Timestamp(start.0 + 1)),
            // Room in time is as good as room at once, for another key.
            async { tokio::time::timeout(PATIENCE / 2, world.inbox.room(1)).await }
        );
        assert!(matches!(crowded, Err(Failure::Busy)), "{crowded:?}");
        assert!(began.elapsed() >= PATIENCE && waited.is_err());
        drop(places);
        world.commit(start, Timestamp(start.0 + 1)).await.unwrap();
    });
}
