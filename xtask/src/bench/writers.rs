//! Many writers under `Always`: how many share one fdatasync, how long each waits, also while compaction runs.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use storage::kvs::{LogEngine, Options};
use storage::log::temporary_path;
use storage::{Batch, Durability, Engine, SyncPolicy};

use super::data::Pairs;
use super::error::{Error, Result, doing};
use super::job::{Figures, Job, figures};
use super::report::{Sample, Section, percentile};
use super::stores::open_kvs;
use super::{Bench, Scale};

/// Writers at a time.
pub(crate) const THREADS: usize = 64;
/// Writes for each key before compaction is let loose.
const ROUNDS_BEFORE: usize = 4;
/// How often somebody looks whether compaction runs.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Names of what this section measures.
pub(crate) const SYNCS: &str = "the disk alone";
pub(crate) const WRITERS: &str = "writers";
pub(crate) const COMPACTING: &str = "writers while compacting";

/// Percentiles that the page shows.
pub(crate) const PERCENTILES: [(&str, f64); 4] = [
    ("p50_s", 0.5),
    ("p90_s", 0.9),
    ("p99_s", 0.99),
    ("p999_s", 0.999),
];

/// Measures everything of this section.
pub(crate) fn section(bench: &Bench, section: &mut Section) -> Result<()> {
    let Scale {
        pairs,
        seconds,
        syncs,
        segment_bytes,
        ..
    } = bench.scale;
    let threads = THREADS;
    section.set("pairs", pairs as f64);
    section.set("threads", threads as f64);
    section.set("seconds", seconds);
    section.set("segment_bytes", segment_bytes as f64);
    for run in 0..bench.runs {
        let jobs = [
            (SYNCS, Job::Syncs { count: syncs }),
            (
                WRITERS,
                Job::Writers {
                    pairs,
                    threads,
                    seconds,
                },
            ),
            (
                COMPACTING,
                Job::WritersAndCompaction {
                    pairs,
                    threads,
                    seconds: 2.0 * seconds,
                    segment_bytes,
                },
            ),
        ];
        for (subject, job) in jobs {
            let figures = bench.child(run, job)?;
            if subject == COMPACTING && !figures.contains_key("p99_s") {
                section.note(&format!(
                    "run {}: compaction never ran, so there is no figure for it",
                    run + 1
                ));
            }
            section.samples.push(Sample::new(run, subject, figures));
        }
    }
    Ok(())
}

/// [`Job::Syncs`].
pub(crate) fn syncs(dir: &Path, count: usize) -> Result<Figures> {
    let path = dir.join("file");
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(doing("create a file"))?;
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        file.write_all(&[7; 100])
            .and_then(|()| file.sync_data())
            .map_err(doing("append to a file and sync it"))?;
        took.push(began.elapsed().as_secs_f64());
    }
    Ok(latencies(took))
}

/// [`Job::Writers`].
pub(crate) fn writers(
    dir: &Path,
    seed: u64,
    count: usize,
    threads: usize,
    seconds: f64,
) -> Result<Figures> {
    let pairs = Pairs::new(count, seed);
    let engine = open_kvs(dir, SyncPolicy::Always)?;
    let before = engine.stats();
    let deadline = Instant::now() + Duration::from_secs_f64(seconds);
    let (writes, took_s) = load(&engine, &pairs, seed, threads, &|| {
        Instant::now() < deadline
    })?;
    let syncs = engine.stats().syncs - before.syncs;
    let count = writes.len() as f64;
    let mut all = latencies(writes.iter().map(|write| write.took_s).collect());
    all.extend(figures([
        ("writes_per_s", count / took_s),
        ("writes_per_sync", count / (syncs as f64).max(1.0)),
        ("syncs_per_s", syncs as f64 / took_s),
    ]));
    Ok(all)
}

