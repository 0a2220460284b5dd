//! Backups of a replicated store: one line of JSON that says what follows, and the state as nodes send it to each other, which tells by itself whether
//! it is whole.
//!
//! ```text
//!   {"keyproof-backup":2,"name":"keyproof","cluster":"03d2...","term":4,"index":1200,"format":2}
//!   snapshot, as in docs/format-snapshot.md
//! ```

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use kvstore_raft::messages as pb;
use kvstore_raft::{MachineError, Operator, RunError, SnapshotCheck};
use serde::{Deserialize, Serialize};
use storage::file::{FileSystem, RealFs};

use crate::cluster::report::Kept;
use crate::failure::Failure;
use crate::progress::Line;

/// Of the file's first line and what follows it.
const VERSION: u32 = 2;
/// The first line is far shorter.
const MAX_HEAD_BYTES: u64 = 4096;

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    #[serde(rename = "keyproof-backup")]
    version: u32,
    name: String,
    cluster: String,
    term: u64,
    index: u64,
    format: u32,
}

impl From<&pb::BackupHead> for Head {
    fn from(head: &pb::BackupHead) -> Self {
        Self {
            version: VERSION,
            name: head.name.clone(),
            cluster: head
                .cluster
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            term: head.term,
            index: head.index,
            format: head.format,
        }
    }
}

/// Writes a backup to `file`, which gets its name once it is complete, durable and checked.
pub(crate) async fn backup(operator: &Operator, file: &Path) -> Result<Kept, Failure> {
    let partial = partial_path(file);
    if fs::exists(file).map_err(Failure::io("look at", file))? {
        return Err(Failure::Exists(file.to_owned()));
    }
    let written = write(operator, &partial).await;
    let (head, bytes) = match written {
        Ok(written) => written,
        Err(failure) => {
            // Only what this call created.
            let _ = fs::remove_file(&partial);
            return Err(failure);
        }
    };
    fs::rename(&partial, file).map_err(Failure::io("rename to", file))?;
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    RealFs.sync_dir(parent.unwrap_or(Path::new(".")))?;
    Ok(kept(file, bytes, &head, ""))
}

fn kept(to: &Path, bytes: u64, head: &Head, then: &str) -> Kept {
    Kept {
        to: to.display().to_string(),
        bytes,
        index: head.index,
        cluster: head.name.clone(),
        then: then.to_owned(),
    }
}

fn partial_path(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    file.with_file_name(name)
}

/// With the bytes behind the first line.
async fn write(operator: &Operator, partial: &Path) -> Result<(Head, u64), Failure> {
    use pb::backup_part::Part;
    let (head, mut stream) = operator.backup().await?;
    let head = Head::from(&head);
    let line = serde_json::to_string(&head).expect("numbers and text become JSON");
    let mut file = File::create(partial).map_err(Failure::io("create", partial))?;
    let mut progress = Line::new("backup:");
    let (mut bytes, mut check) = (0, SnapshotCheck::default());
    let written = writeln!(file, "{line}");
    written.map_err(Failure::io("write", partial))?;
    loop {
        let part = stream.message().await;
        let part = part.map_err(|status| Failure::BrokenOff(status.message().to_owned()))?;
        let Some(part) = part else { break };
        let Some(Part::Data(data)) = part.part else {
            continue;
        };
        bytes += data.len() as u64;
        let checked = check.take(&data);
        checked.map_err(|error| Failure::BrokenOff(error.to_string()))?;
        let written = file.write_all(&data);
        written.map_err(Failure::io("write", partial))?;
        progress.show_bytes(bytes);
    }
    let whole = check.finish();
    whole.map_err(|error| Failure::BrokenOff(error.to_string()))?;
    file.sync_all().map_err(Failure::io("sync", partial))?;
    Ok((head, bytes))
}

/// Makes a data directory of a backup.
pub(crate) fn restore(
    file: &Path,
    node: u64,
    dir: &Path,
    name: Option<&str>,
) -> Result<Kept, Failure> {
    let opened = File::open(file).map_err(Failure::io("read", file))?;
    let all = opened.metadata().map_err(Failure::io("read", file))?.len();
    let mut reader = BufReader::new(opened);
    let line = first_line(&mut reader).map_err(Failure::io("read", file))?;
    let no_backup = |why| Failure::NoBackup {
        file: file.to_owned(),
        why,
    };
    let head = parse(&line).map_err(no_backup)?;
    match kvstore_raft::restore(dir, node, name.unwrap_or(&head.name), &mut reader) {
        Ok(_) => {}
        Err(RunError::Machine(MachineError::Snapshot(error))) => {
            return Err(no_backup(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    }
    let then = format!(
        "; start it with `kvs-node run --id {node} --cluster {} --data-dir {}`",
        name.unwrap_or(&head.name),
        dir.display()
    );
    Ok(kept(dir, all - line.len() as u64, &head, &then))
}

fn first_line(file: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    file.take(MAX_HEAD_BYTES).read_until(b'\n', &mut line)?;
    Ok(line)
}

fn parse(line: &[u8]) -> Result<Head, String> {
    if line.last() != Some(&b'\n') {
        return Err("it has no first line".to_owned());
    }
    let head: Head = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if head.version != VERSION || head.format != u32::from(kvstore_raft::FORMAT) {
        return Err("another version of kvs-admin wrote it".to_owned());
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Vec<u8> {
        let head = pb::BackupHead {
            name: "keyproof".to_owned(),
            format: kvstore_raft::FORMAT.into(),
            ..pb::BackupHead::default()
        };
        let line = serde_json::to_string(&Head::from(&head)).unwrap();
        [line.as_bytes(), b"\n"].concat()
    }

    #[test]
    fn the_first_line_is_taken_whole_or_not_at_all_and_nothing_behind_it() {
        let line = line();
        assert_eq!(parse(&line).unwrap().name, "keyproof");
        for cut in 0..line.len() {
            assert!(parse(&line[..cut]).is_err(), "cut at {cut}");
        }
        let mut file = &[&line[..], b"state\nstate"].concat()[..];
        assert_eq!(first_line(&mut file).unwrap(), line);
        assert_eq!(file, b"state\nstate");
    }

    #[test]
    fn a_backup_of_another_version_is_refused() {
        let text = String::from_utf8(line()).unwrap();
        let format = format!("format\":{}", kvstore_raft::FORMAT);
        for (of_ours, of_others) in [("-backup\":2", "-backup\":1"), (&format, "format\":9")] {
            let other = text.replace(of_ours, of_others);
            assert_ne!(other, text);
            let refused = parse(other.as_bytes()).unwrap_err();
            assert!(refused.contains("version"), "{refused}");
        }
    }
}
