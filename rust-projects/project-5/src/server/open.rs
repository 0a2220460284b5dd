//! Opens the engine that the configuration or the data directory asks for.

use std::path::Path;
use std::sync::Arc;

use storage::file::RealFs;
use storage::kvs::{self, LogEngine, Recovery};
use storage::{
    Durability, EngineKind, FjallEngine, Identity, MemoryEngine, Result, SledEngine, SyncPolicy,
};

/// An open engine, and what it tells about itself for INFO.
pub(crate) struct OpenEngine {
    pub(crate) engine: Arc<dyn Durability>,
    pub(crate) stats: Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>,
}

/// Opens `engine` in `dir`, or the engine whose data is there, or kvs.
pub(crate) fn open(
    engine: Option<EngineKind>,
    dir: &Path,
    policy: SyncPolicy,
) -> Result<OpenEngine> {
    let kind = match engine {
        Some(kind) => kind,
        None => Identity::read(&RealFs, dir)?.map_or(EngineKind::Kvs, |found| found.engine),
    };
    match kind {
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
fn figures(stats: &kvs::Stats) -> Vec<(&'static str, u64)> {
    vec![
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
    ]
}
