//! Carries a plan out on real nodes: makes processes, links and the small disk be as the faults that are on want them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::disk::SmallDisk;
use super::load::Shared;
use super::members::Members;
use super::plan::{Change, Desired, Fault, Kind, Node, NodeState, Step, desired};
use super::proxy::Link;
use crate::cluster::node::{Process, free_addrs};
use crate::cluster::resp::{Info, leader};
use crate::cluster::{Result, doing};

/// How long a node may take to serve after it was started, and the cluster to agree after the last fault.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often nodes are looked at between steps.
const WATCH: Duration = Duration::from_millis(200);
/// The exit code of a node whose disk failed.
const FATAL: i32 = 3;
/// How long a node that met a full disk may take to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The programs under test.
pub(crate) struct Programs {
    pub(crate) node: PathBuf,
    pub(crate) admin: PathBuf,
}

/// The cluster under test. A node that is replaced leaves its place, its addresses and its links to the new one.
pub(crate) struct Director {
    members: Members,
    nodes: BTreeMap<Node, Process>,
    links: BTreeMap<(Node, Node), Link>,
    disk: Option<SmallDisk>,
    disk_is_full: bool,
    /// When the small disk got its room back.
    freed: Option<Instant>,
    active: BTreeMap<usize, Fault>,
    shared: Arc<Shared>,
    /// Faults that were really injected, by kind.
    pub(crate) injected: BTreeMap<Kind, u64>,
    /// Times that a full disk stopped its node.
    pub(crate) stopped_by_full_disk: u64,
}

/// Where nodes listen: for clients and for peers.
pub(crate) fn addresses(nodes: Node) -> Result<Vec<[SocketAddr; 2]>> {
    (1..=nodes).map(free_addrs).collect()
}

impl Director {
    /// Starts all nodes, the last one on the small disk if there is one.
    pub(crate) async fn start(
        programs: Programs,
        dir: &Path,
        addrs: Vec<[SocketAddr; 2]>,
        disk: Option<SmallDisk>,
        shared: Arc<Shared>,
    ) -> Result<Self> {
        let mut links = BTreeMap::new();
        let ids = || 1..=addrs.len();
        for (from, to) in ids().flat_map(|from| ids().map(move |to| (from, to))) {
            if from != to {
                let link = Link::to(addrs[to - 1][1]).await;
                links.insert((from, to), link.map_err(doing("listen on loopback"))?);
            }
        }
        let proxies = links.iter().map(|(&link, proxy)| (link, proxy.addr));
        let members = Members::new(programs.admin, dir, addrs, proxies.collect());
        let process = |place| {
            let process = Process::new(
                format!("node {place}"),
                programs.node.clone(),
                members.arguments(place),
            );
            process.with_log(dir.join(format!("node-{place}.log")))
        };
        let nodes = members.places().map(|place| (place, process(place)));
        let nodes = nodes.collect();
        let mut director = Self {
            members,
            nodes,
            links,
            disk,
            disk_is_full: false,
            freed: None,
            active: BTreeMap::new(),
            shared,
            injected: BTreeMap::new(),
            stopped_by_full_disk: 0,
        };
        director.reconcile()?;
        Ok(director)
    }

    /// Carries out a plan; ends early if the run is stopped.
    pub(crate) async fn carry_out(
        &mut self,
        steps: Vec<Step>,
        progress: impl Fn(usize),
    ) -> Result<()> {
        let mut began = Instant::now();
        for step in steps {
            while began.elapsed() < step.at {
                let rest = step.at.saturating_sub(began.elapsed());
                tokio::time::sleep(rest.min(WATCH)).await;
                self.watch()?;
                progress(self.active.len());
                if self.shared.is_stopped() {
                    return Ok(());
                }
            }
            match step.change {
                Change::Begin { fault, on_leader } => {
                    let due = began.elapsed();
                    self.begin(step.number, fault, on_leader).await?;
                    // What waits for nodes does not cut the next faults short.
                    began += began.elapsed() - due;
                }
                Change::End => {
                    self.active.remove(&step.number);
                }
            }
            self.reconcile()?;
        }
        Ok(())
    }

    /// Ends all faults.
    pub(crate) fn heal(&mut self) -> Result<()> {
        self.active.clear();
        self.reconcile()
    }

    /// Waits until all nodes hold the same, and says what does not if that takes too long.
    pub(crate) async fn agreement(&mut self) -> Result<Option<String>> {
        let began = Instant::now();
        loop {
            self.watch()?;
            let mut infos = Vec::new();
            for &addr in &self.shared.addrs {
                infos.push(Info::of(addr).await.map(|info| (info.applied, info.hash)));
            }
            if infos.iter().all(|info| info.is_some() && *info == infos[0]) {
                return Ok(None);
            }
            if began.elapsed() > PATIENCE {
                return Ok(Some(format!(
                    "nodes do not agree after all faults have ended: {infos:?}"
                )));
            }
            tokio::time::sleep(WATCH).await;
        }
    }

