//! Certificates made for a test.

#![allow(dead_code, reason = "not every test uses everything")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// A CA.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// Certificate, key and CA, as files.
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("there is randomness");
        let pem = params.self_signed(&key).expect("the key can sign").pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Files in `dir` for who answers on this machine.
    pub(crate) fn issue(&self, dir: &Path, name: &str) -> Files {
        self.issue_with(dir, name, &["localhost", "127.0.0.1", "::1"], 4096)
    }

    /// For these hosts, until a year.
    pub(crate) fn issue_with(&self, dir: &Path, name: &str, hosts: &[&str], until: i32) -> Files {
        let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("hosts are names or addresses");
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("there is randomness");
        let certificate = params.signed_by(&key, &self.issuer);
        let files = Files {
            cert: dir.join(format!("{name}.crt")),
            key: dir.join(format!("{name}.key")),
            ca: dir.join(format!("{name}.ca")),
        };
        let certificate = certificate.expect("the CA can sign").pem();
        fs::write(&files.cert, certificate).expect("the directory can be written");
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&files.key);
        let written = file.and_then(|mut file| file.write_all(key.serialize_pem().as_bytes()));
        written.expect("no other certificate has the name");
        files.trust(&[self]);
        files
    }
}

impl Files {
    /// Trusts these CAs and no others.
    pub(crate) fn trust(&self, authorities: &[&Authority]) {
        let all: String = authorities.iter().map(|ca| ca.pem.as_str()).collect();
        fs::write(&self.ca, all).expect("the directory can be written");
    }

    /// As options of nodes and operators.
    pub(crate) fn options(&self) -> Vec<String> {
        [("cert", &self.cert), ("key", &self.key), ("ca", &self.ca)]
            .map(|(name, path)| format!("--tls-{name}={}", path.display()))
            .to_vec()
    }
}
