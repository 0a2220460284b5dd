//! Opening after a clean close and after a crash, memory per key, and disk space after overwriting everything.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use storage::kvs::{LogEngine, Options};
use storage::{Batch, Durability, Engine, SyncPolicy};

use super::data::{KEY_BYTES, Pairs, VALUE_BYTES};
use super::error::{Error, Result};
use super::job::{self, Figures, Job, disk_bytes, figures, memory, timed, wait_until};
use super::report::{Sample, Section};
use super::stores::open_kvs;
use super::writers::has_unnamed_output;
use super::{Bench, Scale};

/// Pairs per batch.
const BATCH: usize = 1000;

/// Names of what this section measures.
pub(crate) const CLEAN: &str = "after a clean close";
pub(crate) const CRASH: &str = "after a crash";
pub(crate) const OVERWRITE: &str = "overwriting";

/// Measures everything of this section.
pub(crate) fn section(bench: &Bench, section: &mut Section) -> Result<()> {
    let Scale { pairs, rounds, .. } = bench.scale;
    section.set("pairs", pairs as f64);
    section.set("rounds", rounds as f64);
    let segment = Options::default().segment_bytes;
    section.set("segment_bytes", segment as f64);
    for run in 0..bench.runs {
        let empty = bench.child(run, Job::Open { pairs: 0 })?["rss_bytes"];
        for (subject, crash) in [(CLEAN, false), (CRASH, true)] {
            let dir = bench.temporary()?;
            let fill = bench.order(run, Job::Fill { pairs, crash }, dir.path());
            if crash {
                job::crash(&fill)?;
            } else {
                job::measure(&fill)?;
            }
            let mut all = job::measure(&bench.order(run, Job::Open { pairs }, dir.path()))?;
            let per_key = (all["rss_bytes"] - empty) / pairs as f64 - KEY_BYTES as f64;
            all.insert("bytes_per_key".into(), per_key);
            section.samples.push(Sample::new(run, subject, all));
        }
        let all = bench.child(run, Job::Overwrite { pairs, rounds })?;
        section.samples.push(Sample::new(run, OVERWRITE, all));
    }
    Ok(())
}

fn put_all(
    engine: &LogEngine,
    pairs: &Pairs,
    round: usize,
    mut after: impl FnMut() -> Result<()>,
) -> Result<()> {
    for part in pairs.shuffled(round as u64).chunks(BATCH) {
        let mut batch = Batch::new();
        for &index in part {
            let index = index as usize;
            let (key, value) = (pairs.key(index), pairs.value(index, round));
            batch.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        }
        engine.write(&batch)?;
        after()?;
    }
    Ok(())
}

/// [`Job::Fill`]; `written` is called after the last write and before the close.
pub(crate) fn fill(dir: &Path, seed: u64, count: usize, written: impl FnOnce()) -> Result<Figures> {
    let pairs = Pairs::new(count, seed);
    let engine = open_kvs(dir, SyncPolicy::Never)?;
    put_all(&engine, &pairs, 0, || Ok(()))?;
    written();
    engine.close()?;
    Ok(Figures::new())
}

/// [`Job::Open`]: `count` keys must be there.
pub(crate) fn open(dir: &Path, count: usize) -> Result<Figures> {
    let (engine, open_s) = timed(|| open_kvs(dir, SyncPolicy::Always))?;
    let rss = memory("VmRSS")?;
    let most = memory("VmHWM")?;
    let keys = engine.stats().keys;
    if keys != count as u64 {
        return Err(Error::Wrong(format!("{keys} of {count} keys are there")));
    }
    let recovery = engine.recovery();
    Ok(figures([
        ("open_s", open_s),
        ("rss_bytes", rss),
        ("rss_most_bytes", most),
        ("segments_hinted", recovery.hinted as f64),
        ("segments_scanned", recovery.scanned as f64),
    ]))
}

/// [`Job::Overwrite`].
pub(crate) fn overwrite(dir: &Path, seed: u64, count: usize, rounds: usize) -> Result<Figures> {
    let pairs = Pairs::new(count, seed);
    let engine = open_kvs(dir, SyncPolicy::Never)?;
    let mut most = 0;
    let mut batches = 0_usize;
    for round in 0..=rounds {
        put_all(&engine, &pairs, round, || {
            batches += 1;
            if batches.is_multiple_of(20) {
                most = most.max(disk_bytes(dir)?);
            }
            Ok(())
        })?;
    }
    engine.sync()?;
    let end = disk_bytes(dir)?;
    // Settled: for a second compaction has moved nothing, and it is not about to.
    let mut moved = engine.stats().compacted_segments;
    let settled = wait_until(Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_secs(1));
        let now = engine.stats().compacted_segments;
        std::mem::replace(&mut moved, now) == now && !has_unnamed_output(dir)
    });
    if !settled {
        return Err(Error::Wrong("compaction did not come to rest".into()));
    }
    Ok(figures([
        ("live_bytes", (count * (KEY_BYTES + VALUE_BYTES)) as f64),
        ("most_bytes", most.max(end) as f64),
        ("end_bytes", end as f64),
        ("settled_bytes", disk_bytes(dir)? as f64),
        ("compacted_segments", moved as f64),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_is_found_on_opening_and_a_missing_key_fails() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 1, 2500, || ()).unwrap();
        let figures = open(dir.path(), 2500).unwrap();
        assert!(figures["open_s"] > 0.0);
        assert!(open(dir.path(), 2501).is_err());
    }
}
