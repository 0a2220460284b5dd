//! The mixer pays once for each note, to whom its proof says, and to nobody else.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use smart_contracts::abi::Mixer::MixerErrors as Errors;
use smart_contracts::abi::{HostileRecipient, Mixer, Verifier};
use smart_contracts::chain::{CallError, Chain, Receipt};
use smart_contracts::contracts;

use crate::support::{
    ALICE, BOB, CAROL, CHAIN_ID, Prover, arbitrary, context, deploy, ether, new_chain, order,
    proof_argument, refusal,
};

pub(crate) const NOBODY: Address = Address::ZERO;

/// A mixer of 1 ether with one deposit.
pub(crate) struct Scene {
    pub(crate) chain: Chain,
    pub(crate) mixer: Address,
    pub(crate) root: U256,
}

pub(crate) fn scene() -> Scene {
    let mut chain = new_chain();
    let verifier = Prover::of(3).deploy(&mut chain);
    let mixer = deploy(&mut chain, contracts::MIXER, &(verifier, ether(1)));
    let commitment = arbitrary(1);
    chain
        .call(ALICE, mixer, ether(1), &Mixer::depositCall { commitment })
        .unwrap();
    let root = chain
        .events_of::<Mixer::Deposited>(mixer)
        .next()
        .unwrap()
        .root;
    Scene { chain, mixer, root }
}

impl Scene {
    pub(crate) fn deposit(
        &mut self,
        commitment: U256,
    ) -> Result<Receipt<Mixer::depositReturn>, CallError> {
        self.chain.call(
            ALICE,
            self.mixer,
            ether(1),
            &Mixer::depositCall { commitment },
        )
    }

    /// A withdrawal with a proof for what it says.
    pub(crate) fn withdrawal(
        &self,
        nullifier: U256,
        recipient: Address,
        relayer: Address,
        fee: U256,
    ) -> Mixer::withdrawCall {
        let context =
            context(&(U256::from(CHAIN_ID), self.mixer, recipient, relayer, fee).abi_encode());
        Mixer::withdrawCall {
            proof: Prover::of(3).prove_words(&[self.root, nullifier, context]),
            root: self.root,
            nullifierHash: nullifier,
            recipient,
            relayer,
            fee,
        }
    }

    pub(crate) fn withdraw(
        &mut self,
        call: &Mixer::withdrawCall,
    ) -> Result<Receipt<Mixer::withdrawReturn>, CallError> {
        self.chain.call(CAROL, self.mixer, U256::ZERO, call)
    }
}

fn is_rejected<T>(outcome: Result<T, CallError>) -> bool {
    matches!(refusal(outcome), Verifier::VerifierErrors::ProofRejected(_))
}

#[test]
fn a_withdrawal_pays_recipient_and_relayer_and_tells() {
    let mut scene = scene();
    let recipient = Address::repeat_byte(0x77);
    let fee = ether(1) / U256::from(10);
    let call = scene.withdrawal(arbitrary(2), recipient, BOB, fee);
    let receipt = scene.withdraw(&call).unwrap();
    assert_eq!(scene.chain.balance(recipient), ether(1) - fee);
    assert_eq!(scene.chain.balance(BOB), ether(1000) + fee);
    assert_eq!(scene.chain.balance(scene.mixer), U256::ZERO);
    assert_eq!(receipt.events.len(), 1);
    let event = scene
        .chain
        .events_of::<Mixer::Withdrawn>(scene.mixer)
        .next()
        .unwrap();
    assert_eq!(
        (
            event.nullifierHash,
            event.recipient,
            event.relayer,
            event.fee
        ),
        (arbitrary(2), recipient, BOB, fee)
    );
    let nullifier_hash = arbitrary(2);
    assert!(
        scene
            .chain
            .view(
                ALICE,
                scene.mixer,
                &Mixer::isSpentCall {
                    nullifierHash: nullifier_hash
                }
            )
            .unwrap()
    );
}

#[test]
fn a_deposit_is_of_the_denomination_new_and_in_the_field() {
    let mut scene = scene();
    for value in [U256::ZERO, ether(1) - U256::ONE, ether(1) + U256::ONE] {
        let outcome = scene.chain.call(
            ALICE,
            scene.mixer,
            value,
            &Mixer::depositCall {
                commitment: arbitrary(3),
            },
        );
        assert!(
            matches!(refusal(outcome), Errors::WrongValue(error) if error.expected == ether(1))
        );
    }
    assert!(matches!(
        refusal(scene.deposit(arbitrary(1))),
        Errors::CommitmentTaken(_)
    ));
    for commitment in [order(), arbitrary(1) + order()] {
        assert!(matches!(
            refusal(scene.deposit(commitment)),
            Errors::LeafNotInField(_)
        ));
    }
    assert_eq!(scene.chain.balance(scene.mixer), ether(1));
    scene.deposit(order() - U256::ONE).unwrap();
}

