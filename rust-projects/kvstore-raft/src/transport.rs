//! Messages between nodes over gRPC: one stream for each direction of each pair, reopened when it breaks.
//!
//! Raft expects messages to be lost, so nothing is kept for a peer that cannot be reached: what does not fit its queue is dropped, and
//! what waited when a stream broke is too. A snapshot travels on a stream of its own, in chunks with checksums, and is handed over
//! whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proto::peer as pb;
use proto::peer::peer_client::PeerClient;
use proto::peer::peer_server::{Peer, PeerServer};
use raft::NodeId;
use replica::{PeerMessage, Registry, Snapshot};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use crate::handshake::{Throttle, distrust};
use crate::node::{Inbox, Input};
use crate::tls::{AddressError, Credentials};
use crate::view::Shared;
use crate::{convert, founding};

/// Messages that wait for a peer at most.
const QUEUE: usize = 4096;
/// Messages handed to a stream that is not sending fast enough.
const STREAM_QUEUE: usize = 64;
/// The largest message taken: an entry is no larger than the largest request.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// A stream that ends sooner was not let in.
const AT_ONCE: Duration = Duration::from_secs(2);
const CHUNK_BYTES: usize = 1 << 20;
/// The largest snapshot taken: it is installed as one batch.
const MAX_SNAPSHOT_BYTES: usize = 1 << 30;
/// Between two tries to reach a peer.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a snapshot may take.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(120);
/// The metadata of a refusal that says: the sender was removed from the cluster.
const REMOVED: &str = "removed";

/// The ways to all peers.
pub(crate) struct Peers {
    cluster: String,
    id: NodeId,
    runtime: Handle,
    inbox: Inbox,
    links: BTreeMap<NodeId, Link>,
    /// Peers whose address an operator gave, which counts for as long as this node runs: it may lead through something.
    given: BTreeSet<NodeId>,
    credentials: Credentials,
}

struct Link {
    address: String,
    queue: mpsc::Sender<pb::Message>,
    channel: Channel,
}

impl Peers {
    /// Begins to connect to each peer, by its address `host:port`; must be called within a runtime. Of `places` it learns better later,
    /// of `given` it does not.
    ///
    /// # Errors
    /// An address that is none.
    pub(crate) fn connect(
        cluster: &str,
        id: NodeId,
        inbox: Inbox,
        places: &BTreeMap<NodeId, String>,
        given: &BTreeMap<NodeId, String>,
        credentials: Credentials,
    ) -> Result<Self, AddressError> {
        let mut peers = Self {
            cluster: cluster.to_owned(),
            id,
            runtime: Handle::current(),
            inbox,
            links: BTreeMap::new(),
            given: given.keys().copied().collect(),
            credentials,
        };
        for (&peer, address) in places.iter().chain(given) {
            peers.link(peer, address)?;
        }
        Ok(peers)
    }

