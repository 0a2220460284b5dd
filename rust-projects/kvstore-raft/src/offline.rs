//! What is done to a data directory while no node runs on it: a new cluster from a backup, and going on without a majority.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft::{Configuration, Entry, HardState, Index, LogId, NodeId, Payload, Write};
use raft_log::RaftLog;
use replica::{Restore, Settings};
use storage::file::{FileSystem, RealFs};

use crate::identity::Identity;
use crate::node::GROUP;
use crate::run::{self, RunError};
use crate::secret::{Token, random};
use crate::settle::keep_token;

/// Size of the files that are begun here; the node's own may be others.
const SEGMENT_BYTES: u64 = 1 << 20;
/// Bytes of a backup read at once.
const PIECE_BYTES: usize = 1 << 20;

/// Makes `dir`, which must not exist or be empty, the data directory of node `node`, the only founder of a new cluster `name` that begins with the
/// state that `backup` holds, behind its first line. It gets its name once it is complete.
///
/// # Errors
/// [`RunError::NotEmpty`]; `backup` cannot be read, is not complete or of another version; the engine's and the log's.
pub fn restore(
    dir: &Path,
    node: NodeId,
    name: &str,
    backup: &mut dyn Read,
) -> Result<LogId, RunError> {
    let write_error = |path: &Path| {
        let path = path.to_owned();
        move |source| RunError::Write { path, source }
    };
    let dir = std::path::absolute(dir).map_err(write_error(dir))?;
    let partial = dir.with_extension("partial");
    for path in [&dir, &partial] {
        if !is_absent_or_empty(path).map_err(write_error(path))? {
            return Err(RunError::NotEmpty(path.clone()));
        }
    }
    let last = fill(&partial, node, name, backup).inspect_err(|_| {
        // Only what this call made. The error that is there says more.
        let _ = fs::remove_dir_all(&partial);
    })?;
    // An empty directory is replaced.
    fs::rename(&partial, &dir).map_err(write_error(&dir))?;
    RealFs.sync_dir(dir.parent().unwrap_or(Path::new("/")))?;
    Ok(last)
}

fn fill(
    partial: &Path,
    node: NodeId,
    name: &str,
    backup: &mut dyn Read,
) -> Result<LogId, RunError> {
    RealFs.create_dir_all(partial)?;
    let engine = run::open_states(partial, SEGMENT_BYTES)?.engine();
    let mut filling = Restore::new(&*engine);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match backup.read(&mut piece).map_err(RunError::Backup)? {
            0 => break,
            len => filling.take(&piece[..len])?,
        }
    }
    let base = filling.finish(node)?;
    drop(engine);
    let last = base.last;
    let write = Write {
        hard_state: Some(HardState {
            term: last.term,
            voted_for: None,
        }),
        snapshot: Some(base),
        ..Write::default()
    };
    let options = raft_log::Options {
        segment_bytes: SEGMENT_BYTES,
        ..raft_log::Options::default()
    };
    let (mut log, _) = RaftLog::open(Arc::new(RealFs), &run::log_dir(partial), options)?;
    log.append(&[(GROUP, write)])?;
    log.close()?;
    let mut identity = Identity::new(name, node)?;
    identity.founders = [(node, identity.incarnation)].into();
    identity.cluster = Some(identity.incarnation);
    keep_token(partial, &Token::of(identity.share))?;
    identity.write(partial)?;
    Ok(last)
}

fn is_absent_or_empty(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// What [`recover`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forced {
    /// The only voter now.
    pub node: NodeId,
    /// Who were the members.
    pub members: Vec<NodeId>,
    /// The last entry that this node holds: what was acknowledged behind it is lost.
    pub last: Index,
}

/// Makes the node whose data directory this is the only voter of a cluster of its own, with all that its log holds: for the case that a majority is
/// lost for good. It has to be stopped. The cluster gets another id, so that nodes of the lost majority that come back are strangers.
///
/// # Errors
/// [`RunError::NoNode`]; the log is damaged; the engine's and the log's.
pub fn recover(dir: &Path) -> Result<Forced, RunError> {
    let identity = Identity::read(dir)?.filter(|identity| identity.cluster.is_some());
    let identity = identity.ok_or_else(|| RunError::NoNode(dir.to_owned()))?;
    let _lock = RealFs.lock_dir(dir)?;
    let node = identity.node;
    let engine = run::open_states(dir, SEGMENT_BYTES)?.engine();
    let settings = Settings::new(node);
    let (replica, mut log) =
        run::open(dir, &identity, settings, SEGMENT_BYTES, Arc::clone(&engine))?;
    let core = replica.core();
    let members = core.configuration().1.members().collect();
    let last = core.last();
    let term = core.hard_state().term.max(last.term) + 1;
    let alone = Entry {
        id: LogId::new(term, last.index + 1),
        payload: Payload::Configuration(Configuration::of_voters([node])),
    };
    let write = Write {
        hard_state: Some(HardState {
            term,
            voted_for: Some(node),
        }),
        entries: vec![alone],
        ..Write::default()
    };
    log.append(&[(GROUP, write)])?;
    log.close()?;
    engine.sync()?;
    let identity = Identity {
        founders: [(node, identity.incarnation)].into(),
        places: Default::default(),
        cluster: Some(random().map_err(RunError::Random)?),
        ..identity
    };
    identity.write(dir)?;
    Ok(Forced {
        node,
        members,
        last: last.index,
    })
}

/// The token file of a data directory.
#[must_use]
pub fn token_file(dir: &Path) -> PathBuf {
    dir.join("TOKEN")
}
