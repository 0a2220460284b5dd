//! TLS between nodes, and between operators and nodes: each side shows a certificate, and takes only those of the cluster's CA.
//!
//! # What it guarantees
//!
//! With certificates nothing is heard from and nothing said to a machine that has none. Who connects also sees that the certificate
//! names the host or IP address that it wanted. Without certificates nothing is said beyond this machine.
//!
//! # What it does not
//!
//! Every certificate of the CA is taken for any node's, so the CA must be this cluster's own. There is no revocation, and files are read
//! once, at start: to change them, restart one node after the other.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use secrets::SecretError;
use tokio_rustls::TlsAcceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::access::is_local;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Where certificate, key and CA are, all in PEM.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TlsFiles {
    /// Certificate to show to other nodes and operators, in PEM, with those between it and the CA; needs --tls-key and --tls-ca
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of --tls-cert in PEM, accessible to its owner only
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Certificates in PEM of the CA whose nodes and operators are trusted; the cluster's own
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
}

/// What a node shows to clients, and what they must show, all in PEM.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ClientTlsFiles {
    /// Certificate in PEM to show to clients, which then must speak TLS, with those between it and a CA; needs --client-tls-key
    #[arg(long, value_name = "FILE")]
    pub client_tls_cert: Option<PathBuf>,
    /// Private key of --client-tls-cert in PEM, accessible to its owner only
    #[arg(long, value_name = "FILE")]
    pub client_tls_key: Option<PathBuf>,
    /// Certificates in PEM of a CA: clients must show a certificate of it
    #[arg(long, value_name = "FILE")]
    pub client_tls_ca: Option<PathBuf>,
}

/// Why files for TLS cannot be used. The text names the option at fault.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One is missing.
    #[error("{0} belong together: give all or none")]
    Incomplete(&'static str),
    /// The key cannot be read, or others can read it.
    #[error("{option}: {source}")]
    Key {
        /// Which option.
        option: &'static str,
        /// Why.
        source: SecretError,
    },
    /// A file cannot be read.
    #[error("{option}: cannot read {}: {source}", path.display())]
    Read {
        /// Which option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{option}: {} does not hold {wanted} in PEM{why}", path.display())]
    Content {
        /// Which option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// Empty, or what is wrong.
        why: String,
    },
    /// The key is of another certificate.
    #[error("the key in {} is not that of the certificate in {}", key.display(), cert.display())]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// Others that trust the CA would refuse the certificate.
    #[error("the certificate in {} does not hold before the CA in {}: {why}", cert.display(), ca.display())]
    Untrusted {
        /// The certificate.
        cert: PathBuf,
        /// The CA.
        ca: PathBuf,
        /// Why not.
        why: rustls::Error,
    },
}

/// Why a node cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is none.
    #[error("`{0}` is not an address HOST:PORT")]
    NotAnAddress(String),
    /// It is on another machine, and there are no certificates.
    #[error(
        "{0} is beyond this machine, where nothing goes unencrypted: give --tls-cert, --tls-key and --tls-ca"
    )]
    Unguarded(String),
}

/// What a node or an operator shows to nodes, and whom it trusts. None: it speaks in the clear, with this machine only.
#[derive(Clone, Default)]
pub struct Credentials(Option<Arc<Mutual>>);

struct Mutual {
    server: TlsAcceptor,
    client: ClientTlsConfig,
    certificate: CertificateDer<'static>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "Credentials(..)",
            None => "Credentials(none)",
        })
    }
}

impl TlsFiles {
    /// Reads the files, and sees that they fit each other.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn read(&self) -> Result<Credentials, TlsError> {
        match (&self.tls_cert, &self.tls_key, &self.tls_ca) {
            (None, None, None) => Ok(Credentials(None)),
            (Some(cert), Some(key), Some(ca)) => {
                let mutual = Mutual::read(cert, key, ca)?;
                Ok(Credentials(Some(Arc::new(mutual))))
            }
            _ => Err(TlsError::Incomplete("--tls-cert, --tls-key and --tls-ca")),
        }
    }
}

impl Mutual {
    fn read(cert: &Path, key: &Path, ca: &Path) -> Result<Self, TlsError> {
        let (_, ca_pem) = certificates("--tls-ca", ca)?;
        let (chain, cert_pem) = certificates("--tls-cert", cert)?;
        let (private, key_pem) = private_key("--tls-key", key)?;
        let verifier = verifier("--tls-ca", ca)?;
        // Whoever is asked to trust it would say the same, but not to whom it can mend it.
        let held = verifier.verify_client_cert(&chain[0], &chain[1..], UnixTime::now());
        held.map_err(|why| TlsError::Untrusted {
            cert: cert.to_owned(),
            ca: ca.to_owned(),
            why,
        })?;
        let certificate = chain[0].clone();
        let versions = &[&rustls::version::TLS13];
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("the provider has suites for TLS 1.3")
            .with_client_cert_verifier(verifier);
        let mut server = builder
            .with_single_cert(chain, private)
            .map_err(|error| unfit(&error, "--tls-key", cert, key))?;
        server.alpn_protocols.push(b"h2".to_vec());
        let client = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(ca_pem))
            .identity(Identity::from_pem(cert_pem, key_pem));
        Ok(Self {
            server: Arc::new(server).into(),
            client,
            certificate,
        })
    }
}

