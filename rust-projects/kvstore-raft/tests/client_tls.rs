//! Clients that speak TLS, on processes.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

#[path = "support/certificates.rs"]
mod certificates;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certificates::{Authority, Files};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::{DEADLINE, Node, Place, ended, private, until};
use wire::{Client, Reply};

type Tls = Client<StreamOwned<ClientConnection, TcpStream>>;

/// A node that speaks TLS to clients, and wants certificates from them if `asks`.
fn node(place: &Place, authority: &Authority, asks: bool, others: &[String]) -> Node {
    let files = authority.issue(place.path(), "node");
    let mut options = others.to_vec();
    options.push(format!("--client-tls-cert={}", files.cert.display()));
    options.push(format!("--client-tls-key={}", files.key.display()));
    if asks {
        options.push(format!("--client-tls-ca={}", files.ca.display()));
    }
    place.found_with(1, &options)
}

/// A client that trusts the CA of these files, and shows their certificate if it `shows` one.
fn connect(port: u16, files: &Files, shows: bool) -> Tls {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&files.ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shows {
        false => builder.with_no_client_auth(),
        true => {
            let chain = vec![CertificateDer::from_pem_file(&files.cert).unwrap()];
            let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = until("the node listens", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    Client::new(StreamOwned::new(session, stream))
}

/// Asks until the node leads.
fn call(client: &mut Tls, request: &[&[u8]]) -> Reply {
    until("the node answers", || {
        let reply = client.call(request).unwrap();
        let waits = matches!(&reply, Reply::Error(text) if text.starts_with("CLUSTERDOWN"));
        (!waits).then_some(reply)
    })
}

#[test]
fn clients_speak_tls_and_not_in_the_clear() {
    let place = Place::new(1, 1);
    let authority = Authority::new("for clients");
    let _node = node(&place, &authority, false, &[]);
    let files = authority.issue(place.path(), "client");
    let mut client = connect(place.port(1), &files, false);
    let large = vec![b'x'; 4 << 20];
    assert_eq!(call(&mut client, &[b"SET", b"a", &large]), Reply::OK);
    assert_eq!(call(&mut client, &[b"GET", b"a"]), Reply::bulk(large));

    let plain = Client::connect(("127.0.0.1", place.port(1)), Duration::from_secs(10));
    let answered = plain.unwrap().call(&[b"GET", b"a"]);
    assert!(answered.is_err(), "{answered:?}");
    let others = Authority::new("another").issue(place.path(), "other");
    let mut distrustful = connect(place.port(1), &others, false);
    let answered = distrustful.call(&[b"GET", b"a"]);
    assert!(answered.is_err(), "{answered:?}");
}

#[test]
fn with_a_ca_for_clients_only_those_are_served_that_show_a_certificate_of_it() {
    let place = Place::new(1, 1);
    let authority = Authority::new("for clients");
    let _node = node(&place, &authority, true, &[]);
    let files = authority.issue(place.path(), "client");
    let mut known = connect(place.port(1), &files, true);
    assert_eq!(call(&mut known, &[b"SET", b"a", b"1"]), Reply::OK);
    let answered = connect(place.port(1), &files, false).call(&[b"GET", b"a"]);
    assert!(answered.is_err(), "{answered:?}");
    let others = Authority::new("another").issue(place.path(), "other");
    others.trust(&[&authority]);
    let answered = connect(place.port(1), &others, true).call(&[b"GET", b"a"]);
    assert!(answered.is_err(), "{answered:?}");
}

#[test]
fn who_connects_and_says_nothing_holds_up_nobody_and_is_dropped() {
    let place = Place::new(1, 1);
    let authority = Authority::new("for clients");
    let _node = node(&place, &authority, false, &[]);
    let files = authority.issue(place.path(), "client");
    let mut client = connect(place.port(1), &files, false);
    assert_eq!(call(&mut client, &[b"SET", b"a", b"1"]), Reply::OK);
    let began = Instant::now();
    let silent: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(("127.0.0.1", place.port(1))).unwrap())
        .collect();
    let mut client = connect(place.port(1), &files, false);
    assert_eq!(call(&mut client, &[b"GET", b"a"]), Reply::bulk("1"));
    for mut stream in silent {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }
    assert!(began.elapsed() < DEADLINE);
}

#[test]
fn redis_cli_speaks_tls_and_gives_the_password() {
    let help = Command::new("redis-cli").arg("--help").output();
    let has_tls = help.is_ok_and(|output| {
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).contains("--tls")
    });
    if !has_tls {
        // Past the capture of tests that pass: it must be seen.
        let line = b"SKIPPED: redis-cli is not installed, or without TLS: TLS from redis-cli\n";
        std::io::stderr().write_all(line).unwrap();
        return;
    }
    let place = Place::new(1, 1);
    let authority = Authority::new("for clients");
    let password = place.path().join("password");
    private(&password, "s3cret\n");
    let others = [format!("--password-file={}", password.display())];
    let _node = node(&place, &authority, true, &others);
    let files = authority.issue(place.path(), "client");
    let redis = |shows: bool, request: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["--tls", "-p", &place.port(1).to_string(), "--cacert"]);
        command.arg(&files.ca).env("REDISCLI_AUTH", "s3cret");
        if shows {
            command.arg("--cert").arg(&files.cert);
            command.arg("--key").arg(&files.key);
        }
        let output = command.args(request).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    until("redis-cli may write", || {
        (redis(true, &["SET", "a", "b"]) == "OK").then_some(())
    });
    assert_eq!(redis(true, &["GET", "a"]), "b");
    assert_ne!(redis(false, &["GET", "a"]), "b");
}

#[test]
fn files_for_clients_that_cannot_be_used_are_refused_and_tls_alone_guards_nothing() {
    let place = Place::new(1, 1);
    let authority = Authority::new("for clients");
    let files = authority.issue(place.path(), "node");
    let other = authority.issue(place.path(), "other");
    let option =
        |name: &str, path: &std::path::Path| format!("--client-tls-{name}={}", path.display());
    let (cert, key) = (option("cert", &files.cert), option("key", &files.key));
    for (options, expected) in [
        (vec![cert.clone()], "belong together"),
        (vec![option("ca", &files.ca)], "belong together"),
        (
            vec![cert.clone(), option("key", &other.key)],
            "is not that of the certificate",
        ),
        (
            vec![option("cert", &files.key), key.clone()],
            "--client-tls-cert",
        ),
        (
            vec![cert.clone(), option("key", &files.cert)],
            "--client-tls-key",
        ),
    ] {
        let (code, said) = place.refusal(1, &options);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvs-node"));
    command.args([
        "run",
        "--id=1",
        "--addr=0.0.0.0:0",
        "--peer-addr=127.0.0.1:0",
    ]);
    command.arg("--data-dir").arg(place.data_dir(1));
    command.args([cert, key]);
    let (code, said) = ended(command);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--client-tls-ca"), "{said}");
}
