//! Snapshots on their way: read from the engine as the peer takes them, and written to an engine beside the one in use as they come. No side has
//! more than some chunks in memory.

use std::time::Duration;

use bytes::Bytes;
use proto::peer as pb;
use proto::peer::peer_client::PeerClient;
use raft::SnapshotMeta;
use replica::{CHUNK_BYTES, MachineError, Receiving, Snapshot, Staged};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::states::States;

/// Chunks that were read and wait for a stream which is not sending fast enough.
const QUEUE: usize = 2;
/// A peer that takes or brings no chunk for so long is given up.
const STALLED: Duration = Duration::from_secs(30);

/// Reads a snapshot on a thread of its own, some chunks ahead of whoever takes them.
pub(crate) fn pieces(snapshot: Snapshot) -> mpsc::Receiver<Result<Bytes, Status>> {
    let (pieces, receiver) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        for piece in snapshot.chunks(CHUNK_BYTES) {
            let piece = piece.map_err(|error| Status::internal(error.to_string()));
            if pieces.blocking_send(piece).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Brings a snapshot to a peer, with the message that it belongs to.
pub(crate) async fn send(
    mut client: PeerClient<Channel>,
    message: pb::Message,
    snapshot: Snapshot,
) -> Result<(), Status> {
    let (stream, receiver) = mpsc::channel(1);
    tokio::select! {
        ended = client.snapshot(ReceiverStream::new(receiver)) => ended.map(|_| ()),
        stalled = feed(stream, message, snapshot) => Err(stalled),
    }
}

/// Hands one chunk after another to the stream; ends only when there is no hope any more.
async fn feed(stream: mpsc::Sender<pb::Chunk>, message: pb::Message, snapshot: Snapshot) -> Status {
    let mut message = Some(message);
    let mut pieces = pieces(snapshot);
    while let Some(piece) = pieces.recv().await {
        let data = match piece {
            Ok(data) => data,
            Err(status) => return status,
        };
        let chunk = pb::Chunk {
            message: message.take(),
            data,
        };
        match tokio::time::timeout(STALLED, stream.send(chunk)).await {
            Ok(Ok(())) => {}
            // The call has ended, and says why.
            Ok(Err(_)) => break,
            Err(_) => return Status::deadline_exceeded("the peer takes no more of it"),
        }
    }
    drop(stream);
    // The peer still has to get what it took to its disk.
    tokio::time::sleep(STALLED).await;
    Status::deadline_exceeded("the peer does not say whether it has all of it")
}

/// Writes a snapshot, of which `first` has come, to an engine beside the one in use.
pub(crate) async fn receive(
    states: States,
    snapshot: SnapshotMeta,
    first: Bytes,
    mut chunks: Streaming<pb::Chunk>,
) -> Result<Staged, Status> {
    let mut receiving = on_disk(move || {
        let mut receiving = Receiving::new(states.stage()?, &snapshot);
        receiving.take(&first)?;
        Ok(receiving)
    })
    .await?;
    loop {
        let chunk = tokio::time::timeout(STALLED, chunks.message()).await;
        let chunk =
            chunk.map_err(|_| Status::deadline_exceeded("no more of the snapshot comes"))?;
        let Some(chunk) = chunk? else {
            return on_disk(move || receiving.finish()).await;
        };
        receiving = on_disk(move || {
            receiving.take(&chunk.data)?;
            Ok(receiving)
        })
        .await?;
    }
}

/// What waits for the disk does so on a thread that may.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MachineError> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Status::internal(error.to_string()))?;
    done.map_err(|error| match error {
        MachineError::Snapshot(_) => Status::data_loss(error.to_string()),
        _ => Status::internal(error.to_string()),
    })
}
