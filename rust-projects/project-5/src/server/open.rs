//! Opens the engine that the configuration or the data directory asks for.

use std::path::Path;
use std::sync::Arc;

use storage::file::RealFs;
use storage::kvs::{self, LogEngine, Recovery};
use storage::{
    Durability, EngineKind, Error, FjallEngine, Identity, MemoryEngine, Result, SledEngine,
    SyncPolicy,
};

/// An open engine, and what it tells about itself for INFO.
pub(crate) struct OpenEngine {
    pub(crate) engine: Arc<dyn Durability>,
    pub(crate) stats: Box<dyn Fn() -> Vec<(&'static str, String)> + Send + Sync>,
}

/// Opens `engine` in `dir`, or the engine whose data is there, or kvs.
pub(crate) fn open(
    engine: Option<EngineKind>,
    dir: &Path,
    policy: SyncPolicy,
) -> Result<OpenEngine> {
    match Identity::choose(&RealFs, dir, engine)? {
        EngineKind::Kvs => {
            let engine = LogEngine::open(dir, kvs::Options::default().with_sync(policy))?;
            report(engine.recovery());
            let stats = engine.clone();
            Ok(OpenEngine {
                engine: Arc::new(engine),
                stats: Box::new(move || figures(&stats.stats())),
            })
        }
        EngineKind::Sled => without_stats(SledEngine::open(dir, policy)?),
        EngineKind::Fjall => without_stats(FjallEngine::open(dir, policy)?),
        EngineKind::Memory => without_stats(MemoryEngine::new()),
        engine @ EngineKind::Tikv => Err(Error::NoDirectory { engine }),
    }
}

fn without_stats(engine: impl Durability) -> Result<OpenEngine> {
    Ok(OpenEngine {
        engine: Arc::new(engine),
        stats: Box::new(Vec::new),
    })
}

fn report(recovery: &Recovery) {
    tracing::debug!(
        hinted = recovery.hinted,
        scanned = recovery.scanned,
        took_ms = recovery.took.as_millis(),
        "opened"
    );
    if let Some(cut) = &recovery.cut {
        tracing::warn!(
            file = %cut.path.display(),
            offset = cut.offset,
            bytes = cut.bytes,
            found = cut.what,
            "cut off the unfinished, never acknowledged end of the log"
        );
    }
}

/// The figures of the log engine under the names INFO has for them.
fn figures(stats: &kvs::Stats) -> Vec<(&'static str, String)> {
    let numbers = [
        ("syncs_total", stats.syncs),
        ("batches_total", stats.batches),
        ("stored_keys", stats.keys),
        ("segments", stats.segments as u64),
        ("disk_bytes", stats.disk_bytes),
        ("live_bytes", stats.live_bytes),
        ("snapshots", stats.snapshots as u64),
        ("pinned_bytes", stats.pinned_bytes),
        ("compacted_segments", stats.compacted_segments),
        ("compacted_bytes", stats.compacted_bytes),
        ("reserve_held", u64::from(stats.reserve_held)),
    ];
    let numbers = numbers.map(|(name, n)| (name, n.to_string()));
    // Compaction that cannot work goes on trying, and the disk fills meanwhile.
    let failing = stats.maintenance_error.as_ref();
    let failing = failing.map(|error| ("maintenance_error", error.replace(['\r', '\n'], " ")));
    numbers.into_iter().chain(failing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_says_why_compaction_does_not_work_and_nothing_when_it_does() {
        let names = |stats: &kvs::Stats| -> Vec<_> {
            let figures = figures(stats);
            figures
                .into_iter()
                .filter(|(name, _)| *name == "maintenance_error")
                .collect()
        };
        assert_eq!(names(&kvs::Stats::default()), []);
        let failing = kvs::Stats {
            maintenance_error: Some("segment 3\r\nis damaged".into()),
            ..kvs::Stats::default()
        };
        let expected = ("maintenance_error", "segment 3  is damaged".to_owned());
        assert_eq!(names(&failing), [expected]);
    }
}
