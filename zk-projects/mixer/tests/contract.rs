//! The circuit's proofs and the contract, in the local EVM: a deposit to withdrawal by a note.

use alloy_primitives::{Address, U256};
use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use ark_std::rand::SeedableRng;
use mixer::{Call, Mixer, Note, Withdraw};
use proof::key::Origin;
use proof::prove::Prover;
use proof::statement::{Statement, constraints, witness};
use rand_chacha::ChaCha20Rng;
use smart_contracts::abi::Mixer::{Deposited, depositCall, isSpentCall, withdrawCall};
use smart_contracts::chain::{Block, Chain};
use smart_contracts::{contracts, verifier};
use storage::MemoryEngine;

const ALICE: Address = Address::repeat_byte(0xa1);
const RECIPIENT: Address = Address::repeat_byte(0xb2);
const RELAYER: Address = Address::repeat_byte(0xc3);
const CHAIN_ID: u64 = 31337;
const DENOMINATION: u64 = 1_000_000;
const FEE: u64 = 1_000;

fn word(number: Fr) -> U256 {
    U256::from_be_slice(&number.into_bigint().to_bytes_be())
}

fn number(word: U256) -> Fr {
    Fr::from_be_bytes_mod_order(&word.to_be_bytes::<32>())
}

#[test]
fn a_note_deposited_in_the_contract_is_withdrawn_from_it_once() {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    let (public, private) = Withdraw::sample(&mut random);
    let circuit = constraints::<Withdraw>(&public, &private).unwrap();
    let prover = Prover::new(proof::setup::local(&circuit, &mut random).unwrap()).unwrap();

    let mut chain = Chain::new(
        CHAIN_ID,
        Block {
            number: 1,
            timestamp: 1,
        },
    );
    chain.fund(ALICE, U256::from(10 * DENOMINATION));
    let code = verifier::creation_code(&prover.key().verifying, Origin::Demo).unwrap();
    let verifier = chain.deploy(ALICE, &code, &[]).unwrap().created;
    let arguments = alloy_sol_types::SolValue::abi_encode(&(verifier, U256::from(DENOMINATION)));
    let code = contracts::MIXER.creation_code();
    let contract = chain.deploy(ALICE, &code, &arguments).unwrap().created;

    // The wallet follows the contract by its events, and arrives at the same roots.
    let notes = [(); 5].map(|()| Note::random(CHAIN_ID, contract.into_array(), &mut random));
    let mut wallet = Mixer::new(MemoryEngine::new());
    for note in &notes {
        let call = depositCall {
            commitment: word(note.commitment()),
        };
        chain
            .call(ALICE, contract, U256::from(DENOMINATION), &call)
            .unwrap();
        let event = chain.events_of::<Deposited>(contract).last().unwrap();
        let root = wallet.deposited(event.index.to::<u64>(), &[number(event.commitment)]);
        assert_eq!(word(root.unwrap()), event.root);
    }

    let call = Call {
        chain_id: CHAIN_ID,
        contract: contract.into_array(),
        recipient: RECIPIENT.into_array(),
        relayer: RELAYER.into_array(),
        fee: u128::from(FEE),
    };
    let (public, private) = wallet.withdrawal(&notes[2], &call).unwrap();
    let wires = witness::<Withdraw>(&public, &private).unwrap();
    let proof = prover.prove(&wires, &mut random).unwrap();
    let withdraw = withdrawCall {
        proof: proof::solidity::proof_words(&proof).map(U256::from_be_bytes),
        root: word(public.root),
        nullifierHash: word(public.nullifier_hash),
        recipient: RECIPIENT,
        relayer: RELAYER,
        fee: U256::from(FEE),
    };
    let mut stolen = withdraw.clone();
    stolen.recipient = ALICE;
    assert!(chain.call(ALICE, contract, U256::ZERO, &stolen).is_err());
    chain.call(ALICE, contract, U256::ZERO, &withdraw).unwrap();
    assert_eq!(chain.balance(RECIPIENT), U256::from(DENOMINATION - FEE));
    assert_eq!(chain.balance(RELAYER), U256::from(FEE));
    let spent = isSpentCall {
        nullifierHash: withdraw.nullifierHash,
    };
    assert!(chain.view(ALICE, contract, &spent).unwrap());
    assert!(chain.call(ALICE, contract, U256::ZERO, &withdraw).is_err());
}
