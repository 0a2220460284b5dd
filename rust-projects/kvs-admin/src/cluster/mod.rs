//! `kvs-admin cluster`: status, members, leader and backups of a replicated store.
//!
//! Verbs with `--addr` speak to a running node and follow it to the leader where only that will do; `restore` and `unsafe-recover` work on the data
//! directory of a node that does not run.

mod backup;
mod report;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use kvstore_raft::messages as pb;
use kvstore_raft::messages::order_request::Order;
use kvstore_raft::{Operator, TlsFiles, Token};

use crate::failure::Failure;
use crate::report::print;

const STATUS_EXAMPLES: &str = "\
Examples:
  kvs-admin cluster status --token-file kvs-dev/node-1/TOKEN
  kvs-admin cluster status --addr 127.0.0.1:2380 --token-file /var/lib/node-2/TOKEN --json
  kvs-admin cluster status --addr 10.0.0.1:2379 --token-file TOKEN --tls-cert admin.crt --tls-key admin.key --tls-ca ca.crt";
const ADD_EXAMPLES: &str = "\
A node that is started with --join adds itself. This verb keeps a place for it, so that nobody else takes the number.

Example:
  kvs-admin cluster add 4 --peer-addr 127.0.0.1:2382 --token-file /var/lib/node-1/TOKEN";
const PROMOTE_EXAMPLES: &str = "\
Example:
  kvs-admin cluster promote 4 --token-file /var/lib/node-1/TOKEN";
const REMOVE_EXAMPLES: &str = "\
The number is never used again: a node that is to replace the one removed gets a new one. A majority of the voters that stay must run.

Example:
  kvs-admin cluster remove 2 --token-file /var/lib/node-1/TOKEN";
const TRANSFER_EXAMPLES: &str = "\
Examples:
  kvs-admin cluster transfer --token-file /var/lib/node-1/TOKEN
  kvs-admin cluster transfer --to 3 --token-file /var/lib/node-1/TOKEN";
const BACKUP_EXAMPLES: &str = "\
Example:
  kvs-admin cluster backup monday.backup --token-file /var/lib/node-1/TOKEN";
const RESTORE_EXAMPLES: &str = "\
The new cluster has one founder; start it, and let others join.

Example:
  kvs-admin cluster restore monday.backup --id 1 --data-dir /var/lib/new-1
  kvs-node run --id 1 --data-dir /var/lib/new-1";
const RECOVER_EXAMPLES: &str = "\
Only if a majority of the voters is lost for good. What they acknowledged and this node does not hold is gone; what this node holds and nobody
acknowledged may come to count. Choose the node with the highest last entry, stop it, and delete the directories of the others.

Example:
  kvs-admin cluster unsafe-recover --data-dir /var/lib/node-1 --acknowledged-writes-may-be-lost
  kvs-node run --id 1 --data-dir /var/lib/node-1";