#[test]
fn a_mixer_whose_tree_is_full_still_pays() {
    let mut scene = scene();
    let call = scene.withdrawal(arbitrary(2), BOB, NOBODY, U256::ZERO);
    let full = U256::from(1 << 20);
    scene.chain.set_storage(scene.mixer, U256::ZERO, full);
    let count = Mixer::leafCountCall {};
    let count = scene.chain.view(ALICE, scene.mixer, &count).unwrap();
    assert_eq!(count, full, "the first slot is the count");
    assert!(matches!(
        refusal(scene.deposit(arbitrary(3))),
        Errors::TreeFull(_)
    ));
    scene.withdraw(&call).unwrap();
}

#[test]
fn a_note_is_paid_once_also_with_another_proof_and_under_another_root() {
    let mut scene = scene();
    scene.deposit(arbitrary(3)).unwrap();
    let call = scene.withdrawal(arbitrary(2), BOB, NOBODY, U256::ZERO);
    scene.withdraw(&call).unwrap();
    assert!(matches!(
        refusal(scene.withdraw(&call)),
        Errors::AlreadySpent(_)
    ));
    // Z4: anyone can make another proof from a valid one.
    let inputs = [
        scene.root,
        arbitrary(2),
        context(&(U256::from(CHAIN_ID), scene.mixer, BOB, NOBODY, U256::ZERO).abi_encode()),
    ];
    let mut other = call.clone();
    other.proof = proof_argument(&Prover::of(3).rerandomize(&Prover::of(3).prove(&inputs)));
    assert_ne!(other.proof, call.proof);
    assert!(matches!(
        refusal(scene.withdraw(&other)),
        Errors::AlreadySpent(_)
    ));
    scene.root = scene
        .chain
        .events_of::<Mixer::Deposited>(scene.mixer)
        .last()
        .unwrap()
        .root;
    let later = scene.withdrawal(arbitrary(2), CAROL, NOBODY, U256::ZERO);
    assert!(matches!(
        refusal(scene.withdraw(&later)),
        Errors::AlreadySpent(_)
    ));
    assert_eq!(scene.chain.balance(scene.mixer), ether(1));
}

#[test]
fn a_nullifier_has_one_encoding() {
    let mut scene = scene();
    scene.deposit(arbitrary(3)).unwrap();
    let small = U256::from(5);
    let mut call = scene.withdrawal(small, BOB, NOBODY, U256::ZERO);
    scene.withdraw(&call).unwrap();
    for multiple in 1..=5_u64 {
        call.nullifierHash = small + order() * U256::from(multiple);
        let refused = refusal(scene.withdraw(&call));
        assert!(matches!(
            refused,
            Verifier::VerifierErrors::InputNotInField(_)
        ));
    }
}

#[test]
fn whatever_is_changed_in_a_withdrawal_it_is_rejected() {
    let mut scene = scene();
    let fee = U256::from(1000);
    let call = scene.withdrawal(arbitrary(2), BOB, CAROL, fee);
    type Change = fn(&mut Mixer::withdrawCall);
    let changes: [(&str, Change); 5] = [
        ("recipient", |call| call.recipient = ALICE),
        ("relayer", |call| call.relayer = ALICE),
        ("fee", |call| call.fee += U256::ONE),
        ("no fee", |call| call.fee = U256::ZERO),
        ("nullifier", |call| call.nullifierHash = arbitrary(9)),
    ];
    for (what, change) in changes {
        let mut changed = call.clone();
        change(&mut changed);
        assert!(is_rejected(scene.withdraw(&changed)), "{what}");
    }
    let mut changed = call.clone();
    changed.root = arbitrary(9);
    assert!(matches!(
        refusal(scene.withdraw(&changed)),
        Errors::UnknownRoot(_)
    ));
    let mut changed = call.clone();
    changed.root = U256::ZERO;
    assert!(matches!(
        refusal(scene.withdraw(&changed)),
        Errors::UnknownRoot(_)
    ));
    let mut changed = call.clone();
    changed.fee = ether(1) + U256::ONE;
    assert!(matches!(
        refusal(scene.withdraw(&changed)),
        Errors::FeeTooHigh(_)
    ));
    // Nothing of this used the note up.
    scene.withdraw(&call).unwrap();
}

#[test]
fn a_root_that_is_known_but_not_the_proofs_is_rejected() {
    let mut scene = scene();
    scene.deposit(arbitrary(3)).unwrap();
    let mut call = scene.withdrawal(arbitrary(2), BOB, NOBODY, U256::ZERO);
    call.root = scene
        .chain
        .events_of::<Mixer::Deposited>(scene.mixer)
        .last()
        .unwrap()
        .root;
    assert!(is_rejected(scene.withdraw(&call)));
}

