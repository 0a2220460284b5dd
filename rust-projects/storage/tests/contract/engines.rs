//! The engines under test. To add one: a type that implements [`Subject`] here, a line in `main.rs` that names the
//! capabilities it claims, and a line at the end of `../model.rs`.

use std::path::Path;

use storage::kvs::{LogEngine, Options};
use storage::{EngineKind, FjallEngine, MemoryEngine, Result, SledEngine, SyncPolicy};

use crate::Subject;

/// [`MemoryEngine`].
pub(crate) struct Memory;

impl Subject for Memory {
    type Engine = MemoryEngine;

    const KIND: EngineKind = EngineKind::Memory;

    const KEEPS_DATA: bool = false;

    fn open(_dir: &Path, _policy: SyncPolicy) -> Result<Self::Engine> {
        Ok(MemoryEngine::new())
    }
}

/// [`SledEngine`].
pub(crate) struct Sled;

impl Subject for Sled {
    type Engine = SledEngine;

    const KIND: EngineKind = EngineKind::Sled;

    fn open(dir: &Path, policy: SyncPolicy) -> Result<Self::Engine> {
        SledEngine::open(dir, policy)
    }
}

/// [`FjallEngine`].
pub(crate) struct Fjall;

impl Subject for Fjall {
    type Engine = FjallEngine;

    const KIND: EngineKind = EngineKind::Fjall;

    fn open(dir: &Path, policy: SyncPolicy) -> Result<Self::Engine> {
        FjallEngine::open(dir, policy)
    }
}

/// [`LogEngine`] as it comes.
pub(crate) struct Kvs;

impl Subject for Kvs {
    type Engine = LogEngine;

    const KIND: EngineKind = EngineKind::Kvs;

    fn open(dir: &Path, policy: SyncPolicy) -> Result<Self::Engine> {
        LogEngine::open(dir, Options::default().with_sync(policy))
    }
}

/// [`LogEngine`] with segments so small that everything is sealed and compacted all the time.
pub(crate) struct KvsSmall;

impl Subject for KvsSmall {
    type Engine = LogEngine;

    const KIND: EngineKind = EngineKind::Kvs;

    fn open(dir: &Path, policy: SyncPolicy) -> Result<Self::Engine> {
        let options = Options {
            segment_bytes: 4 << 10,
            garbage_percent: 10,
            ..Options::small()
        };
        LogEngine::open(dir, options.with_sync(policy))
    }
}
