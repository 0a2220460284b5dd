//! The way to a node's thread, and how much may wait on it.
//!
//! Clients and peers have room of their own, so whatever clients send, Raft's messages get through. A client's request that finds no room
//! is refused at once and nothing is done for it; it keeps its room until it is answered. A peer's message waits for room, and its stream with it.
//!
//! ```text
//!   clients --- no room: BUSY ---> clients' queue --.
//!                                                   |--> node: from the others' queue first,
//!   peers ----- no room: wait ---> others' queue ---'    but of what waits, clients get every eighth turn
//!   disk, operators -------------> (few)
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use raft::{NodeId, Refused};
use replica::{Answer, Changes, MachineError, Order, PeerMessage, Request, Snapshot};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::node::{Input, Report, Status};
use crate::watch::Metrics;

/// What clients have asked and were not answered yet, at most.
const CLIENTS: Limit = Limit {
    count: 16_384,
    bytes: 256 << 20,
};
/// What peers have sent and the node has not taken yet, at most.
const PEERS: Limit = Limit {
    count: 4096,
    bytes: 256 << 20,
};
/// What an argument of a request takes in memory beyond its bytes, roughly.
const ARGUMENT_OVERHEAD_BYTES: usize = 64;
/// While both queues hold something, clients get one turn in so many.
const CLIENTS_TURN: u32 = 8;

/// Bounds on what waits for a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) clients: Limit,
    pub(crate) peers: Limit,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            clients: CLIENTS,
            peers: PEERS,
        }
    }
}

/// So many things of so many bytes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) count: usize,
    /// Below 4 GiB. What is larger counts as so large, and so gets in alone.
    pub(crate) bytes: usize,
}

/// Room for what waits.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    limit: Limit,
    count: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A part of a room, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _count: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Room {
    pub(crate) fn new(limit: Limit) -> Self {
        Self {
            limit,
            count: Arc::new(Semaphore::new(limit.count)),
            bytes: Arc::new(Semaphore::new(limit.bytes)),
        }
    }

    fn cost(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.limit.bytes)).unwrap_or(u32::MAX)
    }

    /// A place, if there is one.
    pub(crate) fn try_enter(&self, bytes: usize) -> Option<Place> {
        let count = Arc::clone(&self.count).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(self.cost(bytes));
        Some(Place {
            _count: count,
            _bytes: bytes.ok()?,
        })
    }

    /// A place, as soon as there is one.
    async fn enter(&self, bytes: usize) -> Place {
        const OPEN: &str = "a room's semaphores are never closed";
        let count = Arc::clone(&self.count).acquire_owned().await;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(self.cost(bytes));
        Place {
            _count: count.expect(OPEN),
            _bytes: bytes.await.expect(OPEN),
        }
    }

    /// What is in it.
    pub(crate) fn used(&self) -> Limit {
        Limit {
            count: self.limit.count - self.count.available_permits(),
            bytes: self.limit.bytes - self.bytes.available_permits(),
        }
    }

    pub(crate) fn limit(&self) -> Limit {
        self.limit
    }
}

/// Memory that a request takes, roughly.
fn size(request: &Request) -> usize {
    let arguments = request.iter().flatten();
    arguments
        .map(|argument| argument.len() + ARGUMENT_OVERHEAD_BYTES)
        .sum()
}

/// What a client's request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Kind {
    /// It may write.
    Write,
    /// It only reads, and sees every write answered before it.
    #[default]
    Read,
    /// It only reads, from what is applied here, however old.
    StaleRead,
}

/// Who waits for an answer, and the room that the request takes until then.
#[derive(Debug)]
pub(crate) struct Asker {
    answer: oneshot::Sender<Answer>,
    place: Option<Place>,
}

impl Asker {
    pub(crate) fn tell(self, answer: Answer) {
        // First: who is answered finds the room free.
        drop(self.place);
        // Who asked may be gone.
        let _ = self.answer.send(answer);
    }
}

struct Item {
    input: Input,
    /// Of a peer's message: given back when the node takes it.
    _place: Option<Place>,
}

#[derive(Default)]
struct Queues {
    clients: VecDeque<Item>,
    others: VecDeque<Item>,
    turn: u32,
    /// The node has begun.
    is_taken_from: bool,
    /// The node has stopped.
    is_closed: bool,
}