/// Where the cluster is, and the right to change it.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Address of any node for other nodes (its --peer-addr)
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2379")]
    addr: String,
    /// Holds the cluster's token: the file TOKEN of a node's data directory, or a copy of it
    #[arg(long)]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsFiles,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show members, leader, and how far each member is
    #[command(after_help = STATUS_EXAMPLES)]
    Status {
        #[command(flatten)]
        target: Target,
    },
    /// Let a new node receive the log, without a vote
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// The new node's number, which was never used
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        node: u64,
        /// Its address for other nodes
        #[arg(long, value_name = "HOST:PORT")]
        peer_addr: String,
        #[command(flatten)]
        target: Target,
    },
    /// Give a node that has caught up a vote
    #[command(after_help = PROMOTE_EXAMPLES)]
    Promote {
        /// The node's number
        node: u64,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a node for good, dead or alive
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove {
        /// The node's number
        node: u64,
        #[command(flatten)]
        target: Target,
    },
    /// Hand leadership over
    #[command(after_help = TRANSFER_EXAMPLES)]
    Transfer {
        /// To this node, instead of the one that is best prepared
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        to: Option<u64>,
        #[command(flatten)]
        target: Target,
    },
    /// Write everything that was acknowledged to a file
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup {
        /// The file, which must not exist
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Begin a new cluster from a backup
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore {
        /// The backup
        file: PathBuf,
        /// The number of the new cluster's only founder
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        id: u64,
        /// Its data directory, which must not exist or be empty
        #[arg(long)]
        data_dir: PathBuf,
        /// The new cluster's name, if it is not to be the old one's
        #[arg(long)]
        cluster: Option<String>,
    },
    /// Go on with one node after a majority was lost for good
    #[command(after_help = RECOVER_EXAMPLES)]
    UnsafeRecover {
        /// The data directory of a node that does not run
        #[arg(long)]
        data_dir: PathBuf,
        /// Say that you know it
        #[arg(long, required = true)]
        acknowledged_writes_may_be_lost: bool,
    },
}

impl Target {
    fn operator(&self) -> Result<Operator, Failure> {
        let token = self.token_file.as_deref().map(Token::read).transpose()?;
        let credentials = self.tls.read()?;
        Ok(Operator::new(self.addr.clone(), token, credentials))
    }
}

pub(crate) fn run(verb: &Verb, json: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(Failure::io("start a runtime in", Path::new(".")))?;
    match verb {
        Verb::Restore {
            file,
            id,
            data_dir,
            cluster,
        } => print(
            &backup::restore(file, *id, data_dir, cluster.as_deref())?,
            json,
        ),
        Verb::UnsafeRecover { data_dir, .. } => {
            let forced = kvstore_raft::recover(data_dir)?;
            print(&report::Forced::new(data_dir, &forced), json)
        }
        Verb::Backup { file, target } => {
            let operator = target.operator()?;
            print(&runtime.block_on(backup::backup(&operator, file))?, json)
        }
        Verb::Status { target } => {
            let operator = target.operator()?;
            print(&runtime.block_on(status(operator))?, json)
        }
        Verb::Add {
            node,
            peer_addr,
            target,
        } => {
            let add = pb::Add {
                node: *node,
                peer_addr: peer_addr.clone(),
                format: kvstore_raft::FORMAT.into(),
                ..pb::Add::default()
            };
            let done = format!("node {node} receives the log once it runs; then promote it");
            runtime.block_on(order(target, Order::Add(add), done, json))
        }
        Verb::Promote { node, target } => {
            let done = format!("node {node} votes");
            runtime.block_on(order(target, Order::Promote(*node), done, json))
        }
        Verb::Remove { node, target } => {
            let done = format!("node {node} is no member any more; delete its data directory");
            runtime.block_on(order(target, Order::Remove(*node), done, json))
        }
        Verb::Transfer { to, target } => {
            let done = match to {
                Some(to) => format!("node {to} leads"),
                None => "another node leads".to_owned(),
            };
            runtime.block_on(order(target, Order::Transfer(to.unwrap_or(0)), done, json))
        }
    }
}

async fn order(target: &Target, order: Order, done: String, json: bool) -> Result<(), Failure> {
    target.operator()?.order(order).await?;
    print(&report::Done { done }, json)
}

/// The view of the leader if there is one, and each member's word on itself.
async fn status(mut asked: Operator) -> Result<report::Status, Failure> {
    let mut view = asked.status().await?;
    let leader = view
        .members
        .iter()
        .find(|member| member.node == view.leader);
    if let Some(leader) = leader.filter(|leader| leader.node != view.node) {
        let operator = asked.at(leader.peer_addr.clone());
        // A leader that just died: what the node asked knows will do.
        if let Ok(leaders) = operator.status().await {
            (asked, view) = (operator, leaders);
        }
    }
    let mut members = Vec::new();
    for member in &view.members {
        let own = match member.node == view.node {
            true => Some(view.clone()),
            false => asked.at(member.peer_addr.clone()).status().await.ok(),
        };
        members.push(report::Member::new(&view, member, own.as_ref()));
    }
    Ok(report::Status::new(&view, asked.addr(), members))
}
