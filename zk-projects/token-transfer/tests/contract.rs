//! The circuit's proofs and the contract, in the local EVM: two wallets that follow its events.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::sync::LazyLock;

use alloy_primitives::{Address, Bytes, U256};
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use smart_contracts::abi::DemoToken::{approveCall, balanceOfCall, mintCall};
use smart_contracts::abi::ShieldedToken::{
    Made, Moved, ShieldedTokenErrors as Errors, Spent, Transaction, transactCall,
};
use smart_contracts::chain::{CallError, Chain, refusal};
use smart_contracts::contracts;
use smart_contracts::words::word;
use statement_suite::contract::{ALICE, BOB, CHAIN_ID, RELAYER, Stage, create, is_rejected};
use storage::MemoryEngine;
use token_transfer::{Keys, Order, Prepared, Transfer, Wallet};

static STAGE: LazyLock<Stage<Transfer>> = LazyLock::new(Stage::new);

struct Scene {
    chain: Chain,
    contract: Address,
    token: Address,
    ann: Wallet<MemoryEngine>,
    ben: Wallet<MemoryEngine>,
    random: StdRng,
}

/// A pool of a token that Alice's account has 1,000 of; Ann and Ben have nothing.
fn scene() -> Scene {
    let mut chain = STAGE.chain();
    let token = create(&mut chain, contracts::DEMO_TOKEN, &());
    let arguments = (STAGE.verifier(), token);
    let contract = create(&mut chain, contracts::SHIELDED_TOKEN, &arguments);
    let amount = U256::from(1000);
    let mint = mintCall { to: ALICE, amount };
    chain.call(ALICE, token, U256::ZERO, &mint).unwrap();
    let spender = contract;
    let approve = approveCall { spender, amount };
    chain.call(ALICE, token, U256::ZERO, &approve).unwrap();
    let wallet = |seed| Wallet::open(MemoryEngine::new(), Keys::from_seed(&[seed; 32])).unwrap();
    Scene {
        chain,
        contract,
        token,
        ann: wallet(1),
        ben: wallet(2),
        random: StdRng::seed_from_u64(1),
    }
}

fn transact_call(prepared: &Prepared) -> transactCall {
    let (call, event) = (&prepared.call, &prepared.event);
    transactCall {
        proof: STAGE.prove(&prepared.public, &prepared.private),
        t: Transaction {
            root: word(prepared.public.root),
            nullifiers: event.nullifiers.map(word),
            commitments: event.commitments.map(word),
            amountIn: U256::from(event.amount_in),
            amountOut: U256::from(event.amount_out),
            recipient: call.recipient.into(),
            relayer: call.relayer.into(),
            fee: U256::from(call.fee),
            ciphertexts: call.ciphertexts.clone().map(Bytes::from),
        },
    }
}

impl Scene {
    fn order(&self) -> Order {
        Order {
            chain_id: CHAIN_ID,
            contract: self.contract.into_array(),
            token: self.token.into_array(),
            pay: None,
            amount_in: 0,
            amount_out: 0,
            recipient: [0; 20],
            relayer: [0; 20],
            fee: 0,
        }
    }

    fn send(&mut self, from: Address, call: &transactCall) -> Result<(), CallError> {
        let sent = self.chain.call(from, self.contract, U256::ZERO, call);
        sent.map(drop)
    }

    /// The contract took it: it said what the wallet foresaw, and both wallets arrive at its root.
    fn follow(&mut self, prepared: &Prepared) {
        let event = &prepared.event;
        let made = self.chain.events_of::<Made>(self.contract).last().unwrap();
        assert_eq!(made.index, U256::from(event.pair));
        assert_eq!(made.commitments, event.commitments.map(word));
        assert_eq!(made.ciphertexts, event.ciphertexts.clone().map(Bytes::from));
        let moved = self.chain.events_of::<Moved>(self.contract).last().unwrap();
        let amounts = [event.amount_in, event.amount_out].map(U256::from);
        assert_eq!([moved.amountIn, moved.amountOut], amounts);
        let spent: Vec<U256> = self
            .chain
            .events_of::<Spent>(self.contract)
            .map(|spent| spent.nullifier)
            .collect();
        assert!(spent.ends_with(&event.nullifiers.map(word)));
        self.ann.scan(event).unwrap();
        self.ben.scan(event).unwrap();
        for wallet in [&self.ann, &self.ben] {
            assert_eq!(word(wallet.root().unwrap()), made.root);
        }
    }