#[test]
fn a_proof_is_for_one_contract_on_one_chain() {
    let mut scene = scene();
    let call = scene.withdrawal(arbitrary(2), BOB, NOBODY, U256::ZERO);
    let verifier = scene
        .chain
        .view(ALICE, scene.mixer, &Mixer::verifierCall {})
        .unwrap();
    let second = deploy(&mut scene.chain, contracts::MIXER, &(verifier, ether(1)));
    let commitment = arbitrary(1);
    scene
        .chain
        .call(ALICE, second, ether(1), &Mixer::depositCall { commitment })
        .unwrap();
    assert!(
        scene
            .chain
            .view(ALICE, second, &Mixer::isKnownRootCall { root: scene.root })
            .unwrap()
    );
    assert!(is_rejected(scene.chain.call(
        CAROL,
        second,
        U256::ZERO,
        &call
    )));
    let mut other_chain = scene.chain.clone().with_chain_id(CHAIN_ID + 1);
    assert!(is_rejected(other_chain.call(
        CAROL,
        scene.mixer,
        U256::ZERO,
        &call
    )));
    scene.withdraw(&call).unwrap();
}

#[test]
fn a_recipient_that_calls_back_gets_nothing_more() {
    let mut scene = scene();
    scene.deposit(arbitrary(3)).unwrap();
    let hostile = deploy(&mut scene.chain, contracts::HOSTILE_RECIPIENT, &());
    let call = scene.withdrawal(arbitrary(2), hostile, NOBODY, U256::ZERO);
    let data: Bytes = call.abi_encode().into();
    let behave = HostileRecipient::behaveCall {
        refuses_: false,
        target_: scene.mixer,
        data_: data,
    };
    scene
        .chain
        .call(ALICE, hostile, U256::ZERO, &behave)
        .unwrap();
    scene.withdraw(&call).unwrap();
    assert_eq!(scene.chain.balance(hostile), ether(1));
    assert_eq!(scene.chain.balance(scene.mixer), ether(1));
    let succeeded = HostileRecipient::reentrySucceededCall {};
    assert!(!scene.chain.view(ALICE, hostile, &succeeded).unwrap());
    let returned = scene
        .chain
        .view(ALICE, hostile, &HostileRecipient::reentryReturnedCall {})
        .unwrap();
    let reverted = CallError::Reverted {
        data: returned,
        gas: 0,
    };
    assert!(matches!(
        reverted.custom::<Errors>(),
        Some(Errors::AlreadySpent(_))
    ));
}

#[test]
fn a_recipient_or_relayer_that_refuses_leaves_the_note_unspent() {
    let mut scene = scene();
    let hostile = deploy(&mut scene.chain, contracts::HOSTILE_RECIPIENT, &());
    let refuse = |refuses_| HostileRecipient::behaveCall {
        refuses_,
        target_: NOBODY,
        data_: Bytes::new(),
    };
    scene
        .chain
        .call(ALICE, hostile, U256::ZERO, &refuse(true))
        .unwrap();
    let to_hostile = scene.withdrawal(arbitrary(2), hostile, NOBODY, U256::ZERO);
    let by_hostile = scene.withdrawal(arbitrary(2), BOB, hostile, U256::from(1));
    for call in [&to_hostile, &by_hostile] {
        assert!(
            matches!(refusal(scene.withdraw(call)), Errors::PaymentFailed(error) if error.to == hostile)
        );
    }
    assert_eq!(scene.chain.balance(BOB), ether(1000));
    scene
        .chain
        .call(ALICE, hostile, U256::ZERO, &refuse(false))
        .unwrap();
    scene.withdraw(&to_hostile).unwrap();
}

#[test]
fn a_mixer_whose_verifier_is_no_contract_pays_nobody() {
    let mut chain = new_chain();
    let mixer = deploy(
        &mut chain,
        contracts::MIXER,
        &(Address::repeat_byte(0x99), ether(1)),
    );
    let commitment = arbitrary(1);
    chain
        .call(ALICE, mixer, ether(1), &Mixer::depositCall { commitment })
        .unwrap();
    let root = chain
        .events_of::<Mixer::Deposited>(mixer)
        .next()
        .unwrap()
        .root;
    let scene = Scene { chain, mixer, root };
    let call = scene.withdrawal(arbitrary(2), BOB, NOBODY, U256::ZERO);
    let mut scene = scene;
    assert!(scene.withdraw(&call).is_err());
}

#[test]
fn the_context_is_that_of_the_statement() {
    let scene = scene();
    let call = Mixer::contextOfCall {
        recipient: BOB,
        relayer: CAROL,
        fee: U256::from(3),
    };
    let expected =
        context(&(U256::from(CHAIN_ID), scene.mixer, BOB, CAROL, U256::from(3)).abi_encode());
    assert_eq!(
        scene.chain.view(ALICE, scene.mixer, &call).unwrap(),
        expected
    );
}
