//! A cluster on this machine for development: every node a process of its own, so that one can be killed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::Api;

/// What `kvs-node dev` starts.
#[derive(Debug, Clone)]
pub struct Dev {
    /// How many nodes.
    pub nodes: u16,
    /// Holds a directory for each.
    pub data_dir: PathBuf,
    /// The first node's port for clients; the others follow.
    pub port: u16,
    /// The first node's port for peers.
    pub peer_port: u16,
    /// The first node's port for metrics and health, if they are wanted.
    pub metrics_port: Option<u16>,
    /// The version of TiKV's API that the cluster speaks, if it is a new one.
    pub api: Api,
}

impl Dev {
    fn addr(first: u16, index: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, first + index).into()
    }

    /// The arguments of `kvs-node run` for the node at `index`, from 0.
    fn arguments(&self, index: u16) -> Vec<String> {
        let id = index + 1;
        let mut arguments = vec![
            "run".to_owned(),
            format!("--id={id}"),
            "--cluster=dev".to_owned(),
            format!(
                "--data-dir={}",
                self.data_dir.join(format!("node-{id}")).display()
            ),
            format!("--addr={}", Self::addr(self.port, index)),
            format!("--peer-addr={}", Self::addr(self.peer_port, index)),
            format!("--api-version={}", self.api.name()),
        ];
        let metrics = self.metrics_port.map(|port| Self::addr(port, index));
        arguments.extend(metrics.map(|addr| format!("--metrics-addr={addr}")));
        let peers = (0..self.nodes).filter(|&peer| peer != index);
        arguments.extend(
            peers.map(|peer| format!("--peer={}={}", peer + 1, Self::addr(self.peer_port, peer))),
        );
        arguments
    }

    /// Starts the nodes, and waits until `stop` completes; then stops them in good order. A node that ends by itself or is killed
    /// is reported and not started again.
    ///
    /// # Errors
    /// The program cannot be started again.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let program = std::env::current_exe()?;
        let mut nodes = Vec::new();
        for index in 0..self.nodes {
            let mut command = Command::new(&program);
            command
                .args(self.arguments(index))
                .stdin(Stdio::null())
                .kill_on_drop(true);
            let child = command.spawn()?;
            println!(
                "node {}: redis-cli -p {}, tikv-client 127.0.0.1:{}   (process {})",
                index + 1,
                self.port + index,
                self.peer_port + index,
                child.id().unwrap_or(0)
            );
            nodes.push(child);
        }
        println!("any node takes any command; Ctrl-C stops them all");
        tokio::select! {
            () = stop => {}
            () = watch(&mut nodes) => println!("no node is left"),
        }
        for node in &mut nodes {
            terminate(node).await?;
        }
        Ok(())
    }
}

/// Reports each node that ends; completes when none is left.
async fn watch(nodes: &mut [Child]) {
    let ends = nodes
        .iter_mut()
        .enumerate()
        .map(|(index, node)| async move {
            match node.wait().await {
                Ok(status) => println!("node {} ended: {status}", index + 1),
                Err(error) => println!("node {} cannot be watched: {error}", index + 1),
            }
        });
    let mut ends: Vec<_> = ends.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        ends.retain_mut(|end| end.as_mut().poll(context).is_pending());
        match ends.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

async fn terminate(node: &mut Child) -> io::Result<()> {
    if let Some(id) = node.id() {
        let pid = i32::try_from(id)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        node.wait().await?;
    }
    Ok(())
}