    /// 1,000 enter, as Ann's.
    fn deposit(&mut self) {
        let order = Order {
            amount_in: 1000,
            ..self.order()
        };
        let prepared = self.ann.prepare(&order, &mut self.random).unwrap();
        let call = transact_call(&prepared);
        // Whoever sends it pays.
        let by_bob = self.send(BOB, &call);
        assert!(matches!(refusal(by_bob), Errors::TransferFailed(_)));
        self.send(ALICE, &call).unwrap();
        self.follow(&prepared);
    }

    fn tokens(&self, account: Address) -> U256 {
        let asked = balanceOfCall { account };
        self.chain.view(ALICE, self.token, &asked).unwrap()
    }
}

#[test]
fn tokens_enter_the_contract_are_paid_within_it_and_leave_it() {
    let mut scene = scene();
    scene.deposit();
    let pay = Order {
        pay: Some((scene.ben.keys().address(), 300)),
        ..scene.order()
    };
    let paid = scene.ann.prepare(&pay, &mut scene.random).unwrap();
    let call = transact_call(&paid);
    scene.send(BOB, &call).unwrap();
    scene.follow(&paid);
    let replay = scene.send(BOB, &call);
    let [first, _] = call.t.nullifiers;
    assert!(matches!(
        refusal(replay),
        Errors::AlreadySpent(error) if error.nullifier == first
    ));
    let leave = Order {
        amount_out: 100,
        recipient: BOB.into_array(),
        relayer: RELAYER.into_array(),
        fee: 7,
        ..scene.order()
    };
    let left = scene.ben.prepare(&leave, &mut scene.random).unwrap();
    scene.send(RELAYER, &transact_call(&left)).unwrap();
    scene.follow(&left);
    let accounts = [ALICE, scene.contract, BOB, RELAYER];
    let tokens = accounts.map(|account| scene.tokens(account));
    assert_eq!(tokens, [0, 900, 93, 7].map(U256::from));
    let balances = [&scene.ann, &scene.ben].map(|wallet| wallet.balance().unwrap());
    assert_eq!(balances, [700, 200]);
}

#[test]
fn a_transaction_with_anything_changed_is_refused() {
    let mut scene = scene();
    scene.deposit();
    let leave = Order {
        amount_out: 100,
        recipient: BOB.into_array(),
        relayer: RELAYER.into_array(),
        fee: 7,
        ..scene.order()
    };
    let prepared = scene.ann.prepare(&leave, &mut scene.random).unwrap();
    let call = transact_call(&prepared);
    let empty = word(token_transfer::statement::TREE.zeros()[10]);
    type Change<'a> = &'a dyn Fn(&mut Transaction);
    let changes: [(&str, Change<'_>); 9] = [
        ("root: that of no notes", &|t| t.root = empty),
        ("pair: a commitment", &|t| t.commitments[0] += U256::ONE),
        ("pair: their order", &|t| t.commitments.swap(0, 1)),
        ("spend: a nullifier", &|t| t.nullifiers[1] += U256::ONE),
        ("spend: amount out", &|t| t.amountOut += U256::ONE),
        ("context: recipient", &|t| t.recipient = ALICE),
        ("context: relayer", &|t| t.relayer = ALICE),
        ("context: fee", &|t| t.fee += U256::ONE),
        ("context: a ciphertext", &|t| {
            t.ciphertexts[0] = Bytes::from_static(b"not the note");
        }),
    ];
    for (what, change) in changes {
        let mut changed = call.clone();
        change(&mut changed.t);
        assert!(is_rejected(scene.send(RELAYER, &changed)), "{what}");
    }
    let mut unknown = call.clone();
    unknown.t.root += U256::ONE;
    assert!(matches!(
        refusal(scene.send(RELAYER, &unknown)),
        Errors::UnknownRoot(_)
    ));
    let mut fork = scene.chain.clone().with_chain_id(CHAIN_ID + 1);
    assert!(is_rejected(fork.call(
        RELAYER,
        scene.contract,
        U256::ZERO,
        &call
    )));
    scene.send(RELAYER, &call).unwrap();
}
