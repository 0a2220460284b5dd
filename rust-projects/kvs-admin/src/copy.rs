//! Backup and restore: a copy that gets its name once it is complete, durable and verified.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use storage::file::{FileSystem, RealFs};
use storage::kvs;
use storage::{EngineKind, Identity};

use crate::failure::Failure;
use crate::progress::Line;
use crate::report::Copied;
use crate::run::require_data;

const CHUNK: usize = 1 << 20;

/// Copies the data directory `from`, which must not be in use, to `to`, which must not exist or be empty.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<Copied, Failure> {
    require_data(from)?;
    // `.` has no name to put beside.
    let to = &std::path::absolute(to).map_err(Failure::io("find", to))?;
    match Identity::read_engine(&RealFs, from) {
        Ok(Some(found)) if found != EngineKind::Kvs => {
            return Err(Failure::Storage(storage::Error::WrongEngine {
                dir: from.to_owned(),
                found,
                wanted: EngineKind::Kvs,
            }));
        }
        Err(error @ storage::Error::NoEngine { .. }) => return Err(Failure::Storage(error)),
        _ => {}
    }
    require_empty(to)?;
    let _lock = RealFs.lock_dir(from)?;
    let partial = partial_path(to);
    if let Some(parent) = partial
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        RealFs.create_dir_all(parent)?;
    }
    fs::create_dir(&partial).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Failure::Interrupted(partial.clone()),
        _ => Failure::io("create", &partial)(source),
    })?;
    let copied = fill(from, &partial).and_then(|copied| {
        fs::rename(&partial, to).map_err(Failure::io("rename to", to))?;
        RealFs.sync_dir(
            partial
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new(".")),
        )?;
        Ok(copied)
    });
    match copied {
        Ok((files, bytes)) => Ok(Copied::new(from, to, files, bytes)),
        Err(failure) => {
            // Only what this call created.
            let _ = fs::remove_dir_all(&partial);
            Err(failure)
        }
    }
}

/// Beside the target, so that it can be renamed.
fn partial_path(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    to.with_file_name(name)
}

fn require_empty(to: &Path) -> Result<(), Failure> {
    match fs::read_dir(to) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Failure::NotEmpty(to.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::io("list", to)(error)),
    }
}

/// Copies what a directory consists of and verifies the copy; returns files and bytes.
fn fill(from: &Path, to: &Path) -> Result<(usize, u64), Failure> {
    let mut paths = RealFs.list(from)?;
    paths.retain(|path| is_data(path));
    let mut total = 0;
    for path in &paths {
        let metadata = fs::metadata(path).map_err(Failure::io("inspect", path))?;
        total += metadata.len();
    }
    let mut line = Line::new("copy:");
    let mut done = 0;
    for path in &paths {
        let target = to.join(path.file_name().unwrap_or_default());
        copy_file(path, &target, &mut |bytes| {
            done += bytes;
            line.show(done, total);
        })?;
    }
    RealFs.sync_dir(to)?;
    drop(line);
    let mut line = Line::new("verify:");
    let report = kvs::verify_with(to, &RealFs, &mut |at| line.show(at.done, at.total))?;
    if !report.is_sound() {
        return Err(Failure::DamagedSource {
            from: from.to_owned(),
            findings: report.findings.len(),
        });
    }
    Ok((paths.len(), total))
}

fn is_data(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("segment" | "hint")) || path.ends_with("KEYPROOF")
}

fn copy_file(from: &Path, to: &Path, advance: &mut dyn FnMut(u64)) -> Result<(), Failure> {
    let mut source = File::open(from).map_err(Failure::io("open", from))?;
    let mut target = File::create(to).map_err(Failure::io("create", to))?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = source
            .read(&mut buffer)
            .map_err(Failure::io("read", from))?;
        if read == 0 {
            break;
        }
        let written = target.write_all(&buffer[..read]);
        written.map_err(Failure::io("write", to))?;
        advance(read as u64);
    }
    target.sync_all().map_err(Failure::io("sync", to))
}
