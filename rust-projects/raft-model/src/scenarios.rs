//! Where runs begin, their bounds, and what each must meet to mean something.

use std::collections::BTreeSet;

use raft::{Configuration, Input, Message, NodeId, Role};
use stateright::Model as _;

use crate::disk::Server;
use crate::model::{Action, RaftModel};
use crate::rules::{Event, Seen};
use crate::state::{Hashed, Left, Sent, State};

/// A run: where it begins and what it must meet.
pub struct Scenario {
    /// For the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Builds the model.
    pub model: fn() -> RaftModel,
    /// What must happen on the way.
    pub meets: &'static [Event],
}

/// All of them, the cheap ones first.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "small",
        about: "two terms, one command, one message under way, one crash",
        model: small,
        meets: &[
            Event::ElectedInTerm2,
            Event::CommandCommitted,
            Event::Truncated,
            Event::WriteLost,
            Event::Lost,
        ],
    },
    Scenario {
        name: "two",
        about: "two terms, one command, two messages under way, one crash",
        model: two,
        meets: &[
            Event::ElectedInTerm2,
            Event::CommandCommitted,
            Event::OlderTermCommitted,
            Event::Truncated,
            Event::WriteLost,
        ],
    },
    Scenario {
        name: "full",
        about: "two terms, one command, four messages under way, one crash, one of them twice",
        model: full,
        meets: &[
            Event::ElectedInTerm1,
            Event::ElectedInTerm2,
            Event::CommandCommitted,
            Event::OlderTermCommitted,
            Event::Truncated,
            Event::WriteLost,
            Event::CleanCrash,
            Event::Duplicated,
            Event::Lost,
        ],
    },
    Scenario {
        name: "pre-vote",
        about: "pre-vote by messages that are lost, late and repeated like others",
        model: pre_vote,
        meets: &[Event::ElectedInTerm2, Event::Lost],
    },
    Scenario {
        name: "late",
        about: "the core learns of a write long after it is durable",
        model: late,
        meets: &[
            Event::ElectedInTerm2,
            Event::CommandCommitted,
            Event::WriteLost,
        ],
    },
    Scenario {
        name: "lagging",
        about: "a leader of term 1 whose first entry is committed, and server 3 that has nothing yet",
        model: lagging,
        meets: &[
            Event::ElectedInTerm2,
            Event::CommandCommitted,
            Event::WriteLost,
            Event::Truncated,
        ],
    },
    Scenario {
        name: "figure-8",
        about: "figure 8 (c): an entry of term 1, on its way from the leader of term 3, that a leader of term 4 may yet overwrite",
        model: figure_8,
        meets: &[
            Event::ElectedLater,
            Event::Truncated,
            Event::OlderTermCommitted,
        ],
    },
    Scenario {
        name: "joint",
        about: "{1 2 3} becomes {1 4}: the joint configuration is on its way",
        model: joint,
        meets: &[
            Event::ElectedInTerm2,
            Event::JointCommitted,
            Event::ChangeCommitted,
        ],
    },
    Scenario {
        name: "self-removal",
        about: "{1 2 3} becomes {2 3}: leader 1 has committed the joint configuration, the final one is on its way",
        model: self_removal,
        meets: &[
            Event::ElectedInTerm2,
            Event::ChangeCommitted,
            Event::SteppedDown,
            Event::CommandCommitted,
        ],
    },
    Scenario {
        name: "snapshot",
        about: "a snapshot on its way to a server whose longer log contradicts it",
        model: snapshot,
        meets: &[
            Event::Installed,
            Event::WriteLost,
            Event::ElectedLater,
            Event::CommandCommitted,
        ],
    },
    Scenario {
        name: "old-snapshot",
        about: "a snapshot that arrives again after its receiver has compacted its log beyond it",
        model: old_snapshot,
        meets: &[Event::ElectedLater, Event::WriteLost],
    },
    Scenario {
        name: "read",
        about: "reads over a change of the leader, with an old answer to a heartbeat still under way",
        model: read,
        meets: &[Event::ReadAnswered, Event::ReadFailed],
    },
];

/// The scenario of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

/// Nothing is left to happen but messages, disks and elections.
const NONE: Left = Left {
    commands: 0,
    crashes: 0,
    duplicates: 0,
    heartbeats: 0,
    reads: 0,
    snapshots: 0,
};

/// One command and one crash.
const ONE_EACH: Left = Left {
    commands: 1,
    crashes: 1,
    ..NONE
};

fn small() -> RaftModel {
    let mut model = begin(3, ONE_EACH);
    model.max_in_flight = 1;
    model
}

