//! Who may speak to a node: what it is told by options and files, checked before anything listens.
//!
//! Whoever reaches an address that is not guarded can read and write everything, so such an address must be one of this machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use secrets::{Secret, SecretError};

/// The files that guard a node; without them it listens on loopback only.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Access {
    /// Holds in its first line the password that clients must give; accessible to its owner only
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Access that must not be given. The text says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Clients of other machines, without a password.
    #[error(
        "--addr {0} can be reached from other machines: set a password with --password-file FILE, or listen on 127.0.0.1"
    )]
    OpenToClients(SocketAddr),
    /// Nodes of other machines.
    #[error(
        "--peer-addr {0} can be reached from other machines, and nodes do not authenticate each other: listen on 127.0.0.1"
    )]
    OpenToPeers(SocketAddr),
    /// The password file cannot be used.
    #[error("--password-file: {0}")]
    Password(#[source] SecretError),
}

/// [`Access`], with its files read.
#[derive(Clone)]
pub(crate) struct Guard {
    /// What clients must give before anything else.
    pub(crate) password: Option<Arc<Secret>>,
}

impl Access {
    /// Reads the files, and sees whether a node may listen on `addr` for clients and on `peer_addr` for nodes.
    ///
    /// # Errors
    /// [`AccessError`].
    pub(crate) fn guard(
        &self,
        addr: SocketAddr,
        peer_addr: SocketAddr,
    ) -> Result<Guard, AccessError> {
        let password = self.password_file.as_deref().map(Secret::read);
        let password = password.transpose().map_err(AccessError::Password)?;
        if password.is_none() && !is_local(addr) {
            return Err(AccessError::OpenToClients(addr));
        }
        if !is_local(peer_addr) {
            return Err(AccessError::OpenToPeers(peer_addr));
        }
        Ok(Guard {
            password: password.map(Arc::new),
        })
    }
}

/// Whether only this machine reaches it.
fn is_local(addr: SocketAddr) -> bool {
    addr.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "127.0.0.1:0";
    const BEYOND: [&str; 4] = ["0.0.0.0:0", "[::]:0", "10.0.0.1:0", "[::ffff:10.0.0.1]:0"];

    fn guard(access: &Access, addr: &str, peer_addr: &str) -> Result<Guard, AccessError> {
        access.guard(addr.parse().unwrap(), peer_addr.parse().unwrap())
    }

    fn with_password() -> (Access, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let access = Access {
            password_file: Some(file.path().to_owned()),
        };
        (access, file)
    }

    #[test]
    fn clients_of_other_machines_need_a_password() {
        let (guarded, _file) = with_password();
        for addr in BEYOND {
            let refused = guard(&Access::default(), addr, LOCAL);
            assert!(matches!(refused, Err(AccessError::OpenToClients(_))));
            assert!(guard(&guarded, addr, LOCAL).unwrap().password.is_some());
        }
        for addr in [LOCAL, "127.1.2.3:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            guard(&Access::default(), addr, LOCAL).unwrap();
        }
    }

    #[test]
    fn a_password_does_not_let_nodes_of_other_machines_in() {
        let (guarded, _file) = with_password();
        for addr in BEYOND {
            let refused = guard(&guarded, LOCAL, addr);
            assert!(matches!(refused, Err(AccessError::OpenToPeers(_))));
        }
    }
}
