//! Reading from a blocking stream into a buffer whose growth is bounded by what has arrived.

use std::io::{ErrorKind, Read, Result};

use bytes::BytesMut;

/// Bytes made ready for one read from a stream.
pub(crate) const READ_CHUNK_BYTES: usize = 16 * 1024;

/// Most bytes taken in one read: the room is zeroed first, so more would cost more than it saves.
const MAX_READ_BYTES: usize = 64 * 1024;

/// Makes room for the next read: a chunk, or as much as has already arrived if more than a chunk is `missing`.
pub(crate) fn reserve(buf: &mut BytesMut, missing: usize) {
    // A fresh chunk only when little room is left, or small reads would each cost an allocation.
    let wanted = missing.min(buf.len()).max(READ_CHUNK_BYTES / 4);
    if buf.capacity() - buf.len() < wanted {
        buf.reserve(wanted.max(READ_CHUNK_BYTES));
    }
}

/// Appends one read to `buf`, within its capacity; 0 at the end of the stream. Leaves `buf` as it was on an error.
pub(crate) fn read_some<S: Read>(stream: &mut S, buf: &mut BytesMut) -> Result<usize> {
    let filled = buf.len();
    let room = (buf.capacity() - filled).clamp(1, MAX_READ_BYTES);
    buf.resize(filled + room, 0);
    let read = loop {
        match stream.read(&mut buf[filled..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => break other,
        }
    };
    buf.truncate(filled + read.as_ref().map_or(0, |read| *read));
    read
}