    fn link(&mut self, peer: NodeId, address: &str) -> Result<(), AddressError> {
        let endpoint = self.credentials.endpoint(address)?;
        let _in_runtime = self.runtime.enter();
        let channel = endpoint.connect_lazy();
        let (queue, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(keep_sending(
            peer,
            channel.clone(),
            receiver,
            self.inbox.clone(),
        ));
        let link = Link {
            address: address.to_owned(),
            queue,
            channel,
        };
        self.links.insert(peer, link);
        Ok(())
    }

    /// Follows the registry.
    pub(crate) fn learn(&mut self, registry: &Registry) {
        self.links.retain(|&peer, _| !registry.is_removed(peer));
        for (peer, member) in registry.members() {
            let is_known = self
                .links
                .get(&peer)
                .is_some_and(|link| link.address == member.peer_addr);
            if peer == self.id || is_known || self.given.contains(&peer) {
                continue;
            }
            match self.link(peer, &member.peer_addr) {
                Ok(()) => tracing::info!(peer, address = member.peer_addr, "a peer is there"),
                Err(error) => tracing::warn!(peer, %error, "a peer cannot be reached"),
            }
        }
    }

    /// Sends a message if the peer's queue has room, as the network may lose it anyway.
    pub(crate) fn send(&self, to: NodeId, message: PeerMessage) {
        if let Some(link) = self.links.get(&to) {
            let message = convert::encode(&self.cluster, self.id, to, message);
            if link.queue.try_send(message).is_err() {
                tracing::debug!(to, "a message was dropped: the peer does not keep up");
            }
        }
    }

    /// Sends a snapshot, and tells `inbox` what became of it.
    pub(crate) fn send_snapshot(
        &self,
        to: NodeId,
        message: PeerMessage,
        data: Option<Snapshot>,
        inbox: Inbox,
    ) {
        let way = self.links.get(&to).map(|link| client(link.channel.clone()));
        let (Some(client), Some(data)) = (way, data) else {
            inbox.send(Input::SnapshotSent(to, false));
            return;
        };
        let message = convert::encode(&self.cluster, self.id, to, message);
        self.runtime.spawn(async move {
            let sent =
                tokio::time::timeout(SNAPSHOT_TIMEOUT, stream_snapshot(client, message, data))
                    .await;
            let delivered = matches!(sent, Ok(Ok(())));
            tracing::info!(to, delivered, "a snapshot was sent");
            inbox.send(Input::SnapshotSent(to, delivered));
        });
    }
}

fn client(channel: Channel) -> PeerClient<Channel> {
    PeerClient::new(channel)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
}

/// Sends what comes, over one stream after another, until the queue is closed.
async fn keep_sending(
    peer: NodeId,
    channel: Channel,
    mut queue: mpsc::Receiver<pb::Message>,
    inbox: Inbox,
) {
    let lines = Throttle::default();
    while let Some(first) = queue.recv().await {
        let (stream, receiver) = mpsc::channel(STREAM_QUEUE);
        let mut client = client(channel.clone());
        let began = Instant::now();
        let forward = async {
            let mut next = Some(first);
            while let Some(message) = next {
                if stream.send(message).await.is_err() {
                    break;
                }
                next = queue.recv().await;
            }
        };
        tokio::select! {
            ended = client.messages(ReceiverStream::new(receiver)) => {
                if let Err(status) = ended {
                    tracing::debug!(%status, "the stream to a peer ended");
                    let why = distrust(&status).filter(|_| began.elapsed() < AT_ONCE);
                    if let Some(why) = why.filter(|why| lines.lets_through(why)) {
                        tracing::warn!(peer, why, "no trust between this node and a peer");
                    }
                    if status.metadata().contains_key(REMOVED) {
                        inbox.send(Input::Removed);
                    }
                }
            }
            () = forward => {}
        }
        tokio::time::sleep(PAUSE).await;
        // What waited is old by now.
        while queue.try_recv().is_ok() {}
    }
}

async fn stream_snapshot(
    mut client: PeerClient<Channel>,
    message: pb::Message,
    snapshot: Snapshot,
) -> Result<(), Status> {
    let data = tokio::task::spawn_blocking(move || snapshot.encode()).await;
    let data = data.map_err(|error| Status::internal(error.to_string()))?;
    let data = data.map_err(|error| Status::internal(error.to_string()))?;
    let (chunks, receiver) = mpsc::channel(2);
    let feed = async move {
        let mut rest = data;
        let mut message = Some(message);
        loop {
            let piece = rest.split_to(rest.len().min(CHUNK_BYTES));
            let chunk = pb::Chunk {
                message: message.take(),
                check: crc32fast::hash(&piece),
                last: rest.is_empty(),
                data: piece,
            };
            if chunks.send(chunk).await.is_err() || rest.is_empty() {
                return;
            }
        }
    };
    let (sent, ()) = tokio::join!(client.snapshot(ReceiverStream::new(receiver)), feed);
    sent.map(|_| ())
}

/// The other end: takes messages of this cluster for this node.
pub(crate) struct Service {
    pub(crate) shared: Shared,
    pub(crate) inbox: Inbox,
}

impl Service {
    pub(crate) fn server(self) -> PeerServer<Self> {
        PeerServer::new(self)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    #[allow(
        clippy::result_large_err,
        reason = "the error type of tonic's services"
    )]
    fn accept(&self, message: pb::Message) -> Result<(NodeId, PeerMessage), Status> {
        let view = self.shared.look();
        if view.identity.cluster.is_none() {
            return Err(Status::unavailable("this node is in no cluster yet"));
        }
        if message.cluster != view.cluster {
            return Err(Status::permission_denied(
                "this node belongs to another cluster",
            ));
        }
        if view.registry.is_removed(message.from) {
            let mut status = Status::permission_denied("the sender was removed from the cluster");
            let removed = tonic::metadata::MetadataValue::from_static("yes");
            status.metadata_mut().insert(REMOVED, removed);
            return Err(status);
        }
        if message.to != view.identity.node {
            return Err(Status::invalid_argument(format!(
                "this is node {}, not {}",
                view.identity.node, message.to
            )));
        }
        let from = message.from;
        let message = convert::decode(message)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok((from, message))
    }

