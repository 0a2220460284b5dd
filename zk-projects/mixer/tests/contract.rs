//! The circuit's proofs and the contract, in the local EVM: a deposit to withdrawal by a note.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::sync::LazyLock;

use alloy_primitives::{Address, U256};
use ark_std::rand::SeedableRng;
use mixer::{Call, Mixer, Note, Withdraw};
use rand_chacha::ChaCha20Rng;
use smart_contracts::abi::Mixer::{
    Deposited, MixerErrors as Errors, depositCall, isSpentCall, withdrawCall,
};
use smart_contracts::chain::{Chain, refusal};
use smart_contracts::contracts;
use smart_contracts::words::{number, word};
use statement_suite::contract::{ALICE, BOB, CHAIN_ID, RELAYER, Stage, create, is_rejected};
use storage::MemoryEngine;

static STAGE: LazyLock<Stage<Withdraw>> = LazyLock::new(Stage::new);
const DENOMINATION: u64 = 1_000_000;
const FEE: u64 = 1_000;

/// A mixer with five deposits, and the wallet's tree, which follows the contract by its events and arrives at the same roots.
struct Scene {
    chain: Chain,
    contract: Address,
    wallet: Mixer<MemoryEngine>,
    notes: [Note; 5],
}

fn scene() -> Scene {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    let mut chain = STAGE.chain();
    let arguments = (STAGE.verifier(), U256::from(DENOMINATION));
    let contract = create(&mut chain, contracts::MIXER, &arguments);
    let notes = [(); 5].map(|()| Note::random(CHAIN_ID, contract.into_array(), &mut random));
    let mut wallet = Mixer::new(MemoryEngine::new());
    for note in &notes {
        let call = depositCall {
            commitment: word(note.commitment()),
        };
        let value = U256::from(DENOMINATION);
        chain.call(ALICE, contract, value, &call).unwrap();
        let event = chain.events_of::<Deposited>(contract).last().unwrap();
        let root = wallet.deposited(event.index.to::<u64>(), &[number(event.commitment)]);
        assert_eq!(word(root.unwrap()), event.root);
    }
    Scene {
        chain,
        contract,
        wallet,
        notes,
    }
}

impl Scene {
    /// The third note, to Bob, by a relayer.
    fn withdrawal(&self) -> withdrawCall {
        let call = Call {
            chain_id: CHAIN_ID,
            contract: self.contract.into_array(),
            recipient: BOB.into_array(),
            relayer: RELAYER.into_array(),
            fee: u128::from(FEE),
        };
        let (public, private) = self.wallet.withdrawal(&self.notes[2], &call).unwrap();
        withdrawCall {
            proof: STAGE.prove(&public, &private),
            root: word(public.root),
            nullifierHash: word(public.nullifier_hash),
            recipient: BOB,
            relayer: RELAYER,
            fee: U256::from(FEE),
        }
    }
}

#[test]
fn a_note_deposited_in_the_contract_is_withdrawn_from_it_once() {
    let mut scene = scene();
    let contract = scene.contract;
    let withdraw = scene.withdrawal();
    let before = scene.chain.balance(BOB);
    // Anybody may send it: here the relayer.
    let mut send = || {
        let sent = scene.chain.call(RELAYER, contract, U256::ZERO, &withdraw);
        sent.map(drop)
    };
    send().unwrap();
    assert!(matches!(refusal(send()), Errors::AlreadySpent(_)));
    let paid = scene.chain.balance(BOB) - before;
    assert_eq!(paid, U256::from(DENOMINATION - FEE));
    assert_eq!(scene.chain.balance(RELAYER), U256::from(FEE));
    let spent = isSpentCall {
        nullifierHash: withdraw.nullifierHash,
    };
    assert!(scene.chain.view(ALICE, contract, &spent).unwrap());
}

#[test]
fn a_withdrawal_with_anything_changed_is_refused() {
    let mut scene = scene();
    let contract = scene.contract;
    let withdraw = scene.withdrawal();
    let first = scene.chain.events_of::<Deposited>(contract).next().unwrap();
    type Change<'a> = &'a dyn Fn(&mut withdrawCall);
    let changes: [(&str, Change<'_>); 5] = [
        ("an older root", &|call| call.root = first.root),
        ("nullifier", &|call| call.nullifierHash += U256::ONE),
        ("recipient", &|call| call.recipient = ALICE),
        ("relayer", &|call| call.relayer = ALICE),
        ("fee", &|call| call.fee += U256::ONE),
    ];
    for (what, change) in changes {
        let mut changed = withdraw.clone();
        change(&mut changed);
        let outcome = scene.chain.call(RELAYER, contract, U256::ZERO, &changed);
        assert!(is_rejected(outcome), "{what}");
    }
    let mut unknown = withdraw.clone();
    unknown.root += U256::ONE;
    let outcome = scene.chain.call(RELAYER, contract, U256::ZERO, &unknown);
    assert!(matches!(refusal(outcome), Errors::UnknownRoot(_)));
    let mut fork = scene.chain.clone().with_chain_id(CHAIN_ID + 1);
    assert!(is_rejected(fork.call(
        RELAYER,
        contract,
        U256::ZERO,
        &withdraw
    )));
    scene
        .chain
        .call(RELAYER, contract, U256::ZERO, &withdraw)
        .unwrap();
}
