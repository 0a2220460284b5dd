//! Clients and a registry, with real proofs.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use password_verifier::registry::MAX_OPEN_S;
use password_verifier::{
    Challenge, ClientError, Cost, KeyFile, Login, LoginError, Registry, Secrets,
};
use proof::prove::Prover;
use proof::verify::Proof;
use storage::kvs::{LogEngine, Options};
use storage::{Engine, MemoryEngine};

const NOW: u64 = 1_700_000_000;
const ACTION: [u8; 32] = [1; 32];
const SESSION: [u8; 32] = [2; 32];

fn secrets(
    registry: &Registry<impl Engine>,
    user: &str,
    password: &str,
    key: Option<&KeyFile>,
) -> Secrets {
    let record = registry.record(user).unwrap().registration;
    Secrets::derive(
        "mail",
        user,
        password.as_bytes(),
        key,
        &record.salt,
        record.cost,
    )
    .unwrap()
}

fn prove(prover: &Prover, secrets: &Secrets, challenge: &Challenge) -> Proof {
    let (public, private) = secrets.login(challenge);
    statement_suite::prove::<Login>(prover, &public, &private)
}

/// Z18: what an attacker can try who sees every proof.
#[test]
fn a_login_counts_once_for_one_user_action_and_session_in_time() {
    let random = &mut StdRng::seed_from_u64(1);
    let prover = statement_suite::prover::<Login>();
    let verifier = prover.verifier();
    let dir = tempfile::tempdir().unwrap();
    let engine = || LogEngine::open(dir.path(), Options::small()).unwrap();
    let key = KeyFile::random(random);
    let mut registry = Registry::new(engine(), "mail");
    for (user, password) in [("ann", "correct horse"), ("ben", "battery staple")] {
        let registration = Secrets::register(
            "mail",
            user,
            password.as_bytes(),
            Some(&key),
            Cost::MINIMUM,
            random,
        );
        registry.register(user, &registration.unwrap()).unwrap();
    }
    let ann = secrets(&registry, "ann", "correct horse", Some(&key));
    let challenge = registry.challenge("ann", ACTION, SESSION, NOW).unwrap();
    let proof = prove(&prover, &ann, &challenge);
    let mut login = |challenge: &Challenge, session: [u8; 32], now| {
        registry.login(challenge, &session, &proof, verifier, now)
    };
    let is_refused = |result: Result<(), LoginError>| matches!(result, Err(LoginError::Refused(_)));
    let is_foreign = |result: Result<(), LoginError>| matches!(result, Err(LoginError::Foreign));

    let other = Challenge {
        action: [9; 32],
        ..challenge.clone()
    };
    assert!(is_refused(login(&other, SESSION, NOW)), "another action");
    assert!(
        is_foreign(login(&challenge, [9; 32], NOW)),
        "through another session"
    );
    let other = Challenge {
        session: [9; 32],
        ..challenge.clone()
    };
    assert!(
        is_refused(login(&other, [9; 32], NOW)),
        "renamed to another session"
    );
    let other = Challenge {
        user: password_verifier::user_word("mail", "ben"),
        ..challenge.clone()
    };
    assert!(is_refused(login(&other, SESSION, NOW)), "another user");
    let late = login(&challenge, SESSION, NOW + MAX_OPEN_S + 1);
    assert!(matches!(late, Err(LoginError::Expired)), "{late:?}");
    let other = Challenge {
        expiry_s: NOW + MAX_OPEN_S + 1,
        ..challenge.clone()
    };
    assert!(is_foreign(login(&other, SESSION, NOW)), "open too long");
    assert!(
        is_refused(login(&other, SESSION, NOW + 1)),
        "a later expiry"
    );
    let other = Challenge {
        chain_id: 1,
        ..challenge.clone()
    };
    assert!(is_foreign(login(&other, SESSION, NOW)), "of a chain");

    login(&challenge, SESSION, NOW + MAX_OPEN_S).unwrap();
    let again = login(&challenge, SESSION, NOW);
    assert!(matches!(again, Err(LoginError::Used)), "{again:?}");
    let next = Challenge {
        nonce: 1,
        ..challenge.clone()
    };
    assert!(
        is_refused(login(&next, SESSION, NOW)),
        "renamed to the next nonce"
    );
    // The nonce is on the disk.
    drop(registry);
    assert_eq!(
        Registry::new(engine(), "mail").record("ann").unwrap().nonce,
        1
    );
}