/// [`Job::WritersAndCompaction`]: only writes that were under way while compaction ran count.
pub(crate) fn during_compaction(
    dir: &Path,
    seed: u64,
    count: usize,
    threads: usize,
    seconds: f64,
    segment_bytes: u64,
) -> Result<Figures> {
    let pairs = Pairs::new(count, seed);
    heap_garbage(dir, &pairs, segment_bytes)?;
    let options = Options {
        segment_bytes,
        ..Options::default()
    };
    let engine = LogEngine::open(dir, options)?;
    let before = engine.stats();
    let (began, stop) = (Instant::now(), AtomicBool::new(false));
    let deadline = began + Duration::from_secs_f64(seconds);
    let (active, loaded) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch_compaction(dir, &engine, began, &stop));
        let loaded = load(&engine, &pairs, seed, threads, &|| {
            Instant::now() < deadline
        });
        stop.store(true, Ordering::Relaxed);
        (watch.join(), loaded)
    });
    let (writes, took_s) = loaded?;
    let active = active.map_err(|_| Error::Wrong("the watcher panicked".into()))?;
    let after = engine.stats();
    let segments = after.compacted_segments - before.compacted_segments;
    let bytes = after.compacted_bytes - before.compacted_bytes;
    let during: Vec<_> = writes
        .iter()
        .filter(|write| {
            let (start, end) = (write.began_s, write.began_s + write.took_s);
            active.iter().any(|&(from, to)| start <= to && end >= from)
        })
        .map(|write| write.took_s)
        .collect();
    let active_s = active.iter().fold(0.0, |sum, (from, to)| sum + to - from);
    let mut all = figures([
        ("writes_per_s", writes.len() as f64 / took_s),
        ("compacted_segments", segments as f64),
        ("compacted_bytes", bytes as f64),
        ("compacting_share", active_s / took_s),
        ("writes_counted", during.len() as f64),
    ]);
    // Without compaction there is no such figure.
    if segments > 0 && bytes > 0 && !during.is_empty() {
        all.extend(latencies(during));
    }
    Ok(all)
}

/// Fills `dir` with all pairs, then overwrites random ones several times as many, so that every segment holds both live
/// records and garbage; nothing is compacted.
fn heap_garbage(dir: &Path, pairs: &Pairs, segment_bytes: u64) -> Result<()> {
    let options = Options {
        background: false,
        segment_bytes,
        ..Options::default().with_sync(SyncPolicy::Never)
    };
    let engine = LogEngine::open(dir, options)?;
    let mut rng = SmallRng::seed_from_u64(1);
    let count = pairs.len();
    for start in (0..count * ROUNDS_BEFORE).step_by(1000) {
        let mut batch = Batch::new();
        for at in start..(start + 1000).min(count * ROUNDS_BEFORE) {
            let index = match at {
                first if first < count => first,
                _ => rng.random_range(0..count),
            };
            let (key, value) = (pairs.key(index), pairs.value(index, at / count));
            batch.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        }
        engine.write(&batch)?;
    }
    engine.sync()?;
    Ok(engine.close()?)
}

/// When compaction ran, in seconds since `began`: an output file that has no name yet, or counters that moved.
fn watch_compaction(
    dir: &Path,
    engine: &LogEngine,
    began: Instant,
    stop: &AtomicBool,
) -> Vec<(f64, f64)> {
    let mut active: Vec<(f64, f64)> = Vec::new();
    let mut looked = 0.0;
    let mut counted = engine.stats().compacted_segments;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK_EVERY);
        let count = engine.stats().compacted_segments;
        let now = began.elapsed().as_secs_f64();
        if has_unnamed_output(dir) || count != counted {
            match active.last_mut() {
                Some((_, to)) if *to == looked => *to = now,
                _ => active.push((looked, now)),
            }
        }
        (counted, looked) = (count, now);
    }
    active
}

/// Whether compaction is writing.
pub(crate) fn has_unnamed_output(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.path() == temporary_path(&entry.path())))
    })
}

