//! Messages between nodes over gRPC: one stream for each direction of each pair, reopened when it breaks.
//!
//! Raft expects messages to be lost, so nothing is kept for a peer that cannot be reached: what does not fit its queue is dropped, and
//! what waited when a stream broke is too. A snapshot travels on a stream of its own (`snapshots`), and is handed over
//! whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use prost::Message as _;
use proto::peer as pb;
use proto::peer::peer_client::PeerClient;
use proto::peer::peer_server::{Peer, PeerServer};
use raft::{Message, NodeId, Refused};
use replica::{PeerMessage, Registry, Snapshot};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use crate::handshake::{Throttle, suspicion};
use crate::inbox::{Limit, Place, Room};
use crate::node::{Inbox, Input};
use crate::states::States;
use crate::tls::{AddressError, Credentials};
use crate::view::Shared;
use crate::{convert, founding, snapshots};

/// Messages that wait for a peer at most, forwarded requests among them.
const QUEUE: usize = 4096 + FORWARDS.count;
/// Requests of clients that wait to be forwarded to a peer at most: however many these are, the rest of the queue is Raft's.
const FORWARDS: Limit = Limit {
    count: replica::WINDOW as usize,
    bytes: 64 << 20,
};
/// Messages handed to a stream that is not sending fast enough.
const STREAM_QUEUE: usize = 64;
/// The largest message taken: an entry is no larger than the largest request.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// A stream that ends sooner was not let in.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Between two tries to reach a peer.
const PAUSE: Duration = Duration::from_millis(100);
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

/// A message, and the room that a forwarded request takes until it goes to the stream.
type Queued = (pb::Message, Option<Place>);

struct Link {
    address: String,
    queue: mpsc::Sender<Queued>,
    forwards: Room,
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
            self.credentials.are_there(),
        ));
        let link = Link {
            address: address.to_owned(),
            queue,
            forwards: Room::new(FORWARDS),
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

    /// Sends a message if the peer's queue has room, as the network may lose it anyway. Of a client's request that has none this is known for certain,
    /// and the client can be told: it gets the answer of a peer that is busy.
    pub(crate) fn send(&self, to: NodeId, message: PeerMessage) -> Option<PeerMessage> {
        let link = self.links.get(&to)?;
        let busy = busy(&message);
        let message = convert::encode(&self.cluster, self.id, to, message);
        let place = match &busy {
            None => None,
            Some(_) => match link.forwards.try_enter(message.encoded_len()) {
                Some(place) => Some(place),
                None => return busy,
            },
        };
        if link.queue.try_send((message, place)).is_err() {
            tracing::debug!(to, "a message was dropped: the peer does not keep up");
            return busy;
        }
        None
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
            let sent = snapshots::send(client, message, data).await;
            match &sent {
                Ok(()) => tracing::info!(to, "a snapshot was sent"),
                Err(status) => tracing::warn!(to, %status, "a snapshot was not delivered"),
            }
            let delivered = sent.is_ok();
            inbox.send(Input::SnapshotSent(to, delivered));
        });
    }
}

