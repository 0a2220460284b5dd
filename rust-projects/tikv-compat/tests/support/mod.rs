//! Clusters of processes, and clients for them.

#![allow(dead_code, reason = "not every test uses everything")]

#[path = "../../../kvstore-raft/tests/support/ports.rs"]
mod ports;
#[path = "../../../kvstore-raft/tests/support/wait.rs"]
mod wait;

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use storage::tikv::{Options, TikvEngine};
use tikv_client::{Config, RawClient, TransactionClient};

/// For whatever has to happen in the end. The client gives pessimistic locks 20 seconds to live.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A node, killed at the end of the test.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nodes numbered from 1.
pub(crate) struct Cluster {
    dir: tempfile::TempDir,
    first_port: u16,
    nodes: Vec<Option<Node>>,
    /// The version of TiKV's API that it is created with.
    api: &'static str,
}

impl Cluster {
    /// Starts so many.
    pub(crate) fn start(nodes: usize) -> Self {
        let mut cluster = Self::place(nodes);
        (1..=nodes).for_each(|id| cluster.run(id));
        cluster
    }

    /// For so many that are not started yet.
    pub(crate) fn place(nodes: usize) -> Self {
        let ports = ports::free_ports(u16::try_from(2 * nodes).expect("clusters are small"));
        Self {
            dir: tempfile::tempdir().expect("there is room for a directory"),
            first_port: ports.start,
            nodes: (0..nodes).map(|_| None).collect(),
            api: "2",
        }
    }

    /// As [`Self::start`] with another version of TiKV's API.
    pub(crate) fn start_with_api(nodes: usize, api: &'static str) -> Self {
        let mut cluster = Self {
            api,
            ..Self::place(nodes)
        };
        (1..=nodes).for_each(|id| cluster.run(id));
        cluster
    }

    /// Starts a node, again or for the first time.
    pub(crate) fn run(&mut self, id: usize) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join(format!("{id}.log")));
        let child = Command::new(env!("CARGO_BIN_EXE_compat-node"))
            .arg(id.to_string())
            .arg(self.dir.path().join(id.to_string()))
            .arg(self.first_port.to_string())
            .arg(self.nodes.len().to_string())
            .arg(self.api)
            // Held by the child's handle, and closed with this process.
            .stdin(Stdio::piped())
            .stderr(log.expect("the directory can be written"))
            .spawn();
        self.nodes[id - 1] = Some(Node(child.expect("cargo has built the program")));
    }

    /// From the next start of a node on.
    pub(crate) fn set_api(&mut self, api: &'static str) {
        self.api = api;
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, id: usize) {
        self.nodes[id - 1] = None;
    }

    /// Where the placement driver of each node is.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        let port = |id: usize| self.first_port + 2 * u16::try_from(id).expect("small") + 1;
        let ids = 0..self.nodes.len();
        ids.map(|id| format!("127.0.0.1:{}", port(id))).collect()
    }

    /// The address of a namespace for engine `tikv`.
    pub(crate) fn address(&self, namespace: &str) -> storage::tikv::Address {
        let nodes = self.endpoints().join(",");
        let address = format!("tikv://{nodes}/{namespace}").parse();
        address.expect("loopback's addresses and tests' namespaces are fine")
    }

    /// Engine `tikv` in a namespace, once the nodes have a leader.
    pub(crate) fn engine(&self, namespace: &str) -> TikvEngine {
        self.patient_engine(namespace, &Options::default())
    }

    /// As [`Cluster::engine`], with other options.
    pub(crate) fn patient_engine(&self, namespace: &str, options: &Options) -> TikvEngine {
        let address = self.address(namespace);
        wait_for("an engine connects", || {
            TikvEngine::connect_with(&address, options).ok()
        })
    }

    pub(crate) async fn transactions(&self) -> TransactionClient {
        self.transactions_with(Config::default().with_default_keyspace())
            .await
    }

    pub(crate) async fn transactions_with(&self, config: Config) -> TransactionClient {
        until("a transactional client connects", async || {
            let config = config.clone();
            TransactionClient::new_with_config(self.endpoints(), config)
                .await
                .ok()
        })
        .await
    }

    pub(crate) async fn raw(&self) -> RawClient {
        self.raw_with(Config::default().with_default_keyspace())
            .await
    }

    pub(crate) async fn raw_with(&self, config: Config) -> RawClient {
        until("a raw client connects", async || {
            let config = config.clone();
            RawClient::new_with_config(self.endpoints(), config)
                .await
                .ok()
        })
        .await
    }
}

/// As [`until`], for tests without a runtime.
pub(crate) fn wait_for<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    wait::within(DEADLINE, what, attempt)
}

/// Tries until there is a result.
pub(crate) async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(result) = attempt().await {
            return result;
        }
        assert!(began.elapsed() < DEADLINE, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
