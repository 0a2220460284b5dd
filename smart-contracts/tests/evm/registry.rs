//! A login counts once, for who sends it and what they said.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolValue;
use smart_contracts::abi::Registry::RegistryErrors as Errors;
use smart_contracts::abi::{Registry, Verifier};
use smart_contracts::chain::{Block, CallError, Chain, Receipt};
use smart_contracts::contracts;

use crate::support::{
    ALICE, BOB, CHAIN_ID, Prover, arbitrary, context, deploy, new_chain, order, refusal,
    through_a_contract,
};

const USER: B256 = B256::repeat_byte(0x11);
const ACTION: B256 = B256::repeat_byte(0x22);
const EXPIRY: u64 = 1_700_000_060;

pub(crate) struct Scene {
    pub(crate) chain: Chain,
    pub(crate) registry: Address,
}

pub(crate) fn scene() -> Scene {
    let mut chain = new_chain();
    let verifier = Prover::of(2).deploy(&mut chain);
    let registry = deploy(&mut chain, contracts::REGISTRY, &verifier);
    let register = Registry::registerCall {
        user: USER,
        commitment: arbitrary(1),
    };
    chain.call(ALICE, registry, U256::ZERO, &register).unwrap();
    Scene { chain, registry }
}

impl Scene {
    /// A proof by who knows the password of `commitment`.
    pub(crate) fn prove(
        &self,
        commitment: U256,
        nonce: u64,
        action: B256,
        sender: Address,
    ) -> [U256; 8] {
        let bound = (
            U256::from(CHAIN_ID),
            self.registry,
            USER,
            U256::from(nonce),
            U256::from(EXPIRY),
            action,
            sender,
        );
        Prover::of(2).prove_words(&[commitment, context(&bound.abi_encode())])
    }

    pub(crate) fn login(&self, nonce: u64) -> Registry::loginCall {
        Registry::loginCall {
            proof: self.prove(arbitrary(1), nonce, ACTION, ALICE),
            user: USER,
            action: ACTION,
            expiry: U256::from(EXPIRY),
        }
    }

    pub(crate) fn send(
        &mut self,
        from: Address,
        call: &Registry::loginCall,
    ) -> Result<Receipt<Registry::loginReturn>, CallError> {
        self.chain.call(from, self.registry, U256::ZERO, call)
    }
}

fn is_rejected<T>(outcome: Result<T, CallError>) -> bool {
    matches!(refusal(outcome), Verifier::VerifierErrors::ProofRejected(_))
}

#[test]
fn a_login_counts_once() {
    let mut scene = scene();
    let call = scene.login(0);
    scene.send(ALICE, &call).unwrap();
    let event = scene
        .chain
        .events_of::<Registry::LoggedIn>(scene.registry)
        .next()
        .unwrap();
    assert_eq!(
        (event.user, event.sender, event.action, event.nonce),
        (USER, ALICE, ACTION, U256::ZERO)
    );
    assert!(is_rejected(scene.send(ALICE, &call)));
    let next = scene.login(1);
    scene.send(ALICE, &next).unwrap();
}

#[test]
fn a_login_is_for_one_sender_action_expiry_contract_and_chain() {
    let mut scene = scene();
    let call = scene.login(0);
    assert!(is_rejected(scene.send(BOB, &call)));
    let mut changed = call.clone();
    changed.action = B256::repeat_byte(0x23);
    assert!(is_rejected(scene.send(ALICE, &changed)));
    let mut changed = call.clone();
    changed.expiry += U256::ONE;
    assert!(is_rejected(scene.send(ALICE, &changed)));
    let mut elsewhere = scene.chain.clone().with_chain_id(CHAIN_ID + 1);
    assert!(is_rejected(elsewhere.call(
        ALICE,
        scene.registry,
        U256::ZERO,
        &call
    )));
    let verifier = scene
        .chain
        .view(ALICE, scene.registry, &Registry::verifierCall {})
        .unwrap();
    let second = deploy(&mut scene.chain, contracts::REGISTRY, &verifier);
    let register = Registry::registerCall {
        user: USER,
        commitment: arbitrary(1),
    };
    scene
        .chain
        .call(ALICE, second, U256::ZERO, &register)
        .unwrap();
    assert!(is_rejected(scene.chain.call(
        ALICE,
        second,
        U256::ZERO,
        &call
    )));
    scene.send(ALICE, &call).unwrap();
}

