//! A node for the tests of this crate, which cargo builds with them: `kvs-node run` without its options.
//!
//! ```text
//! compat-node ID DATA_DIR FIRST_PORT NODES API_VERSION      ports: of node k FIRST_PORT + 2 (k - 1) for RESP, one more for all else
//! ```
//!
//! It ends with its standard input, so that nothing goes on after a test that was killed.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use kvstore_raft::{Access, Api, Config};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(config) = config(&arguments) else {
        eprintln!("usage: compat-node ID DATA_DIR FIRST_PORT NODES API_VERSION");
        return ExitCode::from(2);
    };
    // A crash is what clients have to live with anyway: nothing is finished before.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(kvstore_raft::run(config, std::future::pending())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn config(arguments: &[String]) -> Option<Config> {
    let [id, data_dir, first_port, nodes, api] = arguments else {
        return None;
    };
    let (id, nodes): (u64, u64) = (id.parse().ok()?, nodes.parse().ok()?);
    let first_port: u16 = first_port.parse().ok()?;
    let addr = |node: u64, offset: u16| {
        let before = 2 * u16::try_from(node.checked_sub(1)?).ok()?;
        let port = first_port.checked_add(before)?.checked_add(offset)?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    };
    let others = (1..=nodes).filter(|node| *node != id);
    let peers = others.map(|node| Some((node, addr(node, 1)?.to_string())));
    Some(Config {
        cluster: "compat".into(),
        id,
        data_dir: data_dir.into(),
        addr: addr(id, 0)?,
        peer_addr: addr(id, 1)?,
        peers: peers.collect::<Option<_>>()?,
        election_timeout: Duration::from_millis(150),
        segment_bytes: 16 << 20,
        join: None,
        metrics_addr: None,
        metrics_for_anybody: false,
        token_file: None,
        api: Api::from_str(api, false).ok()?,
        access: Access::default(),
    })
}