/// The refusal of a forwarded request by a peer that has too much to do.
fn busy(message: &PeerMessage) -> Option<PeerMessage> {
    let PeerMessage::Forward {
        origin, attempt, ..
    } = message
    else {
        return None;
    };
    Some(PeerMessage::NotProposed {
        boot: origin.boot,
        sequence: origin.sequence,
        attempt: *attempt,
        why: Refused::Busy,
    })
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
    mut queue: mpsc::Receiver<Queued>,
    inbox: Inbox,
    shows_certificate: bool,
) {
    let lines = Throttle::default();
    while let Some(first) = queue.recv().await {
        let (stream, receiver) = mpsc::channel(STREAM_QUEUE);
        let mut client = client(channel.clone());
        let began = Instant::now();
        let forward = async {
            let mut next = Some(first);
            while let Some((message, _place)) = next {
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
                    let why = suspicion(&status, shows_certificate);
                    let why = why.filter(|_| began.elapsed() < AT_ONCE);
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

/// The other end: takes messages of this cluster for this node.
pub(crate) struct Service {
    pub(crate) shared: Shared,
    pub(crate) inbox: Inbox,
    /// Where snapshots are received, once this node has opened it and until it ends: connections may outlive it.
    states: Weak<OnceLock<States>>,
    /// Held while one is received.
    turn: tokio::sync::Mutex<()>,
}

impl Service {
    pub(crate) fn new(shared: Shared, inbox: Inbox, states: &Arc<OnceLock<States>>) -> Self {
        Self {
            shared,
            inbox,
            states: Arc::downgrade(states),
            turn: tokio::sync::Mutex::new(()),
        }
    }

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
            false => Err(stopped()),
        }
    }
}

fn stopped() -> Status {
    Status::unavailable("this node has stopped")
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
            let bytes = message.encoded_len();
            let (from, message) = self.accept(message)?;
            if !self.inbox.peer(from, message, bytes).await {
                return Err(stopped());
            }
        }
        Ok(Response::new(pb::End {}))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<pb::Chunk>>,
    ) -> Result<Response<pb::End>, Status> {
        let mut stream = request.into_inner();
        let first = stream.message().await?;
        let first = first.ok_or_else(|| Status::data_loss("the snapshot is empty"))?;
        let message = first.message;
        let message =
            message.ok_or_else(|| Status::invalid_argument("the snapshot has no message"))?;
        let (from, PeerMessage::Raft(envelope)) = self.accept(message)? else {
            return Err(Status::invalid_argument(
                "the snapshot's message is not the core's",
            ));
        };
        let Message::InstallSnapshot { snapshot, .. } = &envelope.message else {
            return Err(Status::invalid_argument(
                "the snapshot's message announces none",
            ));
        };
        let states = self.states.upgrade();
        let states = states.and_then(|states| states.get().cloned());
        let states =
            states.ok_or_else(|| Status::unavailable("this node is starting or ending"))?;
        // Two at once would need room for two.
        let _turn = self.turn.lock().await;
        tracing::info!(from, index = snapshot.last.index, "a snapshot comes");
        let staged = snapshots::receive(states, snapshot.clone(), first.data, stream).await?;
        self.hand_over(Input::Snapshot(envelope, staged))?;
        Ok(Response::new(pb::End {}))
    }
}

#[cfg(test)]
mod tests {
    use replica::{Member, Origin};

    use crate::node::Bounds;

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
        let (inbox, _) = Inbox::new(Bounds::default());
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

    fn forward(attempt: u64, bytes: usize) -> PeerMessage {
        PeerMessage::Forward {
            term: 1,
            origin: Origin {
                node: 1,
                boot: 1,
                sequence: attempt,
                oldest: 1,
            },
            attempt,
            request: vec![vec![vec![b'x'; bytes].into()]],
        }
    }

    #[tokio::test]
    async fn a_request_that_cannot_be_forwarded_is_refused_for_certain_and_raft_has_room_left() {
        let given = [(2, "127.0.0.1:2".to_owned())].into();
        let (inbox, _incoming) = Inbox::new(Bounds::default());
        let none = BTreeMap::new();
        let mut peers =
            Peers::connect("", 1, inbox, &none, &given, Credentials::default()).unwrap();
        // Nothing is sent meanwhile: the test does not yield.
        let room = |count, bytes| Room::new(Limit { count, bytes });
        let refusal = |attempt| {
            Some(PeerMessage::NotProposed {
                boot: 1,
                sequence: attempt,
                attempt,
                why: Refused::Busy,
            })
        };
        peers.links.get_mut(&2).unwrap().forwards = room(1, 1 << 20);
        assert_eq!(peers.send(2, forward(1, 10)), None);
        assert_eq!(peers.send(2, forward(2, 10)), refusal(2));
        assert_eq!(peers.send(2, PeerMessage::Removed), None);
        peers.links.get_mut(&2).unwrap().forwards = room(10, 1000);
        assert_eq!(peers.send(2, forward(3, 600)), None);
        assert_eq!(peers.send(2, forward(4, 600)), refusal(4));
        assert_eq!(peers.send(2, PeerMessage::Removed), None);
        assert_eq!(peers.send(3, forward(5, 1)), None, "lost, as a peer's is");
    }
}
