//! Three nodes of one side, and connections to them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wire::Reply;

use super::etcd::Etcd;
use crate::bench::error::{Error, Result};
use crate::cluster::node::{Process, free_addrs};
use crate::cluster::resp::{Info, Resp};

/// Nodes of a cluster.
pub(crate) const NODES: usize = 3;
/// How long a cluster may take to have a leader, and a node to come back.
const PATIENCE: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Kvs,
    Etcd,
}

impl Side {
    pub(crate) const ALL: [Self; 2] = [Self::Etcd, Self::Kvs];

    /// As it stands in the tables.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Kvs => "kvs-node",
            Self::Etcd => "etcd",
        }
    }
}

/// A side with its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) side: Side,
    pub(crate) election_timeout_ms: u64,
}

impl Setup {
    /// What each side does by default.
    pub(crate) fn default_of(side: Side) -> Self {
        let election_timeout_ms = match side {
            Side::Kvs => 150,
            Side::Etcd => 1000,
        };
        Self {
            side,
            election_timeout_ms,
        }
    }

    fn arguments(self, dir: &Path, id: usize, addrs: &[[SocketAddr; 2]]) -> Vec<String> {
        let [addr, peer_addr] = addrs[id - 1];
        let data = dir.join(id.to_string());
        let data = data.display();
        let timeout = self.election_timeout_ms;
        match self.side {
            Side::Kvs => {
                let mut arguments = vec![
                    "run".to_owned(),
                    format!("--id={id}"),
                    "--cluster=bench".to_owned(),
                    format!("--data-dir={data}"),
                    format!("--addr={addr}"),
                    format!("--peer-addr={peer_addr}"),
                    format!("--election-timeout-ms={timeout}"),
                ];
                let peers = (1..=NODES).filter(|&peer| peer != id);
                arguments.extend(peers.map(|peer| format!("--peer={peer}={}", addrs[peer - 1][1])));
                arguments
            }
            Side::Etcd => {
                let members = (1..=NODES).map(|id| format!("n{id}=http://{}", addrs[id - 1][1]));
                let members: Vec<_> = members.collect();
                vec![
                    format!("--name=n{id}"),
                    format!("--data-dir={data}"),
                    format!("--listen-client-urls=http://{addr}"),
                    format!("--advertise-client-urls=http://{addr}"),
                    format!("--listen-peer-urls=http://{peer_addr}"),
                    format!("--initial-advertise-peer-urls=http://{peer_addr}"),
                    format!("--initial-cluster={}", members.join(",")),
                    "--initial-cluster-state=new".to_owned(),
                    format!("--election-timeout={timeout}"),
                    format!("--heartbeat-interval={}", timeout / 10),
                ]
            }
        }
    }
}

/// A running cluster; its nodes end with this value. Nodes are numbered from 1.
pub(crate) struct Cluster {
    setup: Setup,
    nodes: Vec<Process>,
    addrs: Vec<SocketAddr>,
    peer_addrs: Vec<SocketAddr>,
}

impl Cluster {
    /// Starts a new cluster with its data in `dir`, and waits until it serves.
    pub(crate) async fn start(setup: Setup, kvs_node: &Path, dir: &Path) -> Result<Self> {
        let addrs = (1..=NODES)
            .map(free_addrs)
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let program = match setup.side {
            Side::Kvs => kvs_node.to_owned(),
            Side::Etcd => PathBuf::from("etcd"),
        };
        let mut nodes = Vec::new();
        for id in 1..=NODES {
            let name = format!("{} {id}", setup.side.text());
            let arguments = setup.arguments(dir, id, &addrs);
            let mut node = Process::new(name, program.clone(), arguments);
            node.start()?;
            nodes.push(node);
        }
        let cluster = Self {
            setup,
            nodes,
            addrs: addrs.iter().map(|addr| addr[0]).collect(),
            peer_addrs: addrs.iter().map(|addr| addr[1]).collect(),
        };
        cluster.all_are_up_to_date().await?;
        Ok(cluster)
    }

