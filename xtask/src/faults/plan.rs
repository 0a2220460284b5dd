//! Which faults, when: decided beforehand, from a seed alone.
//!
//! [`plan`] lays out a run as a list of [`Step`]s in virtual time, and [`desired`] says what the faults that are on at a moment ask of nodes
//! and links. Who carries that out decides nothing, so both are tested without a process or a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use super::proxy::Cut;

/// Nodes are numbered from 1.
pub(crate) type Node = usize;

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// SIGKILL of a node, and its restart.
    Kill,
    /// SIGKILL of all nodes at once.
    KillAll,
    /// SIGSTOP and SIGCONT.
    Pause,
    /// Everything to and from a node takes longer.
    Delay,
    /// Two nodes do not hear each other.
    CutBothWays,
    /// Some are heard by others but do not hear them.
    CutOneWay,
    /// A node is cut off from all others.
    Isolate,
    /// Connections end, and may be made again at once.
    Break,
    /// One node after another is stopped in good order and started again.
    RollingRestart,
    /// SIGKILL of a node whose data is lost for good; a new one takes its place.
    Replace,
    /// The disk of a node is full.
    FullDisk,
}

impl Kind {
    pub(crate) const ALL: [Self; 11] = [
        Self::Kill,
        Self::KillAll,
        Self::Pause,
        Self::Delay,
        Self::CutBothWays,
        Self::CutOneWay,
        Self::Isolate,
        Self::Break,
        Self::RollingRestart,
        Self::Replace,
        Self::FullDisk,
    ];

    /// Nothing else happens meanwhile: it waits for nodes, which another fault could keep from coming back.
    fn is_alone(self) -> bool {
        matches!(self, Self::RollingRestart | Self::Replace)
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL of a node, and its restart",
            Self::KillAll => "SIGKILL of all nodes at once",
            Self::Pause => "SIGSTOP and SIGCONT of a node",
            Self::Delay => "links of a node delayed",
            Self::CutBothWays => "link cut both ways",
            Self::CutOneWay => "one-way partition",
            Self::Isolate => "node isolated",
            Self::Break => "connections of a node broken",
            Self::RollingRestart => "rolling restart",
            Self::Replace => "dead node replaced by a new one",
            Self::FullDisk => "full disk of a node",
        }
    }
}

/// A fault on certain nodes and links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill(Node),
    KillAll,
    Pause(Node),
    Delay(Node, Duration),
    /// These directed links.
    Cut(Kind, Vec<(Node, Node)>, Cut),
    Break(Node),
    RollingRestart,
    Replace(Node),
    /// Of the one node whose disk can be filled.
    FullDisk,
}

impl Fault {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Kill(_) => Kind::Kill,
            Self::KillAll => Kind::KillAll,
            Self::Pause(_) => Kind::Pause,
            Self::Delay(..) => Kind::Delay,
            Self::Cut(kind, ..) => *kind,
            Self::Break(_) => Kind::Break,
            Self::RollingRestart => Kind::RollingRestart,
            Self::Replace(_) => Kind::Replace,
            Self::FullDisk => Kind::FullDisk,
        }
    }

    /// The same fault with two nodes in each other's place.
    pub(crate) fn swapped(self, a: Node, b: Node) -> Self {
        let swap = |node| match node {
            _ if node == a => b,
            _ if node == b => a,
            _ => node,
        };
        match self {
            Self::Kill(node) => Self::Kill(swap(node)),
            Self::Pause(node) => Self::Pause(swap(node)),
            Self::Delay(node, delay) => Self::Delay(swap(node), delay),
            Self::Cut(kind, links, cut) => {
                let links = links.into_iter().map(|(from, to)| (swap(from), swap(to)));
                Self::Cut(kind, links.collect(), cut)
            }
            Self::Break(node) => Self::Break(swap(node)),
            Self::Replace(node) => Self::Replace(swap(node)),
            Self::KillAll | Self::RollingRestart | Self::FullDisk => self,
        }
    }

    /// The nodes that cannot do their part while it is on. A cut link costs one of its ends: the one named first.
    fn disturbed(&self, nodes: Node) -> BTreeSet<Node> {
        match self {
            Self::Kill(node) | Self::Pause(node) => [*node].into(),
            Self::KillAll => (1..=nodes).collect(),
            Self::Cut(_, links, _) => links.first().map(|link| link.0).into_iter().collect(),
            // Whose disk it is does not matter here: it is the last one's.
            Self::FullDisk => [nodes].into(),
            Self::Delay(..) | Self::Break(_) | Self::RollingRestart | Self::Replace(_) => {
                BTreeSet::new()
            }
        }
    }
}