fn two() -> RaftModel {
    let mut model = begin(3, ONE_EACH);
    model.max_in_flight = 2;
    model
}

fn full() -> RaftModel {
    begin(
        3,
        Left {
            duplicates: 1,
            ..ONE_EACH
        },
    )
}

fn pre_vote() -> RaftModel {
    let mut model = begin(
        3,
        Left {
            duplicates: 1,
            ..NONE
        },
    );
    model.pre_vote_messages = true;
    model.max_in_flight = 3;
    model
}

fn late() -> RaftModel {
    let mut model = begin(3, ONE_EACH);
    model.late_completions = true;
    model.max_in_flight = 3;
    model
}

fn lagging() -> RaftModel {
    let mut script = Script::new(begin(3, NONE));
    script.elect(1, &[1, 2]);
    script.settle(&[1, 2]);
    script.done(ONE_EACH)
}

fn figure_8() -> RaftModel {
    let mut model = begin(
        3,
        Left {
            commands: 1,
            heartbeats: 3,
            ..NONE
        },
    );
    model.max_term = 4;
    model.one_entry_a_message();
    let mut script = Script::new(model);
    script.elect(1, &[1, 2, 3]);
    script.settle(&[1, 2, 3]);
    script.act(Action::Propose(1));
    script.settle(&[1]);
    script.elect(3, &[2, 3]);
    script.settle(&[3]);
    // Server 1 learns of term 2, stands and wins term 3, of which server 3 learns, from server 2.
    script.act(Action::Heartbeat(1));
    script.settle(&[1, 2]);
    script.elect(1, &[1, 2]);
    script.act(Action::Heartbeat(3));
    script.settle(&[2, 3]);
    script.act(Action::Heartbeat(1));
    script.settle_until(&[1, 2], |state| {
        let is_old = |sent: &Sent| match &sent.value.message {
            Message::Append { entries, .. } => {
                entries.first().is_some_and(|first| first.id.term == 1)
            }
            _ => false,
        };
        state.wire.iter().any(is_old)
    });
    script.done(Left { crashes: 1, ..NONE })
}

fn joint() -> RaftModel {
    let mut script = Script::new(begin(4, NONE));
    script.elect(1, &[1, 2, 3]);
    script.settle(&[1, 2, 3]);
    script.change(1, &[1, 4]);
    script.done(Left { crashes: 1, ..NONE })
}

fn self_removal() -> RaftModel {
    let mut script = Script::new(begin(3, NONE));
    script.elect(1, &[1, 2, 3]);
    script.settle(&[1, 2, 3]);
    script.change(1, &[2, 3]);
    script.settle_until(&[1, 2, 3], |state| {
        !state.server(1).core.configuration().1.is_joint()
    });
    script.done(ONE_EACH)
}

fn snapshot() -> RaftModel {
    snapshot_on_its_way().done(Left {
        duplicates: 1,
        ..ONE_EACH
    })
}

fn snapshot_on_its_way() -> Script {
    let mut model = begin(
        3,
        Left {
            commands: 3,
            heartbeats: 3,
            snapshots: 2,
            ..NONE
        },
    );
    model.max_term = 3;
    let mut script = Script::new(model);
    // Server 3 leads term 1, in which server 1 stood too, and writes what nobody else gets.
    script.act(Action::Campaign(1));
    script.settle(&[1]);
    script.elect(3, &[2, 3]);
    script.act(Action::Propose(3));
    script.act(Action::Propose(3));
    script.settle(&[3]);
    script.elect(1, &[1, 2]);
    script.settle(&[1, 2]);
    script.act(Action::Heartbeat(1));
    script.settle(&[1, 2]);
    script.act(Action::Snapshot(1));
    script.act(Action::Heartbeat(1));
    script.settle_until(&[1, 3], |state| state.wire.iter().any(is_snapshot));
    script
}

fn is_snapshot(sent: &Sent) -> bool {
    matches!(sent.value.message, Message::InstallSnapshot { .. })
}

fn old_snapshot() -> RaftModel {
    let mut script = snapshot_on_its_way();
    let old = script.hold(is_snapshot);
    script.state.left.duplicates = 1;
    script.act(Action::Duplicate(old));
    script.model.input(
        &mut script.state,
        1,
        Input::SnapshotSent {
            to: 3,
            delivered: true,
        },
    );
    script.act(Action::Propose(1));
    script.settle(&[1, 2, 3]);
    script.act(Action::Heartbeat(1));
    script.settle(&[1, 2, 3]);
    script.act(Action::Snapshot(3));
    script.done(Left { crashes: 1, ..NONE })
}