impl Queues {
    fn take(&mut self) -> Option<Input> {
        self.turn = self.turn.wrapping_add(1);
        let item = match self.turn.is_multiple_of(CLIENTS_TURN) {
            true => self.clients.pop_front().or_else(|| self.others.pop_front()),
            false => self.others.pop_front().or_else(|| self.clients.pop_front()),
        };
        item.map(|item| item.input)
    }
}

#[derive(Default)]
struct Waiting {
    queues: Mutex<Queues>,
    arrived: Condvar,
}

impl Waiting {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        // Nothing that holds the lock can panic halfway through a change.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The node's end of the way.
pub(crate) struct Incoming(Arc<Waiting>);

impl Incoming {
    /// What is there.
    pub(crate) fn try_next(&self) -> Option<Input> {
        self.0.queues().take()
    }

    /// What is there, or comes within `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Option<Input> {
        let mut queues = self.0.queues();
        queues.is_taken_from = true;
        let is_empty = |queues: &mut Queues| queues.clients.is_empty() && queues.others.is_empty();
        let waited = self
            .0
            .arrived
            .wait_timeout_while(queues, patience, is_empty);
        let (mut queues, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queues.take()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut queues = self.0.queues();
        queues.is_closed = true;
        // Whoever waits for an answer learns that none will come.
        let dropped = (
            std::mem::take(&mut queues.clients),
            std::mem::take(&mut queues.others),
        );
        drop(queues);
        drop(dropped);
    }
}

/// The way to a node's thread.
#[derive(Clone)]
pub(crate) struct Inbox {
    waiting: Arc<Waiting>,
    clients: Room,
    peers: Room,
    metrics: Arc<Metrics>,
}

impl Inbox {
    /// A way, and its end.
    pub(crate) fn new(bounds: Bounds) -> (Self, Incoming) {
        let waiting = Arc::<Waiting>::default();
        let inbox = Self {
            waiting: Arc::clone(&waiting),
            clients: Room::new(bounds.clients),
            peers: Room::new(bounds.peers),
            metrics: Arc::default(),
        };
        (inbox, Incoming(waiting))
    }

    /// What is counted of the node.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The room of clients' requests.
    pub(crate) fn clients(&self) -> &Room {
        &self.clients
    }

    /// The room of peers' messages.
    pub(crate) fn peers(&self) -> &Room {
        &self.peers
    }

    /// Whether the node's thread has begun to take what comes.
    pub(crate) fn is_taken_from(&self) -> bool {
        self.waiting.queues().is_taken_from
    }

    /// Hands something over; false when the node has stopped.
    pub(crate) fn send(&self, input: Input) -> bool {
        self.put(input, None)
    }

    fn put(&self, input: Input, place: Option<Place>) -> bool {
        let is_clients = matches!(
            input,
            Input::Write(..)
                | Input::Read(..)
                | Input::StaleRead(..)
                | Input::Status(_)
                | Input::Lead(_)
                | Input::Decided(..)
        );
        let mut queues = self.waiting.queues();
        if queues.is_closed {
            return false;
        }
        let item = Item {
            input,
            _place: place,
        };
        match is_clients {
            true => queues.clients.push_back(item),
            false => queues.others.push_back(item),
        }
        drop(queues);
        self.waiting.arrived.notify_one();
        true
    }

    /// Hands over a peer's message of so many bytes as soon as there is room; false when the node has stopped.
    pub(crate) async fn peer(&self, from: NodeId, message: PeerMessage, bytes: usize) -> bool {
        let place = self.peers.enter(bytes).await;
        self.put(Input::Peer(from, message), Some(place))
    }

    /// Has a request applied, or answered from what is applied.
    pub(crate) async fn ask(&self, request: Request, kind: Kind) -> Answer {
        let came = Instant::now();
        let answer = self.put_question(request, kind).await;
        self.metrics.answered(kind, &answer, came.elapsed());
        answer
    }