#[test]
fn a_wrong_password_or_key_file_or_service_is_another_commitment() {
    let random = &mut StdRng::seed_from_u64(2);
    let key = KeyFile::random(random);
    let registration =
        Secrets::register("mail", "ann", b"secret", Some(&key), Cost::MINIMUM, random).unwrap();
    let derive = |service: &str, user: &str, password: &str, key: Option<&KeyFile>| {
        let salt = &registration.salt;
        let secrets = Secrets::derive(service, user, password.as_bytes(), key, salt, Cost::MINIMUM);
        secrets.unwrap().commitment()
    };
    let restored: KeyFile = key.to_text().parse().unwrap();
    assert_eq!(
        derive("mail", "ann", "secret", Some(&restored)),
        registration.commitment
    );
    let other = KeyFile::random(random);
    for wrong in [
        derive("mail", "ann", "Secret", Some(&key)),
        derive("mail", "ann", "secret", Some(&other)),
        derive("mail", "ann", "secret", None),
        derive("bank", "ann", "secret", Some(&key)),
        derive("mail", "ben", "secret", Some(&key)),
    ] {
        assert_ne!(wrong, registration.commitment);
    }
    let again =
        Secrets::register("mail", "ann", b"secret", Some(&key), Cost::MINIMUM, random).unwrap();
    assert_ne!(again.salt, registration.salt);
    assert_ne!(again.commitment, registration.commitment);
}

/// A registry that asks for less than the minimum wants to guess at passwords.
#[test]
fn a_client_refuses_cheap_and_ruinous_costs_and_short_salts() {
    let least = Cost::MINIMUM;
    let derive = |cost: Cost, password: &[u8], salt: usize| {
        Secrets::derive("mail", "ann", password, None, &vec![0; salt], cost).map(drop)
    };
    for cost in [
        Cost {
            memory_kib: least.memory_kib - 1,
            ..least
        },
        Cost {
            passes: least.passes - 1,
            ..least
        },
        Cost { lanes: 0, ..least },
    ] {
        let refused = derive(cost, b"secret", 16);
        assert!(
            matches!(refused, Err(ClientError::CheapGuess { .. })),
            "{refused:?}"
        );
    }
    for cost in [
        Cost {
            memory_kib: u32::MAX,
            ..least
        },
        Cost {
            passes: 17,
            ..least
        },
        Cost { lanes: 17, ..least },
    ] {
        let refused = derive(cost, b"secret", 16);
        assert!(
            matches!(refused, Err(ClientError::Unaffordable { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(
        derive(least, b"secret", 15),
        Err(ClientError::ShortSalt(15))
    );
    assert_eq!(derive(least, b"", 16), Err(ClientError::EmptyPassword));
}

#[test]
fn names_are_taken_once_and_unknown_users_have_no_challenge() {
    let random = &mut StdRng::seed_from_u64(3);
    let mut registry = Registry::new(MemoryEngine::new(), "mail");
    let registration =
        Secrets::register("mail", "ann", b"secret", None, Cost::MINIMUM, random).unwrap();
    registry.register("ann", &registration).unwrap();
    assert_eq!(registry.record("ann").unwrap().registration, registration);
    let again = registry.register("ann", &registration);
    assert!(matches!(again, Err(LoginError::Taken)), "{again:?}");
    let unknown = registry.challenge("ben", ACTION, SESSION, NOW);
    assert!(matches!(unknown, Err(LoginError::Unknown)), "{unknown:?}");
}

#[test]
fn secrets_are_not_printed() {
    let random = &mut StdRng::seed_from_u64(4);
    assert_eq!(format!("{:?}", KeyFile::random(random)), "KeyFile(..)");
    let secrets = Secrets::derive("mail", "ann", b"secret", None, &[0; 16], Cost::MINIMUM).unwrap();
    assert_eq!(format!("{secrets:?}"), "Secrets(Private(..))");
}
