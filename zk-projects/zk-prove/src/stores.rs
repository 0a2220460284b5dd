//! Where a world keeps what its applications have taken from the chain: in its directory, or wherever `--store` says.
//!
//! ```text
//! DIR/NAME              an application's store, unless it was moved
//! DIR/stores.json       NAME -> where it is now, of those that were moved
//! DIR/world-id          a random number: the mark of this world in stores elsewhere
//! STORE/NAME            a store elsewhere: a directory within the one given, or a namespace within the one given
//! ```
//!
//! Another place is taken only if it is empty, or has this world's mark: a tree that is fed from two chains fits neither. What the
//! application had before is copied there first. The mark says `moving` until that is done, so that a move that was cut short is done again.
//!
//! There is one writer at a time: the directory's lock sees to that, as long as a world has one directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy_primitives::hex;
use ark_std::rand::RngCore;
use ark_std::rand::rngs::OsRng;
use storage::{Batch, Direction, Engine, KeyRange, Location};

use crate::failure::Failure;
use crate::paths;

const PLACES: &str = "stores.json";
const ID: &str = "world-id";
/// Apart from every application's keys.
const MARK: &[u8] = b"zk-prove/world";
const MOVING: &[u8] = b"moving ";
/// What is copied with one batch: within the limits of every engine.
const COPY_PAIRS: usize = 1000;
const COPY_BYTES: usize = 1 << 20;

/// The stores of a world.
pub(crate) struct Stores {
    directory: PathBuf,
    wanted: Option<Location>,
}

impl Stores {
    /// Of the world in `directory`; `wanted` is what the user said.
    pub(crate) fn new(directory: &Path, wanted: Option<Location>) -> Self {
        Self {
            directory: directory.to_owned(),
            wanted,
        }
    }

    /// The store of an application, moved first if it is elsewhere than the user wants it.
    pub(crate) fn open(&self, name: &str) -> Result<Box<dyn Engine>, Failure> {
        let own = Location::Directory(self.directory.join(name));
        let mut places = self.places()?;
        let recorded = places.get(name).map(|text| text.parse()).transpose();
        let recorded = recorded.map_err(|_| Failure::Stores(self.directory.join(PLACES)))?;
        let current = recorded.clone().unwrap_or_else(|| own.clone());
        let wanted = match &self.wanted {
            Some(store) => store.join(name)?,
            None => current.clone(),
        };
        if wanted == current {
            let engine = wanted.open()?;
            let is_ours = match recorded {
                None => true,
                Some(_) => engine.get(MARK)?.as_deref() == Some(self.id()?.as_bytes()),
            };
            return match is_ours {
                true => Ok(engine),
                false => Err(self.taken(wanted, current)),
            };
        }
        let engine = self.copy(&current, wanted.clone())?;
        places.insert(name.to_owned(), wanted.to_string());
        let text = serde_json::to_vec_pretty(&places).expect("names and addresses are texts");
        paths::write(&self.directory.join(PLACES), &text)?;
        Ok(engine)
    }

    fn places(&self) -> Result<BTreeMap<String, String>, Failure> {
        let path = self.directory.join(PLACES);
        match path.exists() {
            true => serde_json::from_slice(&paths::read(&path)?).map_err(|_| Failure::Stores(path)),
            false => Ok(BTreeMap::new()),
        }
    }

    /// The world's number, made when it is first asked for.
    fn id(&self) -> Result<String, Failure> {
        let path = self.directory.join(ID);
        if !path.exists() {
            let mut bytes = [0; 16];
            OsRng.fill_bytes(&mut bytes);
            paths::write(&path, hex::encode(bytes).as_bytes())?;
        }
        let text = String::from_utf8(paths::read(&path)?);
        text.map_err(|_| Failure::NotText(path))
    }

    fn taken(&self, store: Location, current: Location) -> Failure {
        Failure::StoreTaken {
            store,
            current,
            directory: self.directory.clone(),
        }
    }