fn read() -> RaftModel {
    let mut script = Script::new(begin(
        3,
        Left {
            commands: 1,
            heartbeats: 1,
            ..NONE
        },
    ));
    script.elect(1, &[1, 2, 3]);
    script.settle(&[1, 2, 3]);
    script.act(Action::Heartbeat(1));
    let answered = |state: &State| state.wire.iter().any(|sent| sent.value.from == 2);
    script.settle_until(&[1, 2], answered);
    script.hold(|sent| sent.value.from == 2);
    // Server 2 holds the command, wins term 2, and does not know that the command is committed.
    script.act(Action::Propose(1));
    script.settle_until(&[1, 2], |state| state.server(1).core.committed() == 2);
    script.settle(&[1]);
    script.elect(2, &[2, 3]);
    script.settle(&[2]);
    script.done(Left {
        heartbeats: 1,
        reads: 2,
        ..NONE
    })
}

/// A cluster of servers 1, 2, 3, and others that are to join, in which nothing has happened yet, with the bounds of the full run.
fn begin(servers: NodeId, left: Left) -> RaftModel {
    let max_message_bytes = 1 << 20;
    let configuration = |id| match id {
        1..=3 => Configuration::of_voters(1..=3),
        _ => Configuration::default(),
    };
    let servers =
        (1..=servers).map(|id| Hashed::new(Server::new(id, configuration(id), max_message_bytes)));
    RaftModel {
        start: State {
            servers: servers.collect(),
            wire: Vec::new(),
            committed: Vec::new(),
            leaders: Vec::new(),
            reads: Vec::new(),
            left,
            broken: None,
        },
        max_term: 2,
        max_in_flight: 4,
        max_message_bytes,
        pre_vote_messages: false,
        late_completions: false,
        seen: Seen::default(),
    }
}

impl RaftModel {
    fn one_entry_a_message(&mut self) {
        self.max_message_bytes = 0;
        for id in self.start.ids() {
            let configuration = self.start.server(id).disk.configuration.clone();
            self.start.put(Server::new(id, configuration, 0));
        }
    }
}

/// Leads a cluster to where a run is to begin.
struct Script {
    model: RaftModel,
    state: State,
    /// Under way all the time.
    held: Vec<Sent>,
}

impl Script {
    fn new(model: RaftModel) -> Self {
        let state = model.start.clone();
        Self {
            model,
            state,
            held: Vec::new(),
        }
    }

    fn act(&mut self, action: Action) {
        let next = self.model.next_state(&self.state, action);
        self.state = next.expect("a script takes only steps that are possible");
        assert_eq!(self.state.broken, None, "a script breaks no rule");
    }

    fn change(&mut self, leader: NodeId, voters: &[NodeId]) {
        let voters: BTreeSet<_> = voters.iter().copied().collect();
        let input = Input::Change {
            voters,
            learners: BTreeSet::new(),
        };
        self.model.input(&mut self.state, leader, input);
    }

    /// Keeps the message under way that `is` it.
    fn hold(&mut self, is: impl Fn(&Sent) -> bool) -> Sent {
        let found = self.state.wire.iter().find(|sent| is(sent)).cloned();
        let sent = found.expect("a script holds what is under way");
        self.held.push(Sent::clone(&sent));
        sent
    }

    /// Makes `id` the leader of its next term. Only servers in `among` hear each other. What the new leader sends is under way afterwards.
    fn elect(&mut self, id: NodeId, among: &[NodeId]) {
        self.act(Action::Campaign(id));
        self.settle_until(among, |state| state.server(id).core.role() == Role::Leader);
    }

    fn settle(&mut self, among: &[NodeId]) {
        self.settle_until(among, |_| false);
    }

    /// Does all that can be done, disks first, until nothing is left to do or `enough`. Messages from or to others than `among` are lost.
    fn settle_until(&mut self, among: &[NodeId], enough: impl Fn(&State) -> bool) {
        while !enough(&self.state) {
            let state = &self.state;
            let mut ids = among.iter().copied();
            if let Some(id) = ids.find(|&id| !state.server(id).unsynced.is_empty()) {
                self.act(Action::Sync(id, 1));
                continue;
            }
            let mut wire = state.wire.iter();
            let Some(sent) = wire.find(|sent| !self.held.contains(sent)).cloned() else {
                return;
            };
            let (from, to) = (sent.value.from, sent.value.to);
            if among.contains(&from) && among.contains(&to) {
                self.act(Action::Deliver(sent));
            } else {
                self.act(Action::Lose(sent));
            }
        }
    }

    /// The run begins here, with so much left to happen.
    fn done(self, left: Left) -> RaftModel {
        let start = State { left, ..self.state };
        RaftModel {
            start,
            seen: Seen::default(),
            ..self.model
        }
    }
}