impl Credentials {
    /// Whether there are certificates, so that other machines may be spoken to.
    pub(crate) fn are_there(&self) -> bool {
        self.0.is_some()
    }

    /// An address as clients of a node's services take it.
    pub(crate) fn url(&self, address: &str) -> String {
        let scheme = if self.are_there() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// How to reach a node by its address `host:port`.
    ///
    /// # Errors
    /// [`AddressError`].
    pub(crate) fn endpoint(&self, address: &str) -> Result<Endpoint, AddressError> {
        let wrong = || AddressError::NotAnAddress(address.to_owned());
        let endpoint = Endpoint::from_shared(self.url(address)).map_err(|_| wrong())?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        let host = endpoint.uri().host().ok_or_else(wrong)?;
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        match &self.0 {
            Some(mutual) => endpoint
                .tls_config(mutual.client.clone().domain_name(host))
                .map_err(|_| wrong()),
            None if is_this_machine(&host) => Ok(endpoint),
            None => Err(AddressError::Unguarded(address.to_owned())),
        }
    }

    /// The certificate does not name `addr`, which other nodes are told.
    pub(crate) fn name_missing(&self, addr: SocketAddr) -> bool {
        let Some(mutual) = &self.0 else {
            return false;
        };
        let named = ParsedCertificate::try_from(&mutual.certificate)
            .and_then(|parsed| verify_server_name(&parsed, &ServerName::from(addr.ip())));
        named.is_err()
    }

    /// What takes connections in, if there are certificates.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.0.as_ref().map(|mutual| mutual.server.clone())
    }
}

impl ClientTlsFiles {
    /// What takes clients in, if they are to speak TLS.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn acceptor(&self) -> Result<Option<TlsAcceptor>, TlsError> {
        let (cert, key) = match (&self.client_tls_cert, &self.client_tls_key) {
            (None, None) if self.client_tls_ca.is_none() => return Ok(None),
            (Some(cert), Some(key)) => (cert, key),
            _ => {
                return Err(TlsError::Incomplete(
                    "--client-tls-cert and --client-tls-key",
                ));
            }
        };
        let (chain, _) = certificates("--client-tls-cert", cert)?;
        let (private, _) = private_key("--client-tls-key", key)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for TLS 1.2 and 1.3");
        let builder = match &self.client_tls_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => builder.with_client_cert_verifier(verifier("--client-tls-ca", ca)?),
        };
        let server = builder
            .with_single_cert(chain, private)
            .map_err(|error| unfit(&error, "--client-tls-key", cert, key))?;
        Ok(Some(Arc::new(server).into()))
    }
}

fn is_this_machine(host: &str) -> bool {
    host.parse().map_or(host == "localhost", is_local)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

type Pem = Vec<u8>;

/// At least one certificate.
fn certificates(
    option: &'static str,
    path: &Path,
) -> Result<(Vec<CertificateDer<'static>>, Pem), TlsError> {
    let pem = fs::read(path).map_err(|source| TlsError::Read {
        option,
        path: path.to_owned(),
        source,
    })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let content = |why: String| TlsError::Content {
        option,
        path: path.to_owned(),
        wanted: "a certificate",
        why,
    };
    match found {
        Ok(found) if found.is_empty() => Err(content(String::new())),
        Ok(found) => Ok((found, pem)),
        Err(error) => Err(content(format!(": {error}"))),
    }
}

fn private_key(
    option: &'static str,
    path: &Path,
) -> Result<(PrivateKeyDer<'static>, Pem), TlsError> {
    let pem = secrets::read_private(path).map_err(|source| TlsError::Key { option, source })?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| TlsError::Content {
        option,
        path: path.to_owned(),
        wanted: "a private key",
        why: format!(": {error}"),
    })?;
    Ok((key, pem))
}

/// Takes certificates of the CA in `path`.
fn verifier(option: &'static str, path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let content = |error: &dyn Error| TlsError::Content {
        option,
        path: path.to_owned(),
        wanted: "certificates of a CA",
        why: format!(": {error}"),
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(option, path)?.0 {
        roots.add(certificate).map_err(|error| content(&error))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| content(&error))
}

/// Why a certificate and a key do not make an identity.
fn unfit(error: &rustls::Error, option: &'static str, cert: &Path, key: &Path) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            cert: cert.to_owned(),
            key: key.to_owned(),
        },
        other => TlsError::Content {
            option,
            path: key.to_owned(),
            wanted: "a private key that can be used",
            why: format!(": {other}"),
        },
    }
}
