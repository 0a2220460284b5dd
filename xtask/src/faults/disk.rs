//! A small disk in memory for one node, that can be filled: needs the right to mount.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Room for log and state as they are between compactions, with what both keep in reserve.
const SIZE: &str = "2g";
const FILLER: &str = "filler";

/// A mounted disk; it is unmounted with this value.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    dir: PathBuf,
}

impl SmallDisk {
    /// Mounts one on `dir`, which is created; an error says why that cannot be.
    pub(crate) fn mount(dir: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs"])
            .arg(dir)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("`mount`: {error}"))?;
        match output.status.success() {
            true => Ok(Self {
                dir: dir.to_owned(),
            }),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }

    fn filler(&self) -> PathBuf {
        self.dir.join(FILLER)
    }

    /// Takes all room that is left.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let file = File::create(self.filler())?;
        let mut length = 0;
        loop {
            let disk = statvfs(&self.dir)?;
            let room = disk.f_bavail * disk.f_frsize;
            if room == 0 {
                return Ok(());
            }
            match fallocate(&file, FallocateFlags::empty(), length, room) {
                Ok(()) => length += room,
                // Somebody else took some of it meanwhile.
                Err(rustix::io::Errno::NOSPC) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the room back.
    pub(crate) fn free(&self) -> io::Result<()> {
        match std::fs::remove_file(self.filler()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.dir).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("faults: {} stays mounted", self.dir.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_small_disk_that_is_filled_takes_nothing_until_it_is_freed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = match SmallDisk::mount(&dir.path().join("disk")) {
            Ok(disk) => disk,
            Err(why) => {
                eprintln!("SKIPPED: no disk can be mounted: {why}");
                return;
            }
        };
        disk.fill().unwrap();
        let write = || File::create(disk.dir.join("more"))?.write_all(&[1; 1 << 16]);
        assert_eq!(write().unwrap_err().kind(), io::ErrorKind::StorageFull);
        disk.free().unwrap();
        write().unwrap();
    }
}
