//! Each member signals once per topic.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue;
use smart_contracts::abi::Membership::MembershipErrors as Errors;
use smart_contracts::abi::{Membership, Verifier};
use smart_contracts::chain::{CallError, Chain, Receipt};
use smart_contracts::contracts;

use crate::support::{
    ALICE, BOB, CHAIN_ID, Prover, arbitrary, context, deploy, new_chain, order, proof_argument,
    refusal, through_a_contract,
};

const TOPIC: B256 = B256::repeat_byte(0x31);

pub(crate) struct Scene {
    pub(crate) chain: Chain,
    pub(crate) group: Address,
}

pub(crate) fn scene() -> Scene {
    let mut chain = new_chain();
    let verifier = Prover::of(4).deploy(&mut chain);
    let group = deploy(
        &mut chain,
        contracts::MEMBERSHIP,
        &(verifier, ALICE, arbitrary(1)),
    );
    Scene { chain, group }
}

impl Scene {
    fn inputs(&self, root: U256, nullifier: U256, topic: B256, message: &[u8]) -> [U256; 4] {
        let scope = context(&(U256::from(CHAIN_ID), self.group, topic).abi_encode());
        let signal = U256::from_be_bytes(keccak256(message).0) % order();
        [root, nullifier, scope, signal]
    }

    pub(crate) fn signal(&self, nullifier: U256, message: &'static [u8]) -> Membership::signalCall {
        Membership::signalCall {
            proof: Prover::of(4).prove_words(&self.inputs(arbitrary(1), nullifier, TOPIC, message)),
            nullifier,
            topic: TOPIC,
            message: Bytes::from_static(message),
        }
    }

    pub(crate) fn send(
        &mut self,
        call: &Membership::signalCall,
    ) -> Result<Receipt<Membership::signalReturn>, CallError> {
        self.chain.call(BOB, self.group, U256::ZERO, call)
    }
}

#[test]
fn a_member_signals_once_per_topic_whatever_the_proof() {
    let mut scene = scene();
    let call = scene.signal(arbitrary(2), b"yes");
    scene.send(&call).unwrap();
    let event = scene
        .chain
        .events_of::<Membership::Signalled>(scene.group)
        .next()
        .unwrap();
    assert_eq!(
        (event.topic, event.nullifier, event.message.as_ref()),
        (TOPIC, arbitrary(2), &b"yes"[..])
    );
    assert!(matches!(
        refusal(scene.send(&call)),
        Errors::AlreadySignalled(_)
    ));
    let mut other = call.clone();
    let prover = Prover::of(4);
    let proof = prover.prove(&scene.inputs(arbitrary(1), arbitrary(2), TOPIC, b"yes"));
    other.proof = proof_argument(&prover.rerandomize(&proof));
    assert!(matches!(
        refusal(scene.send(&other)),
        Errors::AlreadySignalled(_)
    ));
    let changed_mind = scene.signal(arbitrary(2), b"no");
    assert!(matches!(
        refusal(scene.send(&changed_mind)),
        Errors::AlreadySignalled(_)
    ));
    scene.send(&scene.signal(arbitrary(3), b"no")).unwrap();
    let mut elsewhere = call.clone();
    elsewhere.topic = B256::repeat_byte(0x32);
    let inputs = scene.inputs(arbitrary(1), arbitrary(2), elsewhere.topic, b"yes");
    elsewhere.proof = prover.prove_words(&inputs);
    scene.send(&elsewhere).unwrap();
}

#[test]
fn a_proof_is_for_one_topic_message_nullifier_contract_and_chain() {
    let mut scene = scene();
    let call = scene.signal(arbitrary(2), b"yes");
    type Change = fn(&mut Membership::signalCall);
    let changes: [Change; 3] = [
        |call| call.topic = B256::repeat_byte(0x32),
        |call| call.message = Bytes::from_static(b"no"),
        |call| call.nullifier = arbitrary(9),
    ];
    for change in changes {
        let mut changed = call.clone();
        change(&mut changed);
        assert!(matches!(
            refusal(scene.send(&changed)),
            Verifier::VerifierErrors::ProofRejected(_)
        ));
    }
    let verifier = scene
        .chain
        .view(ALICE, scene.group, &Membership::verifierCall {})
        .unwrap();
    let second = deploy(
        &mut scene.chain,
        contracts::MEMBERSHIP,
        &(verifier, ALICE, arbitrary(1)),
    );
    let mut elsewhere = scene.chain.clone().with_chain_id(CHAIN_ID + 1);
    for outcome in [
        scene.chain.call(BOB, second, U256::ZERO, &call),
        elsewhere.call(BOB, scene.group, U256::ZERO, &call),
    ] {
        assert!(matches!(
            refusal(outcome),
            Verifier::VerifierErrors::ProofRejected(_)
        ));
    }
    let mut beyond = scene.signal(U256::from(5), b"yes");
    scene.send(&beyond).unwrap();
    beyond.nullifier += order();
    assert!(matches!(
        refusal(scene.send(&beyond)),
        Verifier::VerifierErrors::InputNotInField(_)
    ));
}

#[test]
fn only_the_administrator_changes_the_list_and_old_lists_do_not_count() {
    let mut scene = scene();
    let call = scene.signal(arbitrary(2), b"yes");
    let change = Membership::setRootCall {
        root_: arbitrary(7),
    };
    assert!(matches!(
        refusal(scene.chain.call(BOB, scene.group, U256::ZERO, &change)),
        Errors::NotAdministrator(_)
    ));
    // A contract that the administrator calls is not the administrator.
    let batch = deploy(&mut scene.chain, contracts::BATCH, &());
    let outcome = through_a_contract(&mut scene.chain, batch, scene.group, &[&change]);
    assert!(matches!(refusal(outcome), Errors::NotAdministrator(_)));
    let beyond = Membership::setRootCall { root_: order() };
    assert!(matches!(
        refusal(scene.chain.call(ALICE, scene.group, U256::ZERO, &beyond)),
        Errors::NotInField(_)
    ));
    scene
        .chain
        .call(ALICE, scene.group, U256::ZERO, &change)
        .unwrap();
    let roots = scene
        .chain
        .events_of::<Membership::RootChanged>(scene.group);
    let roots: Vec<U256> = roots.map(|changed| changed.root).collect();
    assert_eq!(roots, [arbitrary(1), arbitrary(7)]);
    assert!(matches!(
        refusal(scene.send(&call)),
        Verifier::VerifierErrors::ProofRejected(_)
    ));
}
