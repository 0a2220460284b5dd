//! The shielded token: what goes in is what is proved, and tokens that misbehave change nothing.

use alloy_primitives::{Address, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use ark_bn254::Fr;
use gadgets::poseidon;
use smart_contracts::abi::ShieldedToken::{
    ShieldedTokenErrors as Errors, Transaction, transactCall, transactReturn,
};
use smart_contracts::abi::{DemoToken, HostileToken, ShieldedToken, Verifier};
use smart_contracts::chain::{CallError, Chain, Receipt};
use smart_contracts::contracts;

use crate::support::{
    ALICE, BOB, CAROL, CHAIN_ID, Prover, arbitrary, context, deploy, new_chain, number, order,
    refusal, through_a_contract, word,
};
use crate::tree::root_of;

pub(crate) struct Scene {
    pub(crate) chain: Chain,
    pub(crate) pool: Address,
    pub(crate) token: Address,
}

/// The behaviours of `HostileToken`, in its order.
#[derive(Clone, Copy)]
enum Behaviour {
    Honest,
    ReturnsNothing,
    ReturnsFalse,
    ReturnsJunk,
    KeepsAFee,
    Reenters,
    MovesNothing,
    Reverts,
    GivesABonus,
}

fn scene_with(token: contracts::Artifact) -> Scene {
    let mut chain = new_chain();
    let token = deploy(&mut chain, token, &());
    let verifier = Prover::of(4).deploy(&mut chain);
    let pool = deploy(&mut chain, contracts::SHIELDED_TOKEN, &(verifier, token));
    Scene { chain, pool, token }
}

pub(crate) fn scene() -> Scene {
    let mut scene = scene_with(contracts::DEMO_TOKEN);
    let amount = U256::from(1_000_000);
    let mint = DemoToken::mintCall { to: ALICE, amount };
    scene
        .chain
        .call(ALICE, scene.token, U256::ZERO, &mint)
        .unwrap();
    let approve = DemoToken::approveCall {
        spender: scene.pool,
        amount,
    };
    scene
        .chain
        .call(ALICE, scene.token, U256::ZERO, &approve)
        .unwrap();
    scene
}

fn hostile_scene() -> Scene {
    let mut scene = scene_with(contracts::HOSTILE_TOKEN);
    let mint = HostileToken::mintCall {
        to: ALICE,
        amount: U256::from(1_000_000),
    };
    scene
        .chain
        .call(ALICE, scene.token, U256::ZERO, &mint)
        .unwrap();
    scene
}

pub(crate) fn hash(numbers: &[U256]) -> U256 {
    let numbers: Vec<Fr> = numbers.iter().copied().map(number).collect();
    word(poseidon::hash(&numbers))
}

impl Scene {
    /// Number `n` of transactions that have nothing in common.
    pub(crate) fn transaction(
        &self,
        n: u64,
        amount_in: u64,
        amount_out: u64,
        fee: u64,
    ) -> Transaction {
        let roots = self.chain.events_of::<ShieldedToken::Made>(self.pool);
        Transaction {
            root: roots.last().map_or(word(root_of(&[])), |made| made.root),
            nullifiers: [arbitrary(4 * n), arbitrary(4 * n + 1)],
            commitments: [arbitrary(4 * n + 2), arbitrary(4 * n + 3)],
            amountIn: U256::from(amount_in),
            amountOut: U256::from(amount_out),
            recipient: BOB,
            relayer: CAROL,
            fee: U256::from(fee),
            ciphertexts: [Bytes::from_static(b"one"), Bytes::from_static(b"two")],
        }
    }

    pub(crate) fn public_inputs(&self, t: &Transaction) -> [U256; 4] {
        let bound = (
            U256::from(CHAIN_ID),
            self.pool,
            self.token,
            t.recipient,
            t.relayer,
            t.fee,
            keccak256(&t.ciphertexts[0]),
            keccak256(&t.ciphertexts[1]),
        );
        [
            t.root,
            hash(&t.commitments),
            hash(&[t.nullifiers[0], t.nullifiers[1], t.amountIn, t.amountOut]),
            context(&bound.abi_encode()),
        ]
    }

    pub(crate) fn call(&self, t: &Transaction) -> transactCall {
        let proof = Prover::of(4).prove_words(&self.public_inputs(t));
        transactCall {
            proof,
            t: t.clone(),
        }
    }

    pub(crate) fn transact(
        &mut self,
        t: &Transaction,
    ) -> Result<Receipt<transactReturn>, CallError> {
        let call = self.call(t);
        self.chain.call(ALICE, self.pool, U256::ZERO, &call)
    }

    fn balance(&self, account: Address) -> U256 {
        self.chain
            .view(ALICE, self.token, &DemoToken::balanceOfCall { account })
            .unwrap()
    }

    fn behave(&mut self, behaviour: Behaviour, data: Bytes) {
        let call = HostileToken::behaveCall {
            behaviour_: behaviour as u8,
            target_: self.pool,
            data_: data,
        };
        self.chain
            .call(ALICE, self.token, U256::ZERO, &call)
            .unwrap();
    }
}

#[test]
fn tokens_come_in_move_inside_and_go_out() {
    let mut scene = scene();
    let deposit = scene.transaction(1, 500, 0, 0);
    let receipt = scene.transact(&deposit).unwrap();
    assert_eq!(scene.balance(scene.pool), U256::from(500));
    // Two nullifiers, the notes, the move, and the token's own event.
    assert_eq!(receipt.events.len(), 5);
    let made = scene
        .chain
        .events_of::<ShieldedToken::Made>(scene.pool)
        .last()
        .unwrap();
    assert_eq!(made.commitments, deposit.commitments);
    assert_eq!(made.ciphertexts, deposit.ciphertexts);
    assert_eq!(
        made.root,
        word(root_of(&[number(hash(&deposit.commitments))]))
    );
    let transfer = scene.transaction(2, 0, 0, 0);
    scene.transact(&transfer).unwrap();
    assert_eq!(scene.balance(scene.pool), U256::from(500));
    let withdrawal = scene.transaction(3, 0, 200, 7);
    scene.transact(&withdrawal).unwrap();
    assert_eq!(scene.balance(BOB), U256::from(193));
    assert_eq!(scene.balance(CAROL), U256::from(7));
    assert_eq!(scene.balance(scene.pool), U256::from(300));
    let moved = scene.chain.events_of::<ShieldedToken::Moved>(scene.pool);
    let moved: Vec<_> = moved
        .map(|moved| (moved.amountIn, moved.amountOut, moved.fee))
        .collect();
    let expected = [(500, 0, 0), (0, 0, 0), (0, 200, 7)];
    assert_eq!(
        moved,
        expected.map(|(i, o, fee)| (U256::from(i), U256::from(o), U256::from(fee)))
    );
    for nullifier in withdrawal.nullifiers {
        assert!(
            scene
                .chain
                .view(ALICE, scene.pool, &ShieldedToken::isSpentCall { nullifier })
                .unwrap()
        );
    }
}

#[test]
fn whatever_is_changed_in_a_transaction_it_is_refused() {
    let mut scene = scene();
    scene.transact(&scene.transaction(1, 500, 0, 0)).unwrap();
    let call = scene.call(&scene.transaction(2, 3, 100, 10));
    type Change = fn(&mut Transaction);
    let changes: [(&str, Change); 13] = [
        ("first nullifier", |t| t.nullifiers[0] = arbitrary(99)),
        ("second nullifier", |t| t.nullifiers[1] = arbitrary(99)),
        ("nullifiers swapped", |t| t.nullifiers.swap(0, 1)),
        ("first commitment", |t| t.commitments[0] = arbitrary(99)),
        ("second commitment", |t| t.commitments[1] = arbitrary(99)),
        ("commitments swapped", |t| t.commitments.swap(0, 1)),
        ("amount in", |t| t.amountIn = U256::ZERO),
        ("amount out", |t| t.amountOut += U256::ONE),
        ("recipient", |t| t.recipient = ALICE),
        ("relayer", |t| t.relayer = ALICE),
        ("fee", |t| t.fee += U256::ONE),
        ("first ciphertext", |t| {
            t.ciphertexts[0] = Bytes::from_static(b"other");
        }),
        ("second ciphertext", |t| t.ciphertexts[1] = Bytes::new()),
    ];
    for (what, change) in changes {
        let mut changed = call.clone();
        change(&mut changed.t);
        let refused = refusal(scene.chain.call(ALICE, scene.pool, U256::ZERO, &changed));
        assert!(
            matches!(refused, Verifier::VerifierErrors::ProofRejected(_)),
            "{what}"
        );
    }
    // With proofs that hold: of trees of the prover's own, and of what the mapping of a root that never was could be taken for.
    for root in [arbitrary(99), U256::ZERO] {
        let mut other = call.t.clone();
        other.root = root;
        assert!(matches!(
            refusal(scene.transact(&other)),
            Errors::UnknownRoot(_)
        ));
    }
    scene
        .chain
        .call(ALICE, scene.pool, U256::ZERO, &call)
        .unwrap();
}

#[test]
fn notes_are_spent_once_and_not_twice_in_one_call() {
    let mut scene = scene();
    let first = scene.transaction(1, 500, 0, 0);
    scene.transact(&first).unwrap();
    assert!(matches!(
        refusal(scene.transact(&first)),
        Errors::AlreadySpent(_)
    ));
    for at in 0..2 {
        let mut again = scene.transaction(2, 0, 0, 0);
        again.nullifiers[at] = first.nullifiers[1 - at];
        assert!(
            matches!(refusal(scene.transact(&again)), Errors::AlreadySpent(error) if error.nullifier == first.nullifiers[1 - at])
        );
    }
    let mut twice = scene.transaction(3, 0, 0, 0);
    twice.nullifiers[1] = twice.nullifiers[0];
    assert!(matches!(
        refusal(scene.transact(&twice)),
        Errors::AlreadySpent(_)
    ));
}

#[test]
fn numbers_have_one_encoding_and_amounts_128_bits() {
    let mut scene = scene();
    type Change = fn(&mut Transaction);
    let beyond: [Change; 4] = [
        |t| t.nullifiers[0] = U256::from(1) + order(),
        |t| t.nullifiers[1] = U256::from(1) + order(),
        |t| t.commitments[0] = U256::from(1) + order(),
        |t| t.commitments[1] = order(),
    ];
    // The hashes are those of the reduced numbers, so that the proof holds.
    for change in beyond {
        let mut t = scene.transaction(1, 0, 0, 0);
        change(&mut t);
        assert!(matches!(refusal(scene.transact(&t)), Errors::NotInField(_)));
    }
    let large: [Change; 3] = [
        |t| t.amountIn = U256::from(1) << 128,
        |t| t.amountOut = U256::from(1) << 128,
        |t| t.amountOut = order() + U256::ONE,
    ];
    for change in large {
        let mut t = scene.transaction(1, 0, 0, 0);
        change(&mut t);
        assert!(matches!(
            refusal(scene.transact(&t)),
            Errors::AmountTooLarge(_)
        ));
    }
    let t = scene.transaction(1, 0, 5, 6);
    assert!(matches!(refusal(scene.transact(&t)), Errors::FeeTooHigh(_)));
}

#[test]
fn a_proof_is_for_one_pool_on_one_chain() {
    let mut scene = scene();
    let call = scene.call(&scene.transaction(1, 500, 0, 0));
    let verifier = scene
        .chain
        .view(ALICE, scene.pool, &ShieldedToken::verifierCall {})
        .unwrap();
    let second = deploy(
        &mut scene.chain,
        contracts::SHIELDED_TOKEN,
        &(verifier, scene.token),
    );
    let mut elsewhere = scene.chain.clone().with_chain_id(CHAIN_ID + 1);
    for outcome in [
        scene.chain.call(ALICE, second, U256::ZERO, &call),
        elsewhere.call(ALICE, scene.pool, U256::ZERO, &call),
    ] {
        assert!(matches!(
            refusal(outcome),
            Verifier::VerifierErrors::ProofRejected(_)
        ));
    }
}

#[test]
fn a_token_that_returns_nothing_is_a_token() {
    let mut scene = hostile_scene();
    for behaviour in [Behaviour::Honest, Behaviour::ReturnsNothing] {
        scene.behave(behaviour, Bytes::new());
        let n = behaviour as u64;
        scene
            .transact(&scene.transaction(2 * n + 1, 500, 0, 0))
            .unwrap();
        scene
            .transact(&scene.transaction(2 * n + 2, 0, 500, 10))
            .unwrap();
    }
    assert_eq!(scene.balance(BOB), U256::from(980));
    assert_eq!(scene.balance(scene.pool), U256::ZERO);
}

#[test]
fn a_transfer_that_fails_or_says_so_undoes_everything() {
    let mut scene = hostile_scene();
    scene.transact(&scene.transaction(1, 500, 0, 0)).unwrap();
    for behaviour in [
        Behaviour::ReturnsFalse,
        Behaviour::ReturnsJunk,
        Behaviour::Reverts,
    ] {
        scene.behave(behaviour, Bytes::new());
        for t in [
            scene.transaction(2, 10, 0, 0),
            scene.transaction(3, 0, 10, 0),
            scene.transaction(4, 0, 10, 10),
        ] {
            assert!(matches!(
                refusal(scene.transact(&t)),
                Errors::TransferFailed(_)
            ));
        }
    }
    scene.behave(Behaviour::Honest, Bytes::new());
    scene.transact(&scene.transaction(2, 10, 0, 0)).unwrap();
    assert_eq!(scene.balance(scene.pool), U256::from(510));
}

#[test]
fn a_token_that_delivers_another_amount_than_it_says_is_refused() {
    let mut scene = hostile_scene();
    for (behaviour, received) in [
        (Behaviour::KeepsAFee, 9),
        (Behaviour::MovesNothing, 0),
        (Behaviour::GivesABonus, 11),
    ] {
        scene.behave(behaviour, Bytes::new());
        let outcome = scene.transact(&scene.transaction(1, 10, 0, 0));
        assert!(
            matches!(refusal(outcome), Errors::WrongAmountReceived(error) if error.received == U256::from(received))
        );
    }
}

#[test]
fn a_token_that_calls_back_finds_the_door_locked() {
    let mut scene = hostile_scene();
    scene.transact(&scene.transaction(1, 500, 0, 0)).unwrap();
    // A second, valid transaction from inside the first.
    let inner = scene.call(&scene.transaction(2, 0, 100, 0));
    scene.behave(Behaviour::Reenters, inner.abi_encode().into());
    scene.transact(&scene.transaction(3, 0, 50, 0)).unwrap();
    assert!(
        !scene
            .chain
            .view(ALICE, scene.token, &HostileToken::reentrySucceededCall {})
            .unwrap()
    );
    let data = scene
        .chain
        .view(ALICE, scene.token, &HostileToken::reentryReturnedCall {})
        .unwrap();
    assert!(matches!(
        refusal::<(), _>(Err(CallError::Reverted { data, gas: 0 })),
        Errors::Reentered(_)
    ));
    assert_eq!(scene.balance(scene.pool), U256::from(450));
    // The door opens again.
    scene.behave(Behaviour::Honest, Bytes::new());
    scene
        .chain
        .call(ALICE, scene.pool, U256::ZERO, &inner)
        .unwrap();
}

/// Not from the person behind it, who may have allowed the pool to take tokens for another time.
#[test]
fn tokens_come_from_who_calls_also_if_that_is_a_contract() {
    let mut scene = scene();
    let batch = deploy(&mut scene.chain, contracts::BATCH, &());
    let deposit = scene.call(&scene.transaction(1, 500, 0, 0));
    let outcome = through_a_contract(&mut scene.chain, batch, scene.pool, &[&deposit]);
    assert!(matches!(refusal(outcome), Errors::TransferFailed(_)));
}

#[test]
fn one_transaction_can_call_twice() {
    let mut scene = scene();
    let batch = deploy(&mut scene.chain, contracts::BATCH, &());
    let calls = [1, 2].map(|n| scene.call(&scene.transaction(n, 0, 0, 0)));
    let [first, second] = &calls;
    through_a_contract(&mut scene.chain, batch, scene.pool, &[first, second]).unwrap();
    let count = ShieldedToken::leafCountCall {};
    let count = scene.chain.view(ALICE, scene.pool, &count).unwrap();
    assert_eq!(count, U256::from(2));
}

/// Each call makes two notes, also a withdrawal.
#[test]
fn a_pool_whose_tree_is_full_pays_nobody() {
    let mut scene = scene();
    scene.transact(&scene.transaction(1, 500, 0, 0)).unwrap();
    let almost = U256::from((1 << 20) - 1);
    scene.chain.set_storage(scene.pool, U256::ZERO, almost);
    let count = ShieldedToken::leafCountCall {};
    let count = scene.chain.view(ALICE, scene.pool, &count).unwrap();
    assert_eq!(count, almost, "the first slot is the count");
    scene.transact(&scene.transaction(2, 0, 100, 0)).unwrap();
    for (n, (amount_in, amount_out)) in [(3, (10, 0)), (4, (0, 0)), (5, (0, 100))] {
        let t = scene.transaction(n, amount_in, amount_out, 0);
        assert!(matches!(refusal(scene.transact(&t)), Errors::TreeFull(_)));
    }
}

#[test]
fn a_pool_needs_a_token_that_is_there() {
    let mut chain = new_chain();
    let code = contracts::SHIELDED_TOKEN.creation_code();
    let arguments = (Address::repeat_byte(1), Address::repeat_byte(2)).abi_encode();
    assert!(matches!(
        refusal(chain.deploy(ALICE, &code, &arguments)),
        Errors::NotAToken(_)
    ));
}
