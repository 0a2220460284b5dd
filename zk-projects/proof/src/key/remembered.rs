//! Which keys' points are known to be in the subgroup.
//!
//! Checking a point of G2 costs as much as many multiplications, and a key has one for each wire; but the same file gives the same
//! answer each time. So the answer is kept under the file's digest, in a folder of the user: an empty file for each key that passed.
//!
//! It is not kept beside the key: whoever hands out a broken key would hand out the answer with it. Whoever can write into the
//! user's folder can forge answers, and could as well replace the program.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use crate::digest::Digest;

/// Digests of keys whose points were checked.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    folder: Option<PathBuf>,
}

impl Remembered {
    /// Remembers nothing: each load checks again.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Remembers in a folder, which is made when it is needed, for its owner only.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self {
            folder: Some(folder),
        }
    }

    /// Whether the file with this digest was checked before.
    #[must_use]
    pub fn holds(&self, file: &Digest) -> bool {
        self.entry(file).is_some_and(|path| path.is_file())
    }

    /// Remembers that the file with this digest was checked. That this fails costs time and nothing else, so it is not reported.
    pub fn add(&self, file: &Digest) {
        let (Some(folder), Some(path)) = (&self.folder, self.entry(file)) else {
            return;
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        let _remembered = made.and_then(|()| File::create(path));
    }

    fn entry(&self, file: &Digest) -> Option<PathBuf> {
        self.folder
            .as_ref()
            .map(|folder| folder.join(file.to_string()))
    }
}