    async fn begin(&mut self, number: usize, fault: Fault, on_leader: Option<Node>) -> Result<()> {
        let fault = match (on_leader, self.leader().await) {
            (Some(node), Some(leader)) => fault.swapped(node, leader),
            _ => fault,
        };
        let happens = match &fault {
            Fault::Kill(node) | Fault::Pause(node) => self.nodes[node].is_running(),
            Fault::KillAll => self.nodes.values().any(Process::is_running),
            Fault::Break(node) => {
                let links = self.links.iter();
                let links = links.filter(|((from, to), _)| from == node || to == node);
                links.for_each(|(_, link)| link.break_connections());
                true
            }
            Fault::RollingRestart => self.rolling_restart().await?,
            Fault::Replace(place) => self.replace(*place).await?,
            Fault::FullDisk => self.disk.is_some(),
            Fault::Delay(..) | Fault::Cut(..) => true,
        };
        if happens {
            *self.injected.entry(fault.kind()).or_default() += 1;
        }
        self.active.insert(number, fault);
        Ok(())
    }

    async fn leader(&self) -> Option<Node> {
        let nodes = self.members.places();
        let nodes: Vec<_> = nodes
            .map(|place| (self.members.id(place), self.shared.addrs[place - 1]))
            .collect();
        let id = leader(&nodes, Duration::from_millis(500)).await?;
        self.members
            .places()
            .find(|&place| self.members.id(place) == id)
    }

    /// A node dies for good, and its data with it; it is removed, and a new one joins and gets its vote. True if all that happened.
    async fn replace(&mut self, place: Node) -> Result<bool> {
        let Some(process) = self.nodes.get_mut(&place) else {
            return Ok(false);
        };
        process.kill();
        self.members.forget_data(place)?;
        let old = self.members.id(place).to_string();
        if !self.order(place, &["remove", &old]).await? {
            return Ok(false);
        }
        let new = self.members.renew(place).to_string();
        if let Some(process) = self.nodes.get_mut(&place) {
            process.set_arguments(self.members.joining_arguments(place));
            process.start()?;
        }
        if !self.order(place, &["promote", &new]).await? {
            return Ok(false);
        }
        // It and the others reach each other past the proxies until they are started again.
        for (&place, process) in &mut self.nodes {
            process.set_arguments(self.members.arguments(place));
        }
        self.rolling_restart().await
    }

    /// Has an operator give this order, through another node than that, until it is carried out; false if that takes too long or the run is stopped.
    async fn order(&mut self, except: Node, order: &[&str]) -> Result<bool> {
        let began = Instant::now();
        loop {
            let other = self.members.places().find(|&other| other != except);
            let outcome = self.members.order(other.unwrap_or(except), order).await?;
            let Err(refusal) = outcome else {
                return Ok(true);
            };
            self.watch()?;
            if self.shared.is_stopped() {
                return Ok(false);
            }
            if began.elapsed() > PATIENCE {
                let order = order.join(" ");
                self.shared
                    .violated(format!("`{order}` is not carried out: {refusal}"));
                return Ok(false);
            }
            tokio::time::sleep(WATCH).await;
        }
    }

    /// One node after another, the next when the last one serves again; true if all did.
    async fn rolling_restart(&mut self) -> Result<bool> {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            let Some(node) = self.nodes.get_mut(&id) else {
                continue;
            };
            node.terminate().await?;
            node.start()?;
            let began = Instant::now();
            while Info::of(self.shared.addrs[id - 1])
                .await
                .is_none_or(|info| info.leader.is_none())
            {
                self.watch()?;
                if self.shared.is_stopped() {
                    return Ok(false);
                }
                if began.elapsed() > PATIENCE {
                    self.shared
                        .violated(format!("node {id} does not come back after a restart"));
                    return Ok(false);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(true)
    }

    /// Looks for nodes that ended by themselves.
    fn watch(&mut self) -> Result<()> {
        for (&id, node) in &mut self.nodes {
            let Some(status) = node.ended() else {
                continue;
            };
            let has_small_disk = self.disk.is_some() && id == self.shared.addrs.len();
            let met_full_disk =
                self.disk_is_full || self.freed.is_some_and(|freed| freed.elapsed() < LAST_WORDS);
            if has_small_disk && met_full_disk && status.code() == Some(FATAL) {
                self.stopped_by_full_disk += 1;
            } else {
                self.shared
                    .violated(format!("node {id} ended by itself: {status}"));
            }
        }
        Ok(())
    }

    /// Makes everything be as the faults that are on want it.
    fn reconcile(&mut self) -> Result<()> {
        self.watch()?;
        let wanted: Desired = desired(self.nodes.len(), self.active.values());
        for (link, state) in &wanted.links {
            self.links[link].set(state.delay, state.cut);
        }
        if let Some(disk) = &self.disk
            && wanted.disk_is_full != self.disk_is_full
        {
            let changed = if wanted.disk_is_full {
                disk.fill()
            } else {
                disk.free()
            };
            changed.map_err(doing("fill or free the small disk"))?;
            self.disk_is_full = wanted.disk_is_full;
            self.freed = (!wanted.disk_is_full).then(Instant::now);
        }
        let last = self.nodes.len();
        for (id, node) in &mut self.nodes {
            match wanted.nodes[id] {
                NodeState::Dead => {
                    node.kill();
                }
                // Started on a full disk it would only fail again.
                NodeState::Running if self.disk_is_full && *id == last => {
                    node.pause(false);
                }
                NodeState::Running => {
                    node.start()?;
                    node.pause(false);
                }
                NodeState::Paused => {
                    node.pause(true);
                }
            }
        }
        self.shared.recorder.set_majority(wanted.majority);
        Ok(())
    }
}
