//! The state machine's engines in a node's data directory: one in use, and beside it those that snapshots are received into.
//!
//! ```text
//!   state          the first one, in use while there is no file STATE
//!   state-1 ...    others
//!   STATE          one line: the name of the one in use. Written anew in one durable step, which is the switch
//! ```
//!
//! What is not in use is emptied when nobody needs it any more, or by the next start.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use replica::{Staging, StateEngine};
use storage::file::FileSystem;
use storage::kvs::{LogEngine, Options};

/// See the module's page.
#[derive(Debug, Clone)]
pub(crate) struct States(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    options: Options,
    places: Mutex<Places>,
}

#[derive(Debug)]
struct Places {
    /// The engine in use, and its number.
    live: (u32, LogEngine),
    /// Numbers whose directories hold something: the one in use, those being filled, those being emptied.
    taken: BTreeSet<u32>,
}

/// Why the state cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file `STATE` does not say where it is.
    #[error("{} does not name a directory of the state machine", .0.display())]
    NoName(PathBuf),
    /// The engine or a file failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

fn name(number: u32) -> String {
    match number {
        0 => "state".to_owned(),
        number => format!("state-{number}"),
    }
}

fn pointer(dir: &Path) -> PathBuf {
    dir.join("STATE")
}

fn in_use(files: &dyn FileSystem, dir: &Path) -> Result<u32, StateError> {
    let path = pointer(dir);
    if !files.exists(&path)? {
        return Ok(0);
    }
    let text = files.read(&path)?;
    let text = String::from_utf8_lossy(&text);
    let number = match text.trim_end() {
        "state" => Some(0),
        text => text
            .strip_prefix("state-")
            .and_then(|number| number.parse().ok()),
    };
    number.ok_or(StateError::NoName(path))
}

/// Removes all files, durably: what is begun there next finds nothing, also after a crash.
fn empty(files: &dyn FileSystem, dir: &Path) -> storage::Result<()> {
    if !files.exists(dir)? {
        return Ok(());
    }
    for path in files.list(dir)? {
        files.remove(&path)?;
    }
    files.sync_dir(dir)
}

impl States {
    /// Opens the state in use, a new one if there is none, and empties what a crash has left of others. `options` are those of all its engines.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn open(dir: &Path, options: Options) -> Result<Self, StateError> {
        let files = Arc::clone(&options.files);
        let number = in_use(&*files, dir)?;
        let engine = LogEngine::open(&dir.join(name(number)), options.clone())?;
        for other in 0.. {
            let path = dir.join(name(other));
            if !files.exists(&path)? && other > number {
                break;
            }
            if other != number {
                empty(&*files, &path)?;
            }
        }
        let places = Places {
            live: (number, engine),
            taken: [number].into(),
        };
        Ok(Self(Arc::new(Inner {
            dir: dir.to_owned(),
            options,
            places: Mutex::new(places),
        })))
    }

    /// The one in use.
    pub(crate) fn engine(&self) -> Arc<dyn StateEngine> {
        Arc::new(self.0.places().live.1.clone())
    }

    /// An empty one beside it.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn stage(&self) -> storage::Result<Box<dyn Staging>> {
        let inner = Arc::clone(&self.0);
        let number = inner.take_number();
        let opened = empty(&*inner.options.files, &inner.path(number))
            .and_then(|()| LogEngine::open(&inner.path(number), inner.options.clone()));
        let engine = opened.inspect_err(|_| inner.release(number))?;
        Ok(Box::new(Beside {
            inner,
            number,
            shared: Arc::new(engine.clone()),
            engine: Some(engine),
        }))
    }
}

impl Inner {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, number: u32) -> PathBuf {
        self.dir.join(name(number))
    }

    fn take_number(&self) -> u32 {
        let taken = &mut self.places().taken;
        let free = (0..).find(|number| !taken.contains(number));
        let free = free.expect("directories do not run out");
        taken.insert(free);
        free
    }

    fn release(&self, number: u32) {
        self.places().taken.remove(&number);
    }

    /// Closes an engine that is not in use, and empties its directory. That takes a while, and whoever is through with it does not wait.
    fn put_away(self: Arc<Self>, number: u32, engine: LogEngine) {
        let is_background = self.options.background;
        let work = move || {
            // Of what it holds nothing is wanted any more.
            let _ = engine.close();
            if let Err(error) = empty(&*self.options.files, &self.path(number)) {
                let dir = self.path(number);
                tracing::warn!(dir = %dir.display(), %error, "a state that is not in use could not be removed");
            }
            self.release(number);
        };
        match is_background {
            true => drop(std::thread::spawn(work)),
            false => work(),
        }
    }
}

/// An engine that is filled beside the one in use.
struct Beside {
    inner: Arc<Inner>,
    number: u32,
    shared: Arc<dyn StateEngine>,
    /// Gone once it was switched to.
    engine: Option<LogEngine>,
}

impl Staging for Beside {
    fn engine(&self) -> &Arc<dyn StateEngine> {
        &self.shared
    }