/// One acknowledged write.
struct Acknowledged {
    /// Since the load began.
    began_s: f64,
    took_s: f64,
}

/// Overwrites random pairs from many threads while `going`; returns the writes and how long it took in seconds.
fn load(
    engine: &LogEngine,
    pairs: &Pairs,
    seed: u64,
    threads: usize,
    going: &(impl Fn() -> bool + Sync),
) -> Result<(Vec<Acknowledged>, f64)> {
    let began = Instant::now();
    let work = |thread: usize| -> Result<Vec<Acknowledged>> {
        let mut rng = SmallRng::seed_from_u64(seed ^ (thread as u64 + 1).wrapping_mul(0x9e37_79b9));
        let mut writes = Vec::new();
        while going() {
            let index = rng.random_range(0..pairs.len());
            let mut batch = Batch::new();
            let value = pairs.value(index, writes.len());
            batch.put(
                Bytes::copy_from_slice(pairs.key(index)),
                Bytes::copy_from_slice(value),
            );
            let start = Instant::now();
            engine.write(&batch)?;
            writes.push(Acknowledged {
                began_s: (start - began).as_secs_f64(),
                took_s: start.elapsed().as_secs_f64(),
            });
        }
        Ok(writes)
    };
    let work = &work;
    let parts = std::thread::scope(|scope| {
        let spawned: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || work(thread)))
            .collect();
        let joined = spawned.into_iter().map(|thread| {
            thread
                .join()
                .map_err(|_| Error::Wrong("a writer panicked".into()))?
        });
        joined.collect::<Result<Vec<_>>>()
    })?;
    let took_s = began.elapsed().as_secs_f64();
    Ok((parts.into_iter().flatten().collect(), took_s))
}

/// Percentiles and the longest of `seconds`.
fn latencies(mut seconds: Vec<f64>) -> Figures {
    seconds.sort_by(f64::total_cmp);
    let mut all: Figures = PERCENTILES
        .iter()
        .filter_map(|&(name, share)| Some((name.to_owned(), percentile(&seconds, share)?)))
        .collect();
    if let Some(&most) = seconds.last() {
        all.insert("max_s".into(), most);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_share_syncs_and_every_write_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        let figures = writers(dir.path(), 1, 1000, 8, 0.2).unwrap();
        assert!(figures["writes_per_s"] > 0.0);
        assert!(figures["writes_per_sync"] >= 1.0, "{figures:?}");
        assert!(figures["p50_s"] <= figures["p99_s"] && figures["p99_s"] <= figures["max_s"]);
    }

    #[test]
    fn an_output_of_compaction_is_told_from_a_segment() {
        let dir = tempfile::tempdir().unwrap();
        let segment = storage::log::segment_path(dir.path(), 7);
        std::fs::write(&segment, "").unwrap();
        assert!(!has_unnamed_output(dir.path()));
        std::fs::write(temporary_path(&segment), "").unwrap();
        assert!(has_unnamed_output(dir.path()));
    }

    #[test]
    fn without_compaction_there_is_no_latency_during_compaction() {
        let dir = tempfile::tempdir().unwrap();
        // Everything fits in the active segment, which is never compacted.
        let figures = during_compaction(dir.path(), 1, 10, 2, 0.05, 64 << 20).unwrap();
        assert_eq!(figures["compacted_segments"], 0.0);
        assert!(!figures.contains_key("p99_s"), "{figures:?}");
    }

    #[test]
    fn writes_while_compaction_runs_are_measured() {
        let dir = tempfile::tempdir().unwrap();
        // Compaction looks for work every 100 ms, and there is some from the start.
        let figures = during_compaction(dir.path(), 1, 2000, 4, 1.0, 128 << 10).unwrap();
        assert!(figures["compacted_bytes"] > 0.0, "{figures:?}");
        assert!(figures["p99_s"] > 0.0, "{figures:?}");
        assert!(figures["compacting_share"] <= 1.0, "{figures:?}");
    }
}
