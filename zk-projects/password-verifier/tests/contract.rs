//! The circuit's proofs and the contract, in the local EVM: a user of the registry on chain.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::sync::LazyLock;

use alloy_primitives::{Address, B256, U256};
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use gadgets::context::address_word;
use password_verifier::{Challenge, Cost, KeyFile, Login, Secrets, user_word};
use smart_contracts::abi::Registry::{
    LoggedIn, RegistryErrors as Errors, changeActionCall, changeCall, loginCall, registerCall,
    usersCall,
};
use smart_contracts::chain::{Block, Chain, refusal};
use smart_contracts::contracts;
use smart_contracts::words::word;
use statement_suite::contract::{ALICE, BOB, CHAIN_ID, NOW_S, Stage, create, is_rejected};

static STAGE: LazyLock<Stage<Login>> = LazyLock::new(Stage::new);
/// What a user can prove. Made once: Argon2id takes its time.
static ANN: LazyLock<Secrets> = LazyLock::new(|| secrets("ann"));
const ACTION: B256 = B256::repeat_byte(1);
/// Further away than a registry off the chain would let it be.
const EXPIRY_S: u64 = NOW_S + 86_400;

fn secrets(user: &str) -> Secrets {
    let key = KeyFile::random(&mut StdRng::seed_from_u64(1));
    let salt = [7; 16];
    Secrets::derive("mail", user, b"secret", Some(&key), &salt, Cost::MINIMUM).unwrap()
}

struct Scene {
    chain: Chain,
    contract: Address,
}

/// A registry with Ann.
fn scene() -> Scene {
    let mut chain = STAGE.chain();
    let contract = create(&mut chain, contracts::REGISTRY, &STAGE.verifier());
    let register = registerCall {
        user: user_word("mail", "ann").into(),
        commitment: word(ANN.commitment()),
    };
    chain.call(ALICE, contract, U256::ZERO, &register).unwrap();
    Scene { chain, contract }
}

impl Scene {
    /// Ann's challenge for an action that Alice's account will send.
    fn challenge(&self, nonce: u64, action: B256) -> Challenge {
        Challenge {
            chain_id: CHAIN_ID,
            contract: self.contract.into_array(),
            user: user_word("mail", "ann"),
            nonce,
            expiry_s: EXPIRY_S,
            action: action.0,
            session: address_word(ALICE.into_array()),
        }
    }

    fn login(&self, nonce: u64) -> loginCall {
        let (public, private) = ANN.login(&self.challenge(nonce, ACTION));
        loginCall {
            proof: STAGE.prove(&public, &private),
            user: user_word("mail", "ann").into(),
            action: ACTION,
            expiry: U256::from(EXPIRY_S),
        }
    }
}

#[test]
fn a_user_of_the_contract_logs_in_once_with_one_proof() {
    let mut scene = scene();
    let (call, next) = (scene.login(0), scene.login(1));
    let mut send = |call| {
        let sent = scene.chain.call(ALICE, scene.contract, U256::ZERO, call);
        sent.map(drop)
    };
    send(&call).unwrap();
    assert!(is_rejected(send(&call)), "a replay");
    send(&next).unwrap();
    let events = scene.chain.events_of::<LoggedIn>(scene.contract);
    let nonces: Vec<U256> = events.map(|event| event.nonce).collect();
    assert_eq!(nonces, [U256::ZERO, U256::ONE]);
}

#[test]
fn a_login_with_anything_changed_is_refused() {
    let scene = scene();
    let call = scene.login(0);
    let Scene {
        mut chain,
        contract,
    } = scene;
    assert!(
        is_rejected(chain.call(BOB, contract, U256::ZERO, &call)),
        "another sender"
    );
    let ben: B256 = user_word("mail", "ben").into();
    let unknown = loginCall {
        user: ben,
        ..call.clone()
    };
    let outcome = chain.call(ALICE, contract, U256::ZERO, &unknown);
    assert!(matches!(refusal(outcome), Errors::UnknownUser(_)));
    // Another commitment: that of another user with the same password, key file and salt.
    let register = registerCall {
        user: ben,
        commitment: word(secrets("ben").commitment()),
    };
    chain.call(BOB, contract, U256::ZERO, &register).unwrap();
    let other_action = loginCall {
        action: B256::repeat_byte(2),
        ..call.clone()
    };
    let later = loginCall {
        expiry: call.expiry + U256::ONE,
        ..call.clone()
    };
    for (what, changed) in [
        ("user", &unknown),
        ("action", &other_action),
        ("expiry", &later),
    ] {
        let outcome = chain.call(ALICE, contract, U256::ZERO, changed);
        assert!(is_rejected(outcome), "{what}");
    }
    let mut fork = chain.clone().with_chain_id(CHAIN_ID + 1);
    assert!(is_rejected(fork.call(ALICE, contract, U256::ZERO, &call)));
    let mut late = chain.clone();
    late.set_block(Block {
        number: 2,
        timestamp: EXPIRY_S + 1,
    });
    let outcome = late.call(ALICE, contract, U256::ZERO, &call);
    assert!(matches!(refusal(outcome), Errors::Expired(_)));
    chain.call(ALICE, contract, U256::ZERO, &call).unwrap();
}

#[test]
fn a_password_is_changed_by_a_proof_for_the_new_commitment() {
    let mut scene = scene();
    let commitment = word(secrets("ann, later").commitment());
    let asked = changeActionCall { commitment };
    let action = scene.chain.view(ALICE, scene.contract, &asked).unwrap();
    let (public, private) = ANN.login(&scene.challenge(0, action));
    let change = changeCall {
        proof: STAGE.prove(&public, &private),
        user: user_word("mail", "ann").into(),
        commitment,
        expiry: U256::from(EXPIRY_S),
    };
    let stolen = changeCall {
        commitment: commitment + U256::ONE,
        ..change.clone()
    };
    let mut send = |call| {
        let sent = scene.chain.call(ALICE, scene.contract, U256::ZERO, call);
        sent.map(drop)
    };
    assert!(is_rejected(send(&stolen)));
    send(&change).unwrap();
    assert!(is_rejected(send(&change)));
    let asked = usersCall {
        name: user_word("mail", "ann").into(),
    };
    let user = scene.chain.view(ALICE, scene.contract, &asked).unwrap();
    assert_eq!((user.commitment, user.nonce), (commitment, U256::ONE));
}