    fn switch(mut self: Box<Self>) -> storage::Result<Arc<dyn StateEngine>> {
        let engine = self.engine.take();
        let inner = Arc::clone(&self.inner);
        let text = format!("{}\n", name(self.number));
        // If this fails, a restart may find either: nothing is removed.
        inner
            .options
            .files
            .write_durably(&pointer(&inner.dir), text.as_bytes())?;
        if let Some(engine) = engine {
            let former = std::mem::replace(&mut inner.places().live, (self.number, engine));
            inner.put_away(former.0, former.1);
        }
        Ok(Arc::clone(&self.shared))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            Arc::clone(&self.inner).put_away(self.number, engine);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers
mod tests {
    use storage::file::fault::{CrashMode, FaultFs};
    use storage::{Batch, Direction, KeyRange, Reader};

    use super::*;

    const DIR: &str = "/node";

    fn open(files: &FaultFs) -> Result<States, StateError> {
        let options = Options {
            sync: storage::SyncPolicy::Never,
            background: false,
            files: Arc::new(files.clone()),
            ..Options::small()
        };
        files.create_dir_all(Path::new(DIR))?;
        States::open(Path::new(DIR), options)
    }

    fn fill(engine: &dyn StateEngine, text: &'static str) -> storage::Result<()> {
        for key in 0..10_u8 {
            let mut batch = Batch::new();
            batch.put(vec![key], text);
            engine.submit(&batch)?;
        }
        engine.sync().map(drop)
    }

    /// The one value of all keys: nothing is mixed.
    fn found(reader: &dyn Reader) -> Option<String> {
        let pairs = reader.scan(&KeyRange::all(), Direction::Forward);
        let mut values: Vec<_> = pairs.map(|pair| pair.unwrap().1).collect();
        assert!(values.is_empty() || values.len() == 10);
        values.dedup();
        assert!(values.len() <= 1, "{values:?}");
        let value = values.pop()?;
        Some(String::from_utf8(value.to_vec()).unwrap())
    }

    fn files_in(files: &FaultFs, number: u32) -> usize {
        let dir = Path::new(DIR).join(name(number));
        files.list(&dir).map_or(0, |list| list.len())
    }

    #[test]
    fn the_state_that_was_switched_to_is_found_again_and_the_former_one_goes_while_its_views_stay()
    {
        let files = FaultFs::new();
        let states = open(&files).unwrap();
        fill(&*states.engine(), "old").unwrap();
        let view = states.engine().snapshot().unwrap();
        for (number, text) in [(1, "new"), (0, "newer"), (1, "newest")] {
            let staging = states.stage().unwrap();
            fill(&**staging.engine(), text).unwrap();
            let engine = staging.switch().unwrap();
            assert_eq!(found(&*engine).as_deref(), Some(text));
            assert_eq!(found(&*states.engine()).as_deref(), Some(text));
            assert_eq!(states.0.places().live.0, number);
            assert_eq!(files_in(&files, 1 - number), 0);
        }
        assert_eq!(found(&*view).as_deref(), Some("old"));
        drop(states);
        let states = open(&files.crash(CrashMode::LoseAll)).unwrap();
        assert_eq!(found(&*states.engine()).as_deref(), Some("newest"));
    }

    #[test]
    fn a_state_that_is_not_switched_to_leaves_nothing_behind() {
        let files = FaultFs::new();
        let states = open(&files).unwrap();
        fill(&*states.engine(), "old").unwrap();
        let first = states.stage().unwrap();
        let second = states.stage().unwrap();
        fill(&**first.engine(), "new").unwrap();
        fill(&**second.engine(), "newer").unwrap();
        drop((first, second));
        assert_eq!((files_in(&files, 1), files_in(&files, 2)), (0, 0));
        assert_eq!(found(&*states.engine()).as_deref(), Some("old"));
        assert_eq!(states.0.places().taken, [0].into());
    }

    /// Two states are received one after the other; each step may be the last.
    fn two_switches(files: &FaultFs) -> Result<(), StateError> {
        let states = open(files)?;
        for text in ["new", "newer"] {
            let staging = states.stage()?;
            fill(&**staging.engine(), text)?;
            staging.switch()?;
        }
        Ok(())
    }

    #[test]
    fn power_lost_at_any_operation_leaves_one_state_whole_and_nothing_of_the_others() {
        let start = FaultFs::new();
        fill(&*open(&start).unwrap().engine(), "old").unwrap();
        let rehearsal = start.fork();
        let before = rehearsal.operations();
        two_switches(&rehearsal).unwrap();
        let operations = rehearsal.operations() - before;
        let mut seen = BTreeSet::new();
        for operation in 1..=operations {
            let modes = [
                CrashMode::LoseAll,
                CrashMode::KeepAll,
                CrashMode::Random(operation),
            ];
            for mode in modes {
                let files = start.fork();
                files.crash_at(files.operations() + operation);
                // It fails where the power does, or behind what counts.
                let _ = two_switches(&files);
                let files = files.crash(mode);
                let states = open(&files).unwrap();
                let text = found(&*states.engine()).expect("a state is there");
                let live = states.0.places().live.0;
                assert!((0..3).all(|other| other == live || files_in(&files, other) == 0));
                // And it goes on from there.
                drop(states);
                two_switches(&files).unwrap();
                seen.insert(text);
            }
        }
        let all = ["old", "new", "newer"].map(str::to_owned);
        assert_eq!(seen, all.into());
    }

    #[test]
    fn a_file_that_names_no_state_is_not_taken_for_an_empty_one() {
        let files = FaultFs::new();
        drop(open(&files).unwrap());
        let path = pointer(Path::new(DIR));
        files.write_durably(&path, b"elsewhere\n").unwrap();
        assert!(matches!(open(&files), Err(StateError::NoName(at)) if at == path));
    }
}