    async fn put_question(&self, request: Request, kind: Kind) -> Answer {
        let Some(place) = self.clients.try_enter(size(&request)) else {
            self.metrics.no_room.add(1);
            return Answer::Refused(Refused::Busy);
        };
        let answer = self.question(|answer| {
            let asker = Asker {
                answer,
                place: Some(place),
            };
            match kind {
                Kind::Write => Input::Write(request, asker),
                Kind::Read => Input::Read(request, asker),
                Kind::StaleRead => Input::StaleRead(request, asker),
            }
        });
        answer.await.unwrap_or(Answer::Unknown)
    }

    /// A place for a client's request of so many bytes, for which it waits.
    pub(crate) async fn room(&self, bytes: usize) -> Place {
        self.clients.enter(bytes).await
    }

    /// Asks whether this node leads, and for what it has applied.
    pub(crate) async fn lead(&self) -> Answer {
        let answer = self.question(|answer| {
            Input::Lead(Asker {
                answer,
                place: None,
            })
        });
        answer.await.unwrap_or(Answer::Unknown)
    }

    /// Has changes applied that were decided on what this node had applied.
    pub(crate) async fn decided(&self, changes: Changes) -> Answer {
        let answer = self.question(|answer| {
            let asker = Asker {
                answer,
                place: None,
            };
            Input::Decided(changes, asker)
        });
        answer.await.unwrap_or(Answer::Unknown)
    }

    /// How is it going? `None` when the node has stopped.
    pub(crate) async fn status(&self) -> Option<Status> {
        self.question(Input::Status).await
    }

    async fn question<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.send(input(sender));
        receiver.await.ok()
    }

    /// How is it going, at length? `None` when the node has stopped.
    pub(crate) async fn report(&self) -> Option<Report> {
        self.question(Input::Report).await
    }

    /// Has an order carried out, if this node leads.
    pub(crate) async fn order(&self, order: Order) -> Answer {
        let answer = self.question(|answer| {
            let asker = Asker {
                answer,
                place: None,
            };
            Input::Order(order, asker)
        });
        answer.await.unwrap_or(Answer::Unknown)
    }

    /// All of the state. `None` when the node has stopped.
    pub(crate) async fn export(&self) -> Option<Result<Snapshot, MachineError>> {
        self.question(Input::Export).await
    }

