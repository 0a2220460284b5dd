//! An engine under test.

use std::path::Path;

use storage::{Engine, EngineKind, Result, SyncPolicy};

/// How tests open an engine.
pub(crate) trait Subject {
    /// The engine.
    type Engine: Engine;

    /// Its kind.
    const KIND: EngineKind;

    /// Opens the data directory `dir`, or makes one.
    fn open(dir: &Path, policy: SyncPolicy) -> Result<Self::Engine>;

    /// Whether data survives dropping the engine.
    const KEEPS_DATA: bool = true;
}
