//! Requests that a peer forwards: a refusal is final, whatever the network brings again.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft::{Configuration, HardState, Refused};
use replica::{Actions, Event, Now, Origin, PeerMessage, Recovered, Replica, Settings};
use storage::MemoryEngine;

struct Server {
    replica: Replica,
    now: Now,
    /// Writes that are not durable.
    waiting: Vec<u64>,
}

impl Server {
    fn new() -> Self {
        Self::with(HardState::default())
    }

    /// The only voter, whose log takes as good as nothing before it is committed.
    fn with(hard_state: HardState) -> Self {
        let mut settings = Settings::new(1);
        settings.raft.max_uncommitted_bytes = 1;
        let log = Recovered {
            hard_state,
            configuration: Configuration::of_voters([1]),
            ..Recovered::default()
        };
        let now = Now::default();
        let engine = Arc::new(MemoryEngine::new());
        let (replica, _) = Replica::open(settings, engine, log, 1, now, 1).unwrap();
        Self {
            replica,
            now,
            waiting: Vec::new(),
        }
    }

    fn step(&mut self, event: Event) -> Actions {
        self.replica.step(self.now, event).unwrap()
    }

    /// All that was written is durable.
    fn persist(&mut self) {
        while let Some(number) = self.waiting.pop() {
            let actions = self.step(Event::Persisted(number));
            self.waiting.extend(actions.write.map(|write| write.number));
        }
    }

    /// It is elected.
    fn win(&mut self) {
        self.now.time += Duration::from_secs(1);
        let actions = self.step(Event::Tick);
        self.waiting.extend(actions.write.map(|write| write.number));
        self.persist();
        assert!(self.replica.is_leader());
    }

    /// What becomes of a sending of a request.
    fn forward(&mut self, term: u64, attempt: u64) -> Fate {
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
        self.waiting.extend(actions.write.map(|write| write.number));
        match (proposed, refused) {
            (true, None) => Fate::Proposed,
            (false, Some(why)) => Fate::Refused(why),
            (false, None) => Fate::NoAnswer,
            (true, Some(why)) => panic!("proposed and refused: {why}"),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Fate {
    Proposed,
    Refused(Refused),
    NoAnswer,
}

#[test]
fn what_a_follower_refused_is_not_proposed_when_it_comes_again_at_the_leader() {
    let mut server = Server::new();
    let refused = Fate::Refused(Refused::NotLeader(None));
    assert_eq!(server.forward(1, 1), refused);
    server.win();
    assert_eq!(server.forward(1, 1), Fate::NoAnswer);
    assert_eq!(server.forward(1, 2), Fate::Proposed, "a new sending");
}

#[test]
fn what_a_busy_leader_refused_is_not_proposed_when_it_comes_again_later() {
    let mut server = Server::new();
    server.win();
    assert_eq!(server.forward(1, 1), Fate::Proposed);
    assert_eq!(server.forward(1, 2), Fate::Refused(Refused::Busy));
    server.persist();
    assert_eq!(server.forward(1, 2), Fate::NoAnswer);
    assert_eq!(server.forward(1, 3), Fate::Proposed, "a new sending");
}

#[test]
fn what_was_proposed_is_not_called_refused_when_it_comes_again() {
    let mut server = Server::new();
    server.win();
    assert_eq!(server.forward(1, 1), Fate::Proposed);
    assert_eq!(server.forward(1, 1), Fate::NoAnswer, "though it is busy");
    assert_eq!(
        server.forward(2, 2),
        Fate::Refused(Refused::NotLeader(Some(1)))
    );
}

/// It may have proposed it before it started.
#[test]
fn a_server_that_started_since_does_not_call_refused_what_it_may_have_proposed() {
    let hard_state = HardState {
        term: 7,
        ..HardState::default()
    };
    let mut server = Server::with(hard_state);
    assert_eq!(server.forward(7, 1), Fate::NoAnswer);
    assert_eq!(
        server.forward(8, 2),
        Fate::Refused(Refused::NotLeader(None))
    );
}