    fn failed(&self, reason: &str) -> Error {
        Error::Program {
            program: self.setup.side.text().into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = usize> + use<> {
        1..=self.nodes.len()
    }

    /// Where nodes, and clients of TiKV, find each node.
    pub(crate) fn peer_addrs(&self) -> Vec<String> {
        self.peer_addrs.iter().map(SocketAddr::to_string).collect()
    }

    /// The node that says that it leads.
    pub(crate) async fn leader(&self) -> Result<usize> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            for id in self.ids() {
                if self.status(id).await.is_some_and(|status| status.leads) {
                    return Ok(id);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(self.failed("no node leads"))
    }

    /// Waits until all nodes follow one leader and have applied what it has.
    pub(crate) async fn all_are_up_to_date(&self) -> Result<()> {
        let began = Instant::now();
        let leader = self.leader().await?;
        let target = self
            .status(leader)
            .await
            .map_or(u64::MAX, |status| status.index);
        for id in self.ids() {
            while !self
                .status(id)
                .await
                .is_some_and(|status| status.has_leader && status.index >= target)
            {
                if began.elapsed() > PATIENCE {
                    return Err(self.failed(&format!("node {id} does not come back")));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    async fn status(&self, id: usize) -> Option<super::etcd::MemberStatus> {
        let addr = self.addrs[id - 1];
        match self.setup.side {
            Side::Kvs => {
                let info = Info::of(addr).await?;
                Some(super::etcd::MemberStatus {
                    has_leader: info.leader.is_some(),
                    leads: info.leader == Some(id),
                    index: info.applied,
                })
            }
            Side::Etcd => {
                let mut etcd = Etcd::new(addr, CONNECT_TIMEOUT);
                let asked = tokio::time::timeout(CONNECT_TIMEOUT, etcd.status()).await;
                asked.ok()?.ok()
            }
        }
    }

    /// A new connection to a node.
    pub(crate) async fn connect(&self, id: usize) -> Result<Connection> {
        self.way(id)
            .connect()
            .await
            .map_err(|reason| self.failed(&reason))
    }

    /// How to connect to a node.
    pub(crate) fn way(&self, id: usize) -> Way {
        Way {
            side: self.setup.side,
            addr: self.addrs[id - 1],
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, id: usize) {
        self.nodes[id - 1].kill();
    }

    /// Starts a node that was killed, and waits until it has caught up.
    pub(crate) async fn restart(&mut self, id: usize) -> Result<()> {
        self.nodes[id - 1].start()?;
        self.all_are_up_to_date().await
    }

    /// Stops all nodes in good order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.terminate().await?;
        }
        Ok(())
    }
}

/// Where a node is and what it speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    side: Side,
    addr: SocketAddr,
}

impl Way {
    pub(crate) async fn connect(self) -> std::result::Result<Connection, String> {
        Ok(match self.side {
            Side::Kvs => {
                let resp = Resp::connect(self.addr, CONNECT_TIMEOUT).await;
                Connection::Kvs(resp.map_err(|error| error.to_string())?)
            }
            Side::Etcd => {
                let mut etcd = Etcd::new(self.addr, CONNECT_TIMEOUT);
                // It connects with the first call.
                etcd.status().await.map_err(|status| status.to_string())?;
                Connection::Etcd(etcd)
            }
        })
    }
}

/// A client's connection, with one request under way at a time.
pub(crate) enum Connection {
    Kvs(Resp),
    Etcd(Etcd),
}

impl Connection {
    /// An acknowledged write; the error says what was told instead.
    pub(crate) async fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
    ) -> std::result::Result<(), String> {
        match self {
            Self::Kvs(resp) => match resp.call(&[b"SET", key, value]).await {
                Ok(Reply::Simple(text)) if text == "OK" => Ok(()),
                other => Err(format!("SET was answered with {other:?}")),
            },
            Self::Etcd(etcd) => etcd
                .put(key, value)
                .await
                .map_err(|status| status.to_string()),
        }
    }

    /// The length of what a linearizable read finds.
    pub(crate) async fn get(&mut self, key: &[u8]) -> std::result::Result<Option<usize>, String> {
        match self {
            Self::Kvs(resp) => match resp.call(&[b"GET", key]).await {
                Ok(Reply::Bulk(value)) => Ok(Some(value.len())),
                Ok(Reply::Null) => Ok(None),
                other => Err(format!("GET was answered with {other:?}")),
            },
            Self::Etcd(etcd) => {
                let value = etcd.get(key).await.map_err(|status| status.to_string())?;
                Ok(value.map(|value| value.len()))
            }
        }
    }
}
