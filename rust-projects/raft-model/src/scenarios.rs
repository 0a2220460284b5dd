//! Where runs begin, their bounds, and what each must meet to mean something.

use std::collections::BTreeSet;

use raft::{Configuration, Input, NodeId, Role};
use stateright::Model as _;

use crate::disk::Server;
use crate::model::{Action, RaftModel};
use crate::rules::{Event, Seen};
use crate::state::{Left, State};

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
        about: "two terms, one command, two messages under way, one crash",
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
        name: "figure-8",
        about: "figure 8 (c): a leader of term 3 with an entry of term 1 that a leader of term 2 may yet overwrite",
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
            Event::SteppedDown,
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
        name: "read",
        about: "reads over a change of the leader, with an old answer to a heartbeat still under way",
        model: read,
        meets: &[
            Event::ElectedInTerm2,
            Event::CommandCommitted,
            Event::ReadAnswered,
            Event::ReadFailed,
        ],
    },
];

/// The scenario of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

fn small() -> RaftModel {
    RaftModel {
        max_in_flight: 2,
        ..begin(
            3,
            &[1, 2, 3],
            Left {
                commands: 1,
                crashes: 1,
                ..Left::default()
            },
        )
    }
}

fn full() -> RaftModel {
    begin(
        3,
        &[1, 2, 3],
        Left {
            commands: 1,
            crashes: 1,
            duplicates: 1,
            ..Left::default()
        },
    )
}

fn pre_vote() -> RaftModel {
    RaftModel {
        pre_vote_messages: true,
        max_in_flight: 3,
        ..begin(
            3,
            &[1, 2, 3],
            Left {
                duplicates: 1,
                ..Left::default()
            },
        )
    }
}

fn late() -> RaftModel {
    RaftModel {
        late_completions: true,
        max_in_flight: 3,
        ..begin(
            3,
            &[1, 2, 3],
            Left {
                commands: 1,
                crashes: 1,
                ..Left::default()
            },
        )
    }
}

fn figure_8() -> RaftModel {
    let mut script = Script::new(RaftModel {
        max_term: 4,
        max_message_bytes: 0,
        ..begin(
            3,
            &[1, 2, 3],
            Left {
                commands: 2,
                heartbeats: 1,
                ..Left::default()
            },
        )
    });
    script.elect(1, &[1, 2, 3]);
    script.settle(&[1, 2, 3]);
    script.act(Action::Propose(1));
    script.settle(&[1]);
    script.elect(3, &[2, 3]);
    script.settle(&[3]);
    // Server 1 learns of term 2.
    script.act(Action::Heartbeat(1));
    script.settle(&[1, 2]);
    script.elect(1, &[1, 2]);
    script.done(Left {
        crashes: 1,
        heartbeats: 1,
        ..Left::default()
    })
}

fn joint() -> RaftModel {
    let mut script = Script::new(begin(4, &[1, 2, 3], Left::default()));
    script.elect(1, &[1, 2, 3]);
    script.settle(&[1, 2, 3]);
    script.change(1, &[1, 4]);
    script.done(Left {
        crashes: 1,
        ..Left::default()
    })
}

fn self_removal() -> RaftModel {
    let mut script = Script::new(begin(3, &[1, 2, 3], Left::default()));
    script.elect(1, &[1, 2, 3]);
    script.settle(&[1, 2, 3]);
    script.change(1, &[2, 3]);
    script.settle_until(&[1, 2, 3], |state| {
        !state.server(1).core.configuration().1.is_joint()
    });
    script.done(Left {
        commands: 1,
        crashes: 1,
        ..Left::default()
    })
}

fn snapshot() -> RaftModel {
    let left = Left {
        commands: 3,
        heartbeats: 2,
        snapshots: 1,
        ..Left::default()
    };
    let mut script = Script::new(RaftModel {
        max_term: 3,
        ..begin(3, &[1, 2, 3], left)
    });
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
    script.settle_until(&[1, 3], |state| {
        state
            .wire
            .iter()
            .any(|sent| matches!(sent.value.message, raft::Message::InstallSnapshot { .. }))
    });
    script.done(Left {
        commands: 1,
        crashes: 1,
        duplicates: 1,
        ..Left::default()
    })
}

fn read() -> RaftModel {
    let left = Left {
        heartbeats: 1,
        ..Left::default()
    };
    let mut script = Script::new(RaftModel {
        max_in_flight: 3,
        ..begin(3, &[1, 2, 3], left)
    });
    script.elect(1, &[1, 2, 3]);
    script.settle(&[1, 2, 3]);
    script.act(Action::Heartbeat(1));
    script.settle_until(&[1, 2], |state| {
        state.wire.iter().any(|sent| sent.value.from == 2)
    });
    script.done(Left {
        commands: 1,
        reads: 2,
        ..Left::default()
    })
}

/// A cluster in which nothing has happened yet, with the bounds of the full run.
fn begin(servers: u64, voters: &[NodeId], left: Left) -> RaftModel {
    let max_message_bytes = 1 << 20;
    let mut start = State {
        servers: Vec::new(),
        wire: Vec::new(),
        committed: Vec::new(),
        leaders: Vec::new(),
        reads: Vec::new(),
        left,
        broken: None,
    };
    for id in 1..=servers {
        let configuration = if voters.contains(&id) {
            Configuration::of_voters(voters.iter().copied())
        } else {
            Configuration::default()
        };
        start.servers.push(crate::state::Hashed::new(Server::new(
            id,
            configuration,
            max_message_bytes,
        )));
    }
    RaftModel {
        start,
        max_term: 2,
        max_in_flight: 4,
        max_message_bytes,
        pre_vote_messages: false,
        late_completions: false,
        seen: Seen::default(),
    }
}

/// Leads a cluster to where a run is to begin.
struct Script {
    model: RaftModel,
    state: State,
}

impl Script {
    fn new(mut model: RaftModel) -> Self {
        let bytes = model.max_message_bytes;
        let voters: Vec<_> = model.start.ids().collect();
        for id in voters {
            let configuration = model.start.server(id).disk.configuration.clone();
            model.start.put(Server::new(id, configuration, bytes));
        }
        let state = model.start.clone();
        Self { model, state }
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
            let Some(sent) = state.wire.first().cloned() else {
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