/// A fault begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Since the beginning of the run.
    pub(crate) at: Duration,
    /// Which fault of the plan.
    pub(crate) number: usize,
    pub(crate) change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// If `on_leader` holds this node, it changes places with whoever leads then.
    Begin {
        fault: Fault,
        on_leader: Option<Node>,
    },
    End,
}

/// Before the first fault.
const WARM_UP: Duration = Duration::from_secs(1);

/// Lays out a run of this length of faults of these kinds, in the order of time. Every fault ends within it. Each kind comes once before any
/// comes again.
pub(crate) fn plan(seed: u64, nodes: Node, length: Duration, kinds: &[Kind]) -> Vec<Step> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut steps = Vec::new();
    let mut deck = Vec::new();
    let mut at = WARM_UP;
    let mut number = 0;
    loop {
        let first = draw(&mut rng, &mut deck, kinds);
        let hold = millis(&mut rng, 500, 5000);
        if at + hold > length {
            break;
        }
        let mut end = at + hold;
        add(&mut steps, &mut rng, nodes, (first, number), (at, end));
        number += 1;
        // Some have company.
        if rng.random_bool(0.3) && !first.is_alone() {
            let others = kinds.iter().copied();
            let others = others.filter(|&kind| kind != first && !kind.is_alone());
            let others: Vec<_> = others.collect();
            let begin = at + hold.mul_f64(rng.random_range(0.0..1.0));
            let until = (begin + millis(&mut rng, 300, 4000)).min(length);
            if !others.is_empty() {
                let kind = others[rng.random_range(0..others.len())];
                add(&mut steps, &mut rng, nodes, (kind, number), (begin, until));
                number += 1;
                end = end.max(until);
            }
        }
        at = end + millis(&mut rng, 300, 3000);
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn millis(rng: &mut SmallRng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.random_range(from..to))
}

fn draw(rng: &mut SmallRng, deck: &mut Vec<Kind>, kinds: &[Kind]) -> Kind {
    if deck.is_empty() {
        deck.extend(kinds);
        deck.shuffle(rng);
    }
    deck.pop().expect("a plan has kinds of faults")
}

fn add(
    steps: &mut Vec<Step>,
    rng: &mut SmallRng,
    nodes: Node,
    (kind, number): (Kind, usize),
    (begin, end): (Duration, Duration),
) {
    let node = rng.random_range(1..=nodes);
    let fault = fault(rng, kind, node, nodes);
    let on_leader = rng.random_bool(0.5).then_some(node);
    let change = Change::Begin { fault, on_leader };
    steps.push(Step {
        at: begin,
        number,
        change,
    });
    steps.push(Step {
        at: end,
        number,
        change: Change::End,
    });
}

/// A fault of this kind, about this node as far as it is about one.
fn fault(rng: &mut SmallRng, kind: Kind, node: Node, nodes: Node) -> Fault {
    let others: Vec<_> = (1..=nodes).filter(|&other| other != node).collect();
    let other = others[rng.random_range(0..others.len())];
    let cut = match rng.random_bool(0.5) {
        true => Cut::Silent,
        false => Cut::Refused,
    };
    let out = || others.iter().map(|&other| (node, other));
    let back = || others.iter().map(|&other| (other, node));
    match kind {
        Kind::Kill => Fault::Kill(node),
        Kind::KillAll => Fault::KillAll,
        Kind::Pause => Fault::Pause(node),
        Kind::Delay => Fault::Delay(node, millis(rng, 5, 200)),
        Kind::CutBothWays => Fault::Cut(kind, vec![(node, other), (other, node)], cut),
        Kind::CutOneWay => {
            let links = match rng.random_range(0..3) {
                0 => vec![(node, other)],
                1 => out().collect(),
                _ => back().collect(),
            };
            Fault::Cut(kind, links, cut)
        }
        Kind::Isolate => Fault::Cut(kind, out().chain(back()).collect(), cut),
        Kind::Break => Fault::Break(node),
        Kind::RollingRestart => Fault::RollingRestart,
        Kind::Replace => Fault::Replace(node),
        Kind::FullDisk => Fault::FullDisk,
    }
}

