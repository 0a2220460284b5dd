//! Requests that a peer forwards: a refusal is final, whatever the network brings again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft::{Configuration, Refused};
use replica::{Actions, Event, Now, Origin, PeerMessage, Recovered, Replica, Settings};
use storage::MemoryEngine;

struct Server {
    replica: Replica,
    now: Now,
}

impl Server {
    /// The only voter, whose log takes as good as nothing before it is committed.
    fn new() -> Self {
        let mut settings = Settings::new(1);
        settings.raft.max_uncommitted_bytes = 1;
        let log = Recovered {
            configuration: Configuration::of_voters([1]),
            ..Recovered::default()
        };
        let now = Now::default();
        let engine = Arc::new(MemoryEngine::new());
        let (replica, _) = Replica::open(settings, engine, log, 1, now, 1).unwrap();
        Self { replica, now }
    }

    fn step(&mut self, event: Event) -> Actions {
        self.replica.step(self.now, event).unwrap()
    }

    /// All that was written is durable.
    fn persist(&mut self, mut actions: Actions) {
        while let Some(write) = actions.write {
            actions = self.step(Event::Persisted(write.number));
        }
    }

    /// It stands for election; the write that makes it the leader waits.
    fn stand(&mut self) -> Actions {
        self.now.time += Duration::from_secs(1);
        self.step(Event::Tick)
    }

    /// Why the request was not proposed, if it was not.
    fn forward(&mut self, term: u64, attempt: u64) -> Option<Refused> {
        let origin = Origin {
            node: 2,
            boot: 1,
            sequence: 1,
            oldest: 1,
        };
        let forward = PeerMessage::Forward {
            term,
            origin,
            attempt,
            request: vec![vec![Bytes::from_static(b"INCR"), Bytes::from_static(b"n")]],
        };
        let last = self.replica.core().last();
        let actions = self.step(Event::Peer(2, forward));
        let refused = actions
            .messages
            .iter()
            .find_map(|(_, message)| match message {
                PeerMessage::NotProposed { why, .. } => Some(*why),
                _ => None,
            });
        let proposed = self.replica.core().last() != last;
        assert_eq!(proposed, refused.is_none(), "either proposed or refused");
        self.persist(actions);
        refused
    }
}

#[test]
fn what_was_refused_by_a_follower_is_not_proposed_when_it_comes_again_at_the_leader() {
    let mut server = Server::new();
    assert_eq!(server.forward(0, 1), Some(Refused::NotLeader(None)));
    let standing = server.stand();
    server.persist(standing);
    assert!(server.replica.is_leader());
    assert_eq!(server.forward(0, 1), Some(Refused::NotLeader(Some(1))));
    assert_eq!(
        server.forward(1, 2),
        None,
        "a new sending is for the leader of this term"
    );
}

#[test]
fn what_was_refused_by_a_busy_leader_is_not_proposed_when_it_comes_again_later() {
    let mut server = Server::new();
    let standing = server.stand();
    let number = standing.write.unwrap().number;
    let elected = server.step(Event::Persisted(number));
    let set = vec![vec![
        Bytes::from_static(b"SET"),
        Bytes::from_static(b"k"),
        Bytes::from_static(b"v"),
    ]];
    let busy = server.step(Event::Write(vec![(1, set)]));
    assert_eq!(server.forward(1, 1), Some(Refused::Busy));
    server.persist(elected);
    server.persist(busy);
    assert_eq!(
        server.forward(1, 1),
        Some(Refused::Busy),
        "it was refused for good"
    );
    assert_eq!(server.forward(1, 2), None, "a new sending is taken");
}