    /// Asks the node to stop.
    pub(crate) fn stop(&self) {
        self.send(Input::Stop);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use bytes::Bytes;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn bounds(clients: Limit, peers: Limit) -> Bounds {
        Bounds { clients, peers }
    }

    fn limit(count: usize, bytes: usize) -> Limit {
        Limit { count, bytes }
    }

    fn get(key_bytes: usize) -> Request {
        vec![vec!["GET".into(), vec![b'k'; key_bytes].into()]]
    }

    /// What became of a question so far.
    async fn state<F: Future + Unpin>(question: &mut F) -> Option<F::Output> {
        let polled = std::future::poll_fn(|context| {
            Poll::Ready(std::pin::Pin::new(&mut *question).poll(context))
        });
        match polled.await {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    fn answer(incoming: &Incoming) {
        match incoming.next(PATIENCE) {
            Some(Input::Read(_, asker) | Input::Write(_, asker)) => {
                asker.tell(Answer::Replies(Vec::new()));
            }
            _ => panic!("no client's request is there"),
        }
    }

    const BUSY: Option<Answer> = Some(Answer::Refused(Refused::Busy));

    #[tokio::test]
    async fn requests_beyond_the_number_allowed_are_refused_and_reach_nobody() {
        let (inbox, incoming) = Inbox::new(bounds(limit(2, 1 << 20), limit(1, 1)));
        let mut first = pin!(inbox.ask(get(1), Kind::Write));
        let mut second = pin!(inbox.ask(get(1), Kind::Read));
        assert_eq!(state(&mut first).await, None);
        assert_eq!(state(&mut second).await, None);
        let mut third = pin!(inbox.ask(get(1), Kind::StaleRead));
        assert_eq!(state(&mut third).await, BUSY);
        answer(&incoming);
        // Room is kept until the answer, not until the node has taken the request.
        let Some(Input::Read(_, taken)) = incoming.next(PATIENCE) else {
            panic!("the second is there");
        };
        assert!(incoming.try_next().is_none(), "the third is not");
        let mut fourth = pin!(inbox.ask(get(1), Kind::Read));
        assert_eq!(state(&mut fourth).await, None);
        let mut fifth = pin!(inbox.ask(get(1), Kind::Read));
        assert_eq!(state(&mut fifth).await, BUSY);
        taken.tell(Answer::Unknown);
        assert_eq!(inbox.clients.used().count, 1);
    }

    #[tokio::test]
    async fn requests_beyond_the_bytes_allowed_are_refused_and_a_huge_one_gets_in_alone() {
        let (inbox, incoming) = Inbox::new(bounds(limit(10, 10_000), limit(1, 1)));
        let mut first = pin!(inbox.ask(get(6000), Kind::Write));
        assert_eq!(state(&mut first).await, None);
        let mut second = pin!(inbox.ask(get(6000), Kind::Write));
        assert_eq!(state(&mut second).await, BUSY);
        let mut huge = pin!(inbox.ask(get(20_000), Kind::Write));
        assert_eq!(state(&mut huge).await, BUSY);
        answer(&incoming);
        let mut huge = pin!(inbox.ask(get(20_000), Kind::Write));
        assert_eq!(state(&mut huge).await, None);
        assert_eq!(inbox.clients.used(), limit(1, 10_000));
        let mut small = pin!(inbox.ask(get(1), Kind::Write));
        assert_eq!(state(&mut small).await, BUSY);
        answer(&incoming);
        assert_eq!(inbox.clients.used(), limit(0, 0));
    }

    #[tokio::test]
    async fn clients_never_take_the_room_of_peers_nor_their_turn() {
        let (inbox, incoming) = Inbox::new(bounds(limit(100, 1 << 20), limit(10, 1000)));
        let asks: Vec<_> = (0..200)
            .map(|_| {
                let inbox = inbox.clone();
                tokio::spawn(async move { inbox.ask(get(1), Kind::Write).await })
            })
            .collect();
        while inbox.clients.used().count < 100 {
            tokio::task::yield_now().await;
        }
        assert!(inbox.peer(2, PeerMessage::Removed, 1000).await);
        let mut taken = (0..2).filter_map(|_| incoming.try_next());
        let is_peers = |input: Input| matches!(input, Input::Peer(..));
        assert!(taken.any(is_peers), "before 99 others");
        drop(incoming);
        for ask in asks {
            let answer = ask.await.unwrap();
            let known = [Answer::Unknown, Answer::Refused(Refused::Busy)];
            assert!(known.contains(&answer), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn peers_do_not_keep_clients_from_their_turn() {
        let (inbox, incoming) = Inbox::new(Bounds::default());
        for _ in 0..100 {
            assert!(inbox.peer(2, PeerMessage::Removed, 1).await);
        }
        let mut ask = pin!(inbox.ask(get(1), Kind::Read));
        assert_eq!(state(&mut ask).await, None);
        let turns = (0..CLIENTS_TURN).filter_map(|_| incoming.try_next());
        let clients = turns.filter(|input| matches!(input, Input::Read(..)));
        assert_eq!(clients.count(), 1);
    }

    #[tokio::test]
    async fn a_peers_message_waits_for_room_and_its_stream_with_it() {
        let (inbox, incoming) = Inbox::new(bounds(limit(1, 1), limit(2, 1000)));
        assert!(inbox.peer(2, PeerMessage::Removed, 600).await);
        let mut second = pin!(inbox.peer(3, PeerMessage::Removed, 600));
        assert_eq!(state(&mut second).await, None);
        // What is this node's own needs none.
        assert!(inbox.send(Input::Removed));
        assert!(matches!(incoming.try_next(), Some(Input::Peer(2, _))));
        assert_eq!(state(&mut second).await, Some(true));
        assert!(matches!(incoming.try_next(), Some(Input::Removed)));
        assert!(matches!(incoming.try_next(), Some(Input::Peer(3, _))));
        drop(incoming);
        assert!(!inbox.peer(2, PeerMessage::Removed, 1).await);
    }

    #[test]
    fn the_size_of_a_request_counts_arguments_as_well_as_bytes() {
        assert_eq!(size(&get(10)), 13 + 2 * ARGUMENT_OVERHEAD_BYTES);
        let empty = vec![vec![Bytes::new(); 1000]];
        assert!(size(&empty) > 10_000);
    }
}
