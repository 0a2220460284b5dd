//! Who may speak to a node: what it is told by options and files, checked before anything listens.
//!
//! Whoever reaches an address that is not guarded can read and write everything, so such an address must be one of this machine.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use secrets::{Secret, SecretError};
use tokio_rustls::TlsAcceptor;

use crate::tls::{AddressError, ClientTlsFiles, Credentials, TlsError, TlsFiles};

/// The files that guard a node; without them it listens on loopback only.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Access {
    /// Holds in its first line the password that clients must give; accessible to its owner only
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// For other nodes and operators.
    #[command(flatten)]
    pub tls: TlsFiles,
    /// For clients.
    #[command(flatten)]
    pub client_tls: ClientTlsFiles,
}

/// Access that must not be given. The text says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Clients of other machines, without a password or certificates of theirs.
    #[error(
        "--addr {0} can be reached from other machines: set a password with --password-file FILE, have clients show certificates with --client-tls-ca, or listen on 127.0.0.1"
    )]
    OpenToClients(SocketAddr),
    /// Nodes of other machines, without certificates.
    #[error(
        "--peer-addr {0} can be reached from other machines: give --tls-cert, --tls-key and --tls-ca, or listen on 127.0.0.1"
    )]
    OpenToPeers(SocketAddr),
    /// The others are told this address, and could do nothing with it.
    #[error(
        "--peer-addr {0} is what other nodes are told: give the address at which they reach this one"
    )]
    Nowhere(SocketAddr),
    /// An address of --peer or --join is none, or beyond this machine without certificates.
    #[error("--peer or --join: {0}")]
    Address(#[from] AddressError),
    /// The files of --tls-cert, --tls-key or --tls-ca cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The password file cannot be used.
    #[error("--password-file: {0}")]
    Password(#[source] SecretError),
}

/// [`Access`], with its files read.
#[derive(Clone)]
pub(crate) struct Guard {
    /// What clients must give before anything else.
    pub(crate) password: Option<Arc<Secret>>,
    /// Clients must speak TLS.
    pub(crate) client_tls: Option<TlsAcceptor>,
    /// What other nodes and operators see, and have to show.
    pub(crate) credentials: Credentials,
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
        let client_tls = self.client_tls.acceptor()?;
        // TLS alone hides what is said, but not from whoever asks.
        let knows_clients = password.is_some() || self.client_tls.client_tls_ca.is_some();
        if !knows_clients && !is_local(addr.ip()) {
            return Err(AccessError::OpenToClients(addr));
        }
        let credentials = self.tls.read()?;
        if !is_local(peer_addr.ip()) && !credentials.are_there() {
            return Err(AccessError::OpenToPeers(peer_addr));
        }
        if peer_addr.ip().is_unspecified() {
            return Err(AccessError::Nowhere(peer_addr));
        }
        if credentials.name_missing(peer_addr) {
            tracing::warn!(%peer_addr, "the certificate does not name the address that other nodes are told: they cannot connect unless --peer gives them a name that it has");
        }
        Ok(Guard {
            password: password.map(Arc::new),
            client_tls,
            credentials,
        })
    }
}

/// Whether only this machine reaches it.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
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
            ..Access::default()
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
