//! The circuit's proofs and the contract, in the local EVM: members of a list that the contract knows the root of.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::sync::LazyLock;

use alloy_primitives::{Address, B256, Bytes, U256};
use ark_bn254::Fr;
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use merkle_proof::member::{number_of, scope_of};
use merkle_proof::{Group, Member, Membership};
use smart_contracts::abi::Membership::{
    MembershipErrors as Errors, Signalled, setRootCall, signalCall,
};
use smart_contracts::abi::Verifier::VerifierErrors;
use smart_contracts::chain::{CallError, Chain, refusal};
use smart_contracts::contracts;
use smart_contracts::words::word;
use statement_suite::contract::{ALICE, BOB, CHAIN_ID, Stage, create, is_rejected};
use storage::MemoryEngine;

static STAGE: LazyLock<Stage<Membership>> = LazyLock::new(Stage::new);
const TOPIC: B256 = B256::repeat_byte(1);

/// A list of five members that the contract knows, administered by Alice.
struct Scene {
    chain: Chain,
    contract: Address,
    members: Vec<Member>,
    group: Group<MemoryEngine>,
}

fn scene() -> Scene {
    let random = &mut StdRng::seed_from_u64(1);
    let members: Vec<Member> = (0..5).map(|_| Member::random(random)).collect();
    let leaves: Vec<Fr> = members.iter().map(Member::leaf).collect();
    let mut group = Group::new(MemoryEngine::new());
    let root = group.add(&leaves).unwrap();
    let mut chain = STAGE.chain();
    let arguments = (STAGE.verifier(), ALICE, word(root));
    let contract = create(&mut chain, contracts::MEMBERSHIP, &arguments);
    Scene {
        chain,
        contract,
        members,
        group,
    }
}

impl Scene {
    /// What one of the members says.
    fn signal(&self, member: usize, topic: B256, message: &'static str) -> signalCall {
        let scope = scope_of(CHAIN_ID, self.contract.into_array(), topic.0);
        let signal = number_of(message.as_bytes());
        let (public, private) = self
            .group
            .say(&self.members[member], scope, signal)
            .unwrap();
        signalCall {
            proof: STAGE.prove(&public, &private),
            nullifier: word(public.nullifier),
            topic,
            message: Bytes::from_static(message.as_bytes()),
        }
    }

    /// Sent by somebody who is no member: senders are not bound.
    fn send(&mut self, call: &signalCall) -> Result<(), CallError> {
        let sent = self.chain.call(BOB, self.contract, U256::ZERO, call);
        sent.map(drop)
    }
}

#[test]
fn members_of_the_list_are_heard_once_for_each_topic() {
    let mut scene = scene();
    let first = scene.signal(3, TOPIC, "yes");
    scene.send(&first).unwrap();
    assert!(matches!(
        refusal(scene.send(&first)),
        Errors::AlreadySignalled(_)
    ));
    let second_thought = scene.signal(3, TOPIC, "no");
    assert!(matches!(
        refusal(scene.send(&second_thought)),
        Errors::AlreadySignalled(_)
    ));
    let elsewhere = scene.signal(3, B256::repeat_byte(2), "no");
    scene.send(&elsewhere).unwrap();
    let other = scene.signal(4, TOPIC, "no");
    scene.send(&other).unwrap();
    let heard = scene.chain.events_of::<Signalled>(scene.contract);
    let messages: Vec<Bytes> = heard.map(|event| event.message).collect();
    let said = ["yes", "no", "no"].map(|message| Bytes::from_static(message.as_bytes()));
    assert_eq!(messages, said);
}

#[test]
fn a_signal_with_anything_changed_is_refused() {
    let mut scene = scene();
    let call = scene.signal(3, TOPIC, "yes");
    type Change = fn(&mut signalCall);
    let changes: [(&str, Change); 3] = [
        ("nullifier", |call| call.nullifier += U256::ONE),
        ("scope", |call| call.topic = B256::repeat_byte(2)),
        ("signal", |call| call.message = Bytes::from_static(b"no")),
    ];
    for (what, change) in changes {
        let mut changed = call.clone();
        change(&mut changed);
        assert!(is_rejected(scene.send(&changed)), "{what}");
    }
    let mut beyond = call.clone();
    beyond.nullifier = U256::MAX;
    assert!(matches!(
        refusal(scene.send(&beyond)),
        VerifierErrors::InputNotInField(_)
    ));
    let mut fork = scene.chain.clone().with_chain_id(CHAIN_ID + 1);
    assert!(is_rejected(fork.call(
        BOB,
        scene.contract,
        U256::ZERO,
        &call
    )));
    scene.send(&call).unwrap();
}

/// The contract knows the latest list only, unlike [`Group`], which knows all that it had.
#[test]
fn a_proof_is_for_the_list_as_it_is() {
    let mut scene = scene();
    let before = scene.signal(3, TOPIC, "yes");
    let root = scene.group.add(&[Fr::from(7)]).unwrap();
    let change = setRootCall { root_: word(root) };
    let by_bob = scene.chain.call(BOB, scene.contract, U256::ZERO, &change);
    assert!(matches!(refusal(by_bob), Errors::NotAdministrator(_)));
    let early = scene.signal(3, TOPIC, "yes");
    assert!(is_rejected(scene.send(&early)), "a list that is not yet");
    scene
        .chain
        .call(ALICE, scene.contract, U256::ZERO, &change)
        .unwrap();
    assert!(is_rejected(scene.send(&before)), "the list as it was");
    scene.send(&early).unwrap();
}