/// A contract that a user calls could otherwise log in as the user.
#[test]
fn the_sender_is_who_calls_also_if_that_is_a_contract() {
    let mut scene = scene();
    let batch = deploy(&mut scene.chain, contracts::BATCH, &());
    let for_alice = scene.login(0);
    let for_batch = Registry::loginCall {
        proof: scene.prove(arbitrary(1), 0, ACTION, batch),
        ..for_alice.clone()
    };
    let mut send = |call: &_| through_a_contract(&mut scene.chain, batch, scene.registry, &[call]);
    assert!(is_rejected(send(&for_alice)));
    send(&for_batch).unwrap();
    let event = scene
        .chain
        .events_of::<Registry::LoggedIn>(scene.registry)
        .next()
        .unwrap();
    assert_eq!(event.sender, batch);
}

#[test]
fn a_login_expires() {
    let mut scene = scene();
    let call = scene.login(0);
    scene.chain.set_block(Block {
        number: 8,
        timestamp: EXPIRY + 1,
    });
    assert!(matches!(
        refusal(scene.send(ALICE, &call)),
        Errors::Expired(_)
    ));
    scene.chain.set_block(Block {
        number: 8,
        timestamp: EXPIRY,
    });
    scene.send(ALICE, &call).unwrap();
}

#[test]
fn a_name_is_registered_once_with_a_commitment_in_the_field() {
    let mut scene = scene();
    let mut register = |user, commitment| {
        let call = Registry::registerCall { user, commitment };
        scene.chain.call(BOB, scene.registry, U256::ZERO, &call)
    };
    assert!(matches!(
        refusal(register(USER, arbitrary(2))),
        Errors::UserTaken(_)
    ));
    let other = B256::repeat_byte(0x12);
    for commitment in [U256::ZERO, order(), U256::MAX] {
        assert!(matches!(
            refusal(register(other, commitment)),
            Errors::NotInField(_)
        ));
    }
    register(other, arbitrary(2)).unwrap();
    let event = scene
        .chain
        .events_of::<Registry::Registered>(scene.registry)
        .last()
        .unwrap();
    assert_eq!((event.user, event.commitment), (other, arbitrary(2)));
    let mut call = scene.login(0);
    assert!(matches!(
        refusal({
            call.user = B256::repeat_byte(0x13);
            scene.send(ALICE, &call)
        }),
        Errors::UnknownUser(_)
    ));
    // Another user's proof.
    call.user = other;
    assert!(is_rejected(scene.send(ALICE, &call)));
}

#[test]
fn the_commitment_changes_only_with_a_proof_for_that_change() {
    let mut scene = scene();
    let action = scene
        .chain
        .view(
            ALICE,
            scene.registry,
            &Registry::changeActionCall {
                commitment: arbitrary(5),
            },
        )
        .unwrap();
    // Tagged, so that no other contract's action is taken for it.
    let tagged = ("change commitment", arbitrary(5)).abi_encode_params();
    assert_eq!(action, alloy_primitives::keccak256(tagged));
    let mut call = Registry::changeCall {
        proof: scene.login(0).proof,
        user: USER,
        commitment: arbitrary(5),
        expiry: U256::from(EXPIRY),
    };
    assert!(is_rejected(scene.chain.call(
        ALICE,
        scene.registry,
        U256::ZERO,
        &call
    )));
    call.proof = scene.prove(arbitrary(1), 0, action, ALICE);
    let mut other = call.clone();
    other.commitment = arbitrary(6);
    assert!(is_rejected(scene.chain.call(
        ALICE,
        scene.registry,
        U256::ZERO,
        &other
    )));
    scene
        .chain
        .call(ALICE, scene.registry, U256::ZERO, &call)
        .unwrap();
    let user = scene
        .chain
        .view(ALICE, scene.registry, &Registry::usersCall { name: USER })
        .unwrap();
    assert_eq!((user.commitment, user.nonce), (arbitrary(5), U256::ONE));
    let old = scene.login(1);
    assert!(is_rejected(scene.send(ALICE, &old)));
}