    #[allow(
        clippy::result_large_err,
        reason = "the error type of tonic's services"
    )]
    fn hand_over(&self, input: Input) -> Result<(), Status> {
        match self.inbox.send(input) {
            true => Ok(()),
            false => Err(Status::unavailable("this node has stopped")),
        }
    }
}

#[tonic::async_trait]
impl Peer for Service {
    async fn found(&self, request: Request<pb::Founder>) -> Result<Response<pb::Founder>, Status> {
        let view = self.shared.look();
        let asked = request.get_ref();
        let given = view.given.as_ref();
        founding::answer(&view.identity, &view.founders, given, asked).map(Response::new)
    }

    async fn messages(
        &self,
        request: Request<Streaming<pb::Message>>,
    ) -> Result<Response<pb::End>, Status> {
        let mut stream = request.into_inner();
        while let Some(message) = stream.message().await? {
            let (from, message) = self.accept(message)?;
            self.hand_over(Input::Peer(from, message))?;
        }
        Ok(Response::new(pb::End {}))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<pb::Chunk>>,
    ) -> Result<Response<pb::End>, Status> {
        let mut stream = request.into_inner();
        let mut message = None;
        let mut data = BytesMut::new();
        let mut is_complete = false;
        while let Some(chunk) = stream.message().await? {
            if crc32fast::hash(&chunk.data) != chunk.check {
                return Err(Status::data_loss("a chunk's checksum does not match"));
            }
            if data.len() + chunk.data.len() > MAX_SNAPSHOT_BYTES {
                return Err(Status::resource_exhausted("the snapshot is too large"));
            }
            data.extend_from_slice(&chunk.data);
            message = message.or(chunk.message);
            is_complete = chunk.last;
        }
        if !is_complete {
            return Err(Status::data_loss("the snapshot ended early"));
        }
        let message =
            message.ok_or_else(|| Status::invalid_argument("the snapshot has no message"))?;
        let (_, PeerMessage::Raft(envelope)) = self.accept(message)? else {
            return Err(Status::invalid_argument(
                "the snapshot's message is not the core's",
            ));
        };
        let data: Bytes = data.freeze();
        self.hand_over(Input::Snapshot(envelope, data))?;
        Ok(Response::new(pb::End {}))
    }
}

#[cfg(test)]
mod tests {
    use replica::Member;

    use super::*;

    fn registry(places: &[(NodeId, &str)]) -> Registry {
        let members = places.iter().map(|&(node, address)| {
            let member = Member {
                peer_addr: address.to_owned(),
                ..Member::default()
            };
            (node, member)
        });
        members.collect()
    }

    #[tokio::test]
    async fn links_follow_the_registry_except_where_an_operator_gave_the_address() {
        let given = [(2, "127.0.0.1:2".to_owned())].into();
        let places = [(3, "127.0.0.1:3".to_owned())].into();
        let (inbox, _) = Inbox::new();
        let mut peers =
            Peers::connect("", 1, inbox, &places, &given, Credentials::default()).unwrap();
        peers.learn(&registry(&[
            (1, "127.0.0.1:71"),
            (2, "127.0.0.1:72"),
            (3, "127.0.0.1:73"),
            (4, "127.0.0.1:74"),
            (5, "no address at all"),
        ]));
        let links = peers.links.iter();
        let links: Vec<_> = links
            .map(|(&peer, link)| (peer, &link.address[..]))
            .collect();
        let expected = [(2, "127.0.0.1:2"), (3, "127.0.0.1:73"), (4, "127.0.0.1:74")];
        assert_eq!(links, expected);
    }
}
