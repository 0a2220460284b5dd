//! Who a data directory belongs to: the file `NODE`.
//!
//! ```text
//!   keyproof-node 1
//!   name keyproof              the cluster as people call it
//!   node 1
//!   incarnation 9c0f...        drawn when the directory was made: a number whose directory was lost is not mistaken for what it was
//!   share 51aa...              this founder's part of the token
//!   founder 2 77b1...          another founder and its incarnation
//!   place 1 127.0.0.1:2379     of one that joined: where the members were
//!   cluster 03d2...            drawn by all founders together; not there until that is settled
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use raft::NodeId;
use storage::file::{FileSystem, RealFs};

use crate::run::{Config, RunError, log_dir};
use crate::secret::{random, write_private};

const FILE: &str = "NODE";
const MAGIC: &str = "keyproof-node 1";

/// See the module's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) node: NodeId,
    pub(crate) incarnation: u128,
    pub(crate) share: u128,
    /// With this node itself; empty if it joined.
    pub(crate) founders: BTreeMap<NodeId, u128>,
    /// Where the members were when this node joined.
    pub(crate) places: BTreeMap<NodeId, String>,
    /// None until the founders have found each other, or this node was let in.
    pub(crate) cluster: Option<u128>,
}

impl Identity {
    /// Takes the directory for this node, or sees that it is this node's.
    ///
    /// # Errors
    /// [`RunError::ForeignDirectory`]; [`RunError::Nobodys`]; [`RunError::Identity`]; I/O errors.
    pub(crate) fn claim(config: &Config) -> Result<Self, RunError> {
        RealFs.create_dir_all(&config.data_dir)?;
        let Some(found) = Self::read(&config.data_dir)? else {
            // The identity is written before anything else.
            if RealFs.exists(&log_dir(&config.data_dir))? {
                return Err(RunError::Nobodys(config.data_dir.clone()));
            }
            let new = Self::new(&config.cluster, config.id)?;
            new.write(&config.data_dir)?;
            return Ok(new);
        };
        if (&found.name, found.node) != (&config.cluster, config.id) {
            return Err(RunError::ForeignDirectory {
                dir: config.data_dir.clone(),
                found: format!("node {} of cluster {}", found.node, found.name),
                wanted: format!("node {} of cluster {}", config.id, config.cluster),
            });
        }
        Ok(found)
    }

    /// Of a directory that is just being made.
    ///
    /// # Errors
    /// There is no random source.
    pub(crate) fn new(name: &str, node: NodeId) -> Result<Self, RunError> {
        let drawn = || random().map_err(RunError::Random);
        Ok(Self {
            name: name.to_owned(),
            node,
            incarnation: drawn()?,
            share: drawn()?,
            ..Self::default()
        })
    }

    /// What a directory says; `None` if it says nothing.
    ///
    /// # Errors
    /// [`RunError::Identity`]; I/O errors.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, RunError> {
        let path = dir.join(FILE);
        if !RealFs.exists(&path)? {
            return Ok(None);
        }
        let text = RealFs.read(&path)?;
        let text = String::from_utf8_lossy(&text);
        match Self::parse(&text) {
            Some(identity) => Ok(Some(identity)),
            None => Err(RunError::Identity(path)),
        }
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<(), RunError> {
        let path = dir.join(FILE);
        write_private(&path, &self.text()).map_err(|source| RunError::Write { path, source })
    }

    fn text(&self) -> String {
        let mut lines = vec![
            MAGIC.to_owned(),
            format!("name {}", self.name),
            format!("node {}", self.node),
            format!("incarnation {:032x}", self.incarnation),
            format!("share {:032x}", self.share),
        ];
        let founders = self.founders.iter();
        lines.extend(founders.map(|(node, drawn)| format!("founder {node} {drawn:032x}")));
        let places = self.places.iter();
        lines.extend(places.map(|(node, place)| format!("place {node} {place}")));
        lines.extend(
            self.cluster
                .map(|cluster| format!("cluster {cluster:032x}")),
        );
        lines.join("\n") + "\n"
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut identity = Self::default();
        if lines.next()? != MAGIC {
            return None;
        }
        let hex = |text| u128::from_str_radix(text, 16).ok();
        for line in lines {
            let (what, rest) = line.split_once(' ')?;
            match what {
                "name" => identity.name = rest.to_owned(),
                "node" => identity.node = rest.parse().ok()?,
                "incarnation" => identity.incarnation = hex(rest)?,
                "share" => identity.share = hex(rest)?,
                "cluster" => identity.cluster = Some(hex(rest)?),
                "founder" => {
                    let (node, drawn) = rest.split_once(' ')?;
                    identity.founders.insert(node.parse().ok()?, hex(drawn)?);
                }
                "place" => {
                    let (node, place) = rest.split_once(' ')?;
                    identity.places.insert(node.parse().ok()?, place.to_owned());
                }
                _ => return None,
            }
        }
        (identity.node != 0 && identity.incarnation != 0).then_some(identity)
    }

    /// The cluster as it travels in messages; empty while there is none.
    pub(crate) fn cluster_text(&self) -> String {
        self.cluster
            .map_or(String::new(), |cluster| format!("{cluster:032x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_was_written_and_anything_else_is_none() {
        let identity = Identity {
            name: "a name".to_owned(),
            founders: [(1, 5), (2, 1 << 127)].into(),
            places: [(3, "[::1]:2379".to_owned())].into(),
            cluster: Some(7),
            ..Identity::new("", 2).unwrap()
        };
        let text = identity.text();
        assert_eq!(Identity::parse(&text), Some(identity));
        for other in [
            "",
            "cluster keyproof node 1\n",
            "keyproof-node 2\n",
            "keyproof-node 1\nnode 1\n",
            &text.replace("share", "shore"),
        ] {
            assert_eq!(Identity::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_directory_keeps_its_incarnation_and_another_one_gets_another() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let claim = |dir: &tempfile::TempDir| {
            let identity = Identity::new("c", 1).unwrap();
            identity.write(dir.path()).unwrap();
            Identity::read(dir.path()).unwrap().unwrap()
        };
        let first = claim(&one);
        assert_eq!(Identity::read(one.path()).unwrap(), Some(first.clone()));
        assert_ne!(claim(&two).incarnation, first.incarnation);
    }
}
