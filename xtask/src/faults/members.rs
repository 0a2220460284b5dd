//! Which node is in which place of the cluster, and what it is started with.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::plan::Node;
use crate::cluster::{Result, doing};

/// Places are numbered from 1; who is there has a number of its own, which nobody had before.
pub(crate) struct Members {
    /// The operator's program.
    admin: PathBuf,
    dir: PathBuf,
    /// Of each place: for clients, for peers.
    addrs: Vec<[SocketAddr; 2]>,
    /// Where one place reaches another.
    proxies: BTreeMap<(Node, Node), SocketAddr>,
    ids: BTreeMap<Node, usize>,
}

impl Members {
    pub(crate) fn new(
        admin: PathBuf,
        dir: &Path,
        addrs: Vec<[SocketAddr; 2]>,
        proxies: BTreeMap<(Node, Node), SocketAddr>,
    ) -> Self {
        Self {
            admin,
            dir: dir.to_owned(),
            ids: (1..=addrs.len()).map(|place| (place, place)).collect(),
            addrs,
            proxies,
        }
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = Node> + use<> {
        1..=self.addrs.len()
    }

    /// The number of the node in a place.
    pub(crate) fn id(&self, place: Node) -> usize {
        self.ids[&place]
    }

    /// Another node is in this place from now on; its number.
    pub(crate) fn renew(&mut self, place: Node) -> usize {
        let new = self.ids.values().max().map_or(1, |id| id + 1);
        self.ids.insert(place, new);
        new
    }

    /// Deletes everything that the node in a place kept. It must not run.
    pub(crate) fn forget_data(&self, place: Node) -> Result<()> {
        match std::fs::remove_dir_all(node_dir(&self.dir, place)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(doing(format!("delete the data of node {place}"))(error))
            }
            _ => Ok(()),
        }
    }

    /// The arguments of the node in a place, which belongs to the cluster or founds it: it reaches the others through proxies.
    pub(crate) fn arguments(&self, place: Node) -> Vec<String> {
        let peers = self.places().filter(|&peer| peer != place);
        let peers = peers.map(|peer| {
            let proxy = self.proxies[&(place, peer)];
            format!("--peer={}={proxy}", self.id(peer))
        });
        self.common_arguments(place)
            .into_iter()
            .chain(peers)
            .collect()
    }

    /// The arguments of the node in a place that belongs to no cluster yet: it hears of the others, and how to reach them, from one of them.
    pub(crate) fn joining_arguments(&self, place: Node) -> Vec<String> {
        let other = place % self.addrs.len() + 1;
        let mut arguments = self.common_arguments(place);
        arguments.push(format!("--join={}", self.addrs[other - 1][1]));
        arguments.push(format!("--token-file={}", self.token(other).display()));
        arguments
    }

    fn common_arguments(&self, place: Node) -> Vec<String> {
        let [addr, peer_addr] = self.addrs[place - 1];
        vec![
            "run".to_owned(),
            format!("--id={}", self.id(place)),
            "--cluster=faults".to_owned(),
            format!("--data-dir={}", node_dir(&self.dir, place).display()),
            format!("--addr={addr}"),
            format!("--peer-addr={peer_addr}"),
            // Small, so that a full disk is noticed soon and who was away for some seconds needs a snapshot.
            "--segment-mib=1".to_owned(),
        ]
    }

    fn token(&self, place: Node) -> PathBuf {
        node_dir(&self.dir, place).join("TOKEN")
    }

    /// Gives an order of `kvs-admin cluster` through the node in a place; what it says if it fails.
    pub(crate) async fn order(
        &self,
        place: Node,
        order: &[&str],
    ) -> Result<std::result::Result<(), String>> {
        let output = Command::new(&self.admin)
            .arg("cluster")
            .args(order)
            .arg(format!("--addr={}", self.addrs[place - 1][1]))
            .arg(format!("--token-file={}", self.token(place).display()))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(doing("run kvs-admin"))?;
        Ok(match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        })
    }
}

/// Where the node in a place keeps its data.
pub(crate) fn node_dir(dir: &Path, place: Node) -> PathBuf {
    dir.join(format!("node-{place}")).join("data")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(dir: &Path) -> Members {
        let addr = |port: usize| SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        let addrs = (1..=3).map(|place| [addr(place), addr(10 + place)]);
        let links = (1..=3).flat_map(|from| (1..=3).map(move |to| (from, to)));
        let links = links.filter(|(from, to)| from != to);
        let proxies = links.map(|(from, to)| ((from, to), addr(100 + 10 * from + to)));
        Members::new("kvs-admin".into(), dir, addrs.collect(), proxies.collect())
    }

    #[test]
    fn who_belongs_to_the_cluster_reaches_the_others_through_proxies_by_their_numbers() {
        let mut members = members(Path::new("d"));
        let peers = |members: &Members| {
            let arguments = members.arguments(2);
            assert_eq!(arguments[1], "--id=2");
            arguments[arguments.len() - 2..].to_vec()
        };
        assert_eq!(
            peers(&members),
            ["--peer=1=127.0.0.1:121", "--peer=3=127.0.0.1:123"]
        );
        assert_eq!(members.renew(3), 4);
        assert_eq!(members.renew(1), 5);
        assert_eq!(
            peers(&members),
            ["--peer=5=127.0.0.1:121", "--peer=4=127.0.0.1:123"]
        );
    }

    #[test]
    fn a_new_node_has_a_number_of_its_own_keeps_the_place_and_joins_through_another() {
        let mut members = members(Path::new("d"));
        members.renew(3);
        let arguments = members.joining_arguments(3);
        for argument in [
            "--id=4",
            "--addr=127.0.0.1:3",
            "--join=127.0.0.1:11",
            "--token-file=d/node-1/data/TOKEN",
        ] {
            let mut found = arguments.iter();
            assert!(found.any(|found| found == argument), "{argument}");
        }
    }

    #[test]
    fn data_is_forgotten_and_none_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let members = members(dir.path());
        let data = node_dir(dir.path(), 1);
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("NODE"), "x").unwrap();
        members.forget_data(1).unwrap();
        members.forget_data(1).unwrap();
        assert!(!data.exists());
    }
}