    /// Copies what is in `current` to `wanted`, and marks that as this world's.
    fn copy(&self, current: &Location, wanted: Location) -> Result<Box<dyn Engine>, Failure> {
        let id = self.id()?;
        let moving = [MOVING, id.as_bytes()].concat();
        let (target, found) = wanted.open_marked(MARK, &moving)?;
        if found.is_none_or(|found| found != moving) {
            return Err(self.taken(wanted, current.clone()));
        }
        let is_made = match current {
            Location::Directory(path) => path.exists(),
            Location::Cluster(_) => true,
        };
        if is_made {
            let source = current.open()?;
            let mut batch = Batch::new();
            let mut bytes = 0;
            for pair in source.scan(&KeyRange::all(), Direction::Forward) {
                let (key, value) = pair?;
                if key == MARK {
                    continue;
                }
                bytes += key.len() + value.len();
                batch.put(key, value);
                if batch.len() >= COPY_PAIRS || bytes >= COPY_BYTES {
                    target.write(&batch)?;
                    batch.clear();
                    bytes = 0;
                }
            }
            target.write(&batch)?;
        }
        target.put(MARK, id.as_bytes())?;
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &Path) -> Option<Location> {
        Some(Location::Directory(path.to_owned()))
    }

    #[test]
    fn a_store_is_moved_with_what_it_holds_and_found_there_afterwards() {
        let (world, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let opened = |wanted| Stores::new(world.path(), wanted).open("app");
        let engine = opened(None).unwrap();
        let mut batch = Batch::new();
        for number in 0..2500_u32 {
            batch.put(number.to_be_bytes().to_vec(), "before");
        }
        engine.write(&batch).unwrap();
        drop(engine);
        let engine = opened(at(elsewhere.path())).unwrap();
        assert_eq!(
            engine.scan(&KeyRange::all(), Direction::Forward).count(),
            2501
        );
        engine.put(b"later", b"there").unwrap();
        drop(engine);
        for wanted in [None, at(elsewhere.path())] {
            let engine = opened(wanted).unwrap();
            assert_eq!(&engine.get(b"later").unwrap().unwrap()[..], b"there");
        }
        let back = opened(at(world.path())).err().unwrap().to_string();
        assert!(
            back.contains("has data of its own"),
            "an older copy: {back}"
        );
    }

    #[test]
    fn a_move_that_was_cut_short_is_done_again() {
        let (world, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let stores = Stores::new(world.path(), at(elsewhere.path()));
        let moving = [MOVING, stores.id().unwrap().as_bytes()].concat();
        let there = Location::Directory(elsewhere.path().join("app"));
        let engine = there.open().unwrap();
        engine.put(MARK, &moving).unwrap();
        engine.put(b"a", b"half").unwrap();
        drop(engine);
        let before = Stores::new(world.path(), None).open("app").unwrap();
        before.put(b"a", b"whole").unwrap();
        drop(before);
        let engine = stores.open("app").unwrap();
        assert_eq!(&engine.get(b"a").unwrap().unwrap()[..], b"whole");
    }

    #[test]
    fn the_store_of_another_world_is_refused_and_left_alone() {
        let worlds = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let elsewhere = tempfile::tempdir().unwrap();
        let open = |world: usize, wanted| Stores::new(worlds[world].path(), wanted).open("app");
        open(0, at(elsewhere.path()))
            .unwrap()
            .put(b"a", b"1")
            .unwrap();
        for _ in 0..2 {
            let error = open(1, at(elsewhere.path())).err().unwrap();
            assert!(matches!(error, Failure::StoreTaken { .. }), "{error}");
        }
        open(1, None).unwrap().put(b"b", b"2").unwrap();
        // Without a mark too, as a world's own directory is.
        let error = open(0, at(worlds[1].path())).err().unwrap();
        assert!(matches!(error, Failure::StoreTaken { .. }), "{error}");
        let kept = open(0, None).unwrap();
        assert_eq!(kept.scan(&KeyRange::all(), Direction::Forward).count(), 2);
    }
}
