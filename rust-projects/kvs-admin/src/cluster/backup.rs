//! Backups of a replicated store: one line of JSON that says what follows, and the state as nodes send it to each other.
//!
//! ```text
//!   {"keyproof-backup":1,"name":"keyproof","cluster":"03d2...","term":4,"index":1200,"bytes":52011,"crc32":2812345678,"format":2}
//!   52011 bytes
//! ```

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kvstore_raft::Operator;
use kvstore_raft::messages as pb;
use serde::{Deserialize, Serialize};
use storage::file::{FileSystem, RealFs};

use crate::cluster::report::Kept;
use crate::failure::Failure;
use crate::progress::Line;

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    #[serde(rename = "keyproof-backup")]
    version: u32,
    name: String,
    cluster: String,
    term: u64,
    index: u64,
    bytes: u64,
    crc32: u32,
    format: u32,
}

impl From<&pb::BackupHead> for Head {
    fn from(head: &pb::BackupHead) -> Self {
        Self {
            version: 1,
            name: head.name.clone(),
            cluster: head
                .cluster
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            term: head.term,
            index: head.index,
            bytes: head.bytes,
            crc32: head.crc32,
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
    let head = match written {
        Ok(head) => head,
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
    Ok(kept(file, &head, ""))
}

fn kept(to: &Path, head: &Head, then: &str) -> Kept {
    Kept {
        to: to.display().to_string(),
        bytes: head.bytes,
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

async fn write(operator: &Operator, partial: &Path) -> Result<Head, Failure> {
    use pb::backup_part::Part;
    let (head, mut stream) = operator.backup().await?;
    let head = Head::from(&head);
    let line = serde_json::to_string(&head).expect("numbers and text become JSON");
    let mut file = File::create(partial).map_err(Failure::io("create", partial))?;
    let mut progress = Line::new("backup:");
    let (mut bytes, mut check) = (0, crc32fast::Hasher::new());
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
        check.update(&data);
        let written = file.write_all(&data);
        written.map_err(Failure::io("write", partial))?;
        progress.show(bytes, head.bytes);
    }
    if (bytes, check.finalize()) != (head.bytes, head.crc32) {
        let why = format!(
            "{bytes} of {} bytes came, or others than were sent",
            head.bytes
        );
        return Err(Failure::BrokenOff(why));
    }
    file.sync_all().map_err(Failure::io("sync", partial))?;
    Ok(head)
}

/// Makes a data directory of a backup.
pub(crate) fn restore(
    file: &Path,
    node: u64,
    dir: &Path,
    name: Option<&str>,
) -> Result<Kept, Failure> {
    let bytes = fs::read(file).map_err(Failure::io("read", file))?;
    let (head, data) = parse(bytes.into()).map_err(|why| Failure::NoBackup {
        file: file.to_owned(),
        why,
    })?;
    kvstore_raft::restore(dir, node, name.unwrap_or(&head.name), data)?;
    let then = format!(
        "; start it with `kvs-node run --id {node} --cluster {} --data-dir {}`",
        name.unwrap_or(&head.name),
        dir.display()
    );
    Ok(kept(dir, &head, &then))
}

fn parse(mut bytes: Bytes) -> Result<(Head, Bytes), String> {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or("it has no first line")?;
    let line = bytes.split_to(end);
    let head: Head = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
    let data = bytes.slice(1..);
    if head.version != 1 || head.format != u32::from(kvstore_raft::FORMAT) {
        return Err("another version of kvs-admin wrote it".to_owned());
    }
    if data.len() as u64 != head.bytes {
        return Err(format!("it has {} bytes of {}", data.len(), head.bytes));
    }
    if crc32fast::hash(&data) != head.crc32 {
        return Err("its checksum does not match".to_owned());
    }
    Ok((head, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let data = b"\x02state";
        let head = pb::BackupHead {
            bytes: data.len() as u64,
            crc32: crc32fast::hash(data),
            format: kvstore_raft::FORMAT.into(),
            ..pb::BackupHead::default()
        };
        let line = serde_json::to_string(&Head::from(&head)).unwrap();
        [line.as_bytes(), b"\n", data].concat()
    }

    #[test]
    fn a_backup_is_taken_whole_or_not_at_all() {
        let file = file();
        let (_, data) = parse(file.clone().into()).unwrap();
        assert_eq!(&data[..], b"\x02state");
        for cut in 0..file.len() {
            assert!(parse(file[..cut].to_vec().into()).is_err(), "cut at {cut}");
        }
        let first = file.len() - data.len();
        for position in first..file.len() {
            let mut flipped = file.clone();
            flipped[position] ^= 1;
            assert!(parse(flipped.into()).is_err(), "flipped at {position}");
        }
    }
}