/// What a node should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeState {
    Running,
    Paused,
    Dead,
}

/// What a link should do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkState {
    pub(crate) delay: Duration,
    pub(crate) cut: Option<Cut>,
}

/// How things should be while certain faults are on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Desired {
    pub(crate) nodes: BTreeMap<Node, NodeState>,
    /// All directed links.
    pub(crate) links: BTreeMap<(Node, Node), LinkState>,
    pub(crate) disk_is_full: bool,
    /// Whether a majority is undisturbed.
    pub(crate) majority: bool,
}

/// What these faults ask for together: a node that one of them kills is dead, whatever another does to it.
pub(crate) fn desired<'a>(nodes: Node, faults: impl Iterator<Item = &'a Fault>) -> Desired {
    let ids = || 1..=nodes;
    let links = ids().flat_map(|from| ids().map(move |to| (from, to)));
    let links = links.filter(|(from, to)| from != to);
    let mut desired = Desired {
        nodes: ids().map(|id| (id, NodeState::Running)).collect(),
        links: links.map(|link| (link, LinkState::default())).collect(),
        disk_is_full: false,
        majority: true,
    };
    let mut disturbed = BTreeSet::new();
    for fault in faults {
        disturbed.extend(fault.disturbed(nodes));
        match fault {
            Fault::Kill(node) => {
                desired.nodes.insert(*node, NodeState::Dead);
            }
            Fault::KillAll => desired.nodes.extend(ids().map(|id| (id, NodeState::Dead))),
            Fault::Pause(node) => {
                let state = desired.nodes.entry(*node).or_insert(NodeState::Paused);
                if *state == NodeState::Running {
                    *state = NodeState::Paused;
                }
            }
            Fault::Delay(node, delay) => {
                let ends = desired.links.iter_mut();
                let ends = ends.filter(|((from, to), _)| from == node || to == node);
                ends.for_each(|(_, state)| state.delay = state.delay.max(*delay));
            }
            Fault::Cut(_, links, cut) => {
                for link in links {
                    desired.links.entry(*link).or_default().cut = Some(*cut);
                }
            }
            Fault::FullDisk => desired.disk_is_full = true,
            Fault::Break(_) | Fault::RollingRestart | Fault::Replace(_) => {}
        }
    }
    desired.majority = disturbed.len() * 2 < nodes;
    desired
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(600);

    fn faults(steps: &[Step]) -> Vec<&Fault> {
        let begins = steps.iter().filter_map(|step| match &step.change {
            Change::Begin { fault, .. } => Some(fault),
            Change::End => None,
        });
        begins.collect()
    }

    #[test]
    fn a_seed_decides_the_plan() {
        assert_eq!(
            plan(7, 3, LENGTH, &Kind::ALL),
            plan(7, 3, LENGTH, &Kind::ALL)
        );
        assert_ne!(
            plan(7, 3, LENGTH, &Kind::ALL),
            plan(8, 3, LENGTH, &Kind::ALL)
        );
    }

    #[test]
    fn every_fault_begins_once_and_ends_later_within_the_run() {
        for seed in 0..50 {
            let steps = plan(seed, 5, LENGTH, &Kind::ALL);
            assert!(steps.is_sorted_by_key(|step| step.at));
            let mut began = BTreeSet::new();
            let mut ended = BTreeSet::new();
            for step in &steps {
                assert!(step.at <= LENGTH);
                match step.change {
                    Change::Begin { .. } => assert!(began.insert(step.number)),
                    Change::End => {
                        assert!(
                            began.contains(&step.number),
                            "seed {seed}: ends before it began"
                        );
                        assert!(ended.insert(step.number));
                    }
                }
            }
            assert_eq!(began, ended);
        }
    }

    #[test]
    fn a_run_of_two_minutes_has_every_kind_and_faults_that_overlap() {
        for seed in 0..50 {
            let steps = plan(seed, 3, Duration::from_secs(120), &Kind::ALL);
            let kinds: BTreeSet<_> = faults(&steps).iter().map(|fault| fault.kind()).collect();
            assert_eq!(kinds.len(), Kind::ALL.len(), "seed {seed}: {kinds:?}");
        }
        let mut active = 0;
        let overlap = plan(1, 3, LENGTH, &Kind::ALL).iter().any(|step| {
            active += if step.change == Change::End { -1 } else { 1 };
            active > 1
        });
        assert!(overlap);
    }

    #[test]
    fn what_waits_for_nodes_is_alone() {
        for seed in 0..50 {
            let mut active = BTreeMap::new();
            for step in plan(seed, 3, LENGTH, &Kind::ALL) {
                match step.change {
                    Change::Begin { fault, .. } => {
                        active.insert(step.number, fault.kind());
                    }
                    Change::End => {
                        active.remove(&step.number);
                    }
                }
                let is_alone = active.values().any(|kind| kind.is_alone());
                assert!(!is_alone || active.len() == 1, "seed {seed}: {active:?}");
            }
        }
    }

    #[test]
    fn only_the_kinds_asked_for_are_planned() {
        let steps = plan(1, 3, LENGTH, &[Kind::Kill, Kind::Pause]);
        let kinds: BTreeSet<_> = faults(&steps).iter().map(|fault| fault.kind()).collect();
        assert_eq!(kinds, [Kind::Kill, Kind::Pause].into());
    }

    #[test]
    fn without_faults_everything_runs_and_nothing_is_cut() {
        let desired = desired(3, [].iter());
        assert!(
            desired
                .nodes
                .values()
                .all(|&state| state == NodeState::Running)
        );
        assert_eq!(desired.links.len(), 6);
        assert!(
            desired
                .links
                .values()
                .all(|&state| state == LinkState::default())
        );
        assert!(desired.majority && !desired.disk_is_full);
    }

    #[test]
    fn faults_that_overlap_add_up_and_the_end_of_one_leaves_the_other() {
        let kill = Fault::Kill(1);
        let pause = Fault::Pause(1);
        let cut = Fault::Cut(Kind::CutOneWay, vec![(2, 3)], Cut::Silent);
        let delay = Fault::Delay(3, Duration::from_millis(9));
        let all = desired(3, [&pause, &kill, &cut, &delay].into_iter());
        assert_eq!(all.nodes[&1], NodeState::Dead);
        assert_eq!(all.nodes[&2], NodeState::Running);
        assert_eq!(all.links[&(2, 3)].cut, Some(Cut::Silent));
        assert_eq!(all.links[&(2, 3)].delay, Duration::from_millis(9));
        assert_eq!(all.links[&(3, 2)].cut, None);
        assert_eq!(all.links[&(1, 2)], LinkState::default());
        assert!(!all.majority, "a dead node and a silent one leave one");
        assert_eq!(
            desired(3, [&pause].into_iter()).nodes[&1],
            NodeState::Paused
        );
        assert!(desired(3, [&pause].into_iter()).majority);
    }

    #[test]
    fn an_isolated_node_is_cut_off_in_all_directions_and_nobody_else_is() {
        let mut rng = SmallRng::seed_from_u64(1);
        let fault = fault(&mut rng, Kind::Isolate, 2, 3);
        let desired = desired(3, [&fault].into_iter());
        for ((from, to), state) in desired.links {
            assert_eq!(state.cut.is_some(), from == 2 || to == 2, "{from} to {to}");
        }
    }

    #[test]
    fn a_fault_meant_for_the_leader_moves_to_it_with_all_its_links() {
        let cut = Fault::Cut(Kind::CutBothWays, vec![(1, 2), (2, 1)], Cut::Refused);
        let links = vec![(3, 2), (2, 3)];
        assert_eq!(
            cut.swapped(1, 3),
            Fault::Cut(Kind::CutBothWays, links, Cut::Refused)
        );
        assert_eq!(Fault::Kill(1).swapped(1, 3), Fault::Kill(3));
        assert_eq!(Fault::Kill(2).swapped(1, 3), Fault::Kill(2));
    }
}
