//! Engine against engine: puts in batches and one by one, random reads, the course's large pairs.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::data::{Pairs, large_pairs};
use super::error::{Result, doing};
use super::job::{Figures, Job, disk_bytes, figures, memory, timed};
use super::report::{Sample, Section};
use super::stores::{Name, all_right};
use super::{Bench, Scale, in_turn};

/// Longest key and value of the course's pairs, in bytes.
const LONGEST: usize = 100_000;
/// The large pairs are quick to measure and noisy: so many times per run.
const LARGE_REPEATS: usize = 3;
/// What the course's pairs written to a plain file are called.
pub(crate) const FILE: &str = "plain file";

/// Measures everything of this section.
pub(crate) fn section(bench: &Bench, section: &mut Section) -> Result<()> {
    let Scale {
        pairs,
        batch,
        large_pairs,
        ..
    } = bench.scale;
    section.set("pairs", pairs as f64);
    section.set("batch", batch as f64);
    section.set("large_pairs", large_pairs as f64);
    for run in 0..bench.runs {
        for name in in_turn(run, &Name::ALL) {
            let mut all = Figures::new();
            let mut job = |job| -> Result<()> {
                all.extend(bench.child(run, job)?);
                Ok(())
            };
            job(Job::PutBatches {
                engine: name,
                pairs,
                batch,
            })?;
            job(Job::PutSingles {
                engine: name,
                pairs,
                buffered: false,
            })?;
            if name.has_choice_of_buffering() {
                job(Job::PutSingles {
                    engine: name,
                    pairs,
                    buffered: true,
                })?;
            }
            section.samples.push(Sample::new(run, name.text(), all));
        }
    }
    for run in 0..bench.runs * LARGE_REPEATS {
        large_section(bench, section, run, large_pairs)?;
    }
    section.note("fjall takes keys of at most 65,535 bytes and has no part in the course's pairs");
    Ok(())
}

fn large_section(bench: &Bench, section: &mut Section, run: usize, pairs: usize) -> Result<()> {
    let engines = Name::ALL.into_iter().filter(|name| name.takes_long_keys());
    let mut jobs: Vec<_> = engines
        .map(|engine| (engine.text(), Job::Large { engine, pairs }))
        .collect();
    // Right beside ours, so that both meet the same mood of the disk.
    jobs.insert(run % 2, (FILE, Job::LargeFile { pairs }));
    for (subject, job) in jobs {
        let figures = bench.child(run, job)?;
        section.samples.push(Sample::new(run, subject, figures));
    }
    Ok(())
}

/// [`Job::PutBatches`].
pub(crate) fn put_batches(
    engine: Name,
    dir: &Path,
    seed: u64,
    count: usize,
    batch: usize,
) -> Result<Figures> {
    let pairs = Pairs::new(count, seed);
    let order = pairs.shuffled(!seed);
    let before = memory("VmRSS")?;
    let mut store = engine.open(dir, false)?;
    let ((), put_s) = timed(|| {
        for start in (0..count).step_by(batch) {
            let end = count.min(start + batch);
            let mut part = (start..end).map(|index| (pairs.key(index), pairs.value(index, 0)));
            store.put_batch(&mut part)?;
        }
        store.flush()
    })?;
    let after_put = memory("VmRSS")?;
    let (right, get_s) = timed(|| {
        let lookup = store.lookup()?;
        let mut right = 0;
        for &index in &order {
            let index = index as usize;
            right += usize::from(lookup.holds(pairs.key(index), pairs.value(index, 0))?);
        }
        Ok(right)
    })?;
    all_right(engine, right, count)?;
    Ok(figures([
        ("put_batch_per_s", count as f64 / put_s),
        ("get_per_s", count as f64 / get_s),
        ("rss_after_put_bytes", after_put - before),
        ("rss_after_get_bytes", memory("VmRSS")? - before),
        ("rss_most_bytes", memory("VmHWM")? - before),
        ("disk_bytes", disk_bytes(dir)? as f64),
    ]))
}

/// [`Job::PutSingles`].
pub(crate) fn put_singles(
    engine: Name,
    dir: &Path,
    seed: u64,
    count: usize,
    buffered: bool,
) -> Result<Figures> {
    let pairs = Pairs::new(count, seed);
    let mut store = engine.open(dir, buffered)?;
    let ((), seconds) = timed(|| {
        for index in 0..count {
            store.put(pairs.key(index), pairs.value(index, 0))?;
        }
        store.flush()
    })?;
    let lookup = store.lookup()?;
    let last = count - 1;
    let right = lookup.holds(pairs.key(last), pairs.value(last, 0))?;
    all_right(engine, usize::from(right), 1)?;
    let name = match buffered {
        true => "put_buffered_per_s",
        false => "put_single_per_s",
    };
    Ok(figures([(name, count as f64 / seconds)]))
}

/// [`Job::Large`].
pub(crate) fn large(engine: Name, dir: &Path, seed: u64, count: usize) -> Result<Figures> {
    let pairs = large_pairs(count, LONGEST, seed);
    let bytes: usize = pairs
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let mut store = engine.open(dir, false)?;
    let ((), put_s) = timed(|| {
        for (key, value) in &pairs {
            store.put(key, value)?;
        }
        store.flush()
    })?;
    let lookup = store.lookup()?;
    let (right, get_s) = timed(|| {
        let mut right = 0;
        // A stride that shares no factor with the count visits all pairs, far from the order of writing.
        let stride = (0..)
            .map(|n| count / 3 + n)
            .find(|n| gcd(*n, count) == 1)
            .unwrap_or(1);
        for step in 0..count {
            let (key, value) = &pairs[step * stride % count];
            right += usize::from(lookup.holds(key, value)?);
        }
        Ok(right)
    })?;
    all_right(engine, right, count)?;
    Ok(figures([
        ("large_s", put_s),
        ("large_bytes_per_s", bytes as f64 / put_s),
        ("large_get_per_s", count as f64 / get_s),
    ]))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// [`Job::LargeFile`]: the least that storing these bytes can cost.
pub(crate) fn large_file(dir: &Path, seed: u64, count: usize) -> Result<Figures> {
    let pairs: Vec<_> = large_pairs(count, LONGEST, seed)
        .into_iter()
        .map(|(key, value)| [key, value].concat())
        .collect();
    let bytes: usize = pairs.iter().map(Vec::len).sum();
    let ((), seconds) = timed(|| {
        let mut file = File::create(dir.join("file")).map_err(doing("create a file"))?;
        for pair in &pairs {
            file.write_all(pair).map_err(doing("write a file"))?;
        }
        file.sync_data().map_err(doing("sync a file"))
    })?;
    Ok(figures([
        ("large_s", seconds),
        ("large_bytes_per_s", bytes as f64 / seconds),
    ]))
}
