//! The gas of every entry point, in `tests/golden/gas.txt`.

use std::fmt::Write as _;
use std::path::PathBuf;

use alloy_primitives::{Address, B256, U256};
use smart_contracts::abi::{DemoToken, Hashes, Membership, Registry};
use smart_contracts::chain::Receipt;
use smart_contracts::contracts;

use crate::support::{ALICE, BOB, CAROL, Prover, arbitrary, deploy, ether, new_chain};
use crate::{membership, mixer, registry, token};

struct Table(String);

impl Table {
    fn line<T>(&mut self, what: &str, receipt: &Receipt<T>) {
        writeln!(
            self.0,
            "{what:<58} {:>9} {:>9}",
            receipt.gas, receipt.execution_gas
        )
        .unwrap();
    }
}

#[test]
fn gas_is_as_recorded_and_a_deposit_within_its_limit() {
    let mut table = Table(format!(
        "{:<58} {:>9} {:>9}\n",
        "entry point", "gas", "execution"
    ));
    hashes(&mut table);
    let largest = of_mixer(&mut table);
    of_token(&mut table);
    of_registry(&mut table);
    of_membership(&mut table);
    of_verifiers(&mut table);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gas.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &table.0).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap();
    assert!(
        recorded == table.0,
        "gas changed, see the head of main.rs:\n{}",
        table.0
    );
    assert!(largest <= 450_000, "a deposit takes {largest} gas");
}

fn hashes(table: &mut Table) {
    let mut chain = new_chain();
    let contract = deploy(&mut chain, contracts::HASHES, &());
    let paths = chain
        .view(ALICE, contract, &Hashes::gasOfPathsCall {})
        .unwrap();
    for (what, gas) in [
        ("arity 2, depth 20", paths.arity2),
        ("arity 4, depth 10", paths.arity4),
    ] {
        writeln!(
            table.0,
            "{:<58} {:>9} {gas:>9}",
            format!("Poseidon: path of 2^20 leaves, {what}"),
            ""
        )
        .unwrap();
    }
}

/// Returns the largest gas of a deposit.
fn of_mixer(table: &mut Table) -> u64 {
    let mut chain = new_chain();
    let verifier = Prover::of(3).deploy(&mut chain);
    let code = contracts::MIXER.creation_code();
    let arguments = alloy_sol_types::SolValue::abi_encode(&(verifier, ether(1)));
    table.line(
        "Mixer: creation",
        &chain.deploy(ALICE, &code, &arguments).unwrap(),
    );
    let mut scene = mixer::scene();
    let mut gas = Vec::new();
    for index in 1..64_u64 {
        let receipt = scene.deposit(arbitrary(100 + index)).unwrap();
        gas.push(receipt.gas);
        match index {
            1 => table.line("Mixer.deposit: leaf 1", &receipt),
            3 => table.line("Mixer.deposit: leaf 3, fills a node", &receipt),
            63 => table.line("Mixer.deposit: leaf 63, fills three levels", &receipt),
            _ => {}
        }
    }
    let mean = gas.iter().sum::<u64>() / gas.len() as u64;
    writeln!(
        table.0,
        "{:<58} {mean:>9}",
        "Mixer.deposit: mean of leaves 1 to 63"
    )
    .unwrap();
    table.line(
        "Mixer.deposit: worst, all siblings are loaded",
        &worst_deposit(),
    );
    let call = scene.withdrawal(
        arbitrary(2),
        Address::repeat_byte(0x77),
        BOB,
        U256::from(1000),
    );
    table.line(
        "Mixer.withdraw: new recipient, relayer with a fee",
        &scene.withdraw(&call).unwrap(),
    );
    let call = scene.withdrawal(arbitrary(3), BOB, mixer::NOBODY, U256::ZERO);
    table.line(
        "Mixer.withdraw: known recipient, no fee",
        &scene.withdraw(&call).unwrap(),
    );
    *gas.iter().max().unwrap()
}

/// Leaf 2^20 - 2 of a mixer whose nodes to the left are all there: three loads in nine levels, two and a new slot in the lowest.
fn worst_deposit() -> Receipt<smart_contracts::abi::Mixer::depositReturn> {
    let mut scene = mixer::scene();
    scene
        .chain
        .set_storage(scene.mixer, U256::ZERO, U256::from((1 << 20) - 2));
    for slot in 0..30 {
        scene
            .chain
            .set_storage(scene.mixer, U256::from(2 + slot), arbitrary(slot));
    }
    scene
        .chain
        .set_storage(scene.mixer, U256::from(2 + 2), U256::ZERO);
    let receipt = scene.deposit(arbitrary(500)).unwrap();
    assert!(
        receipt.gas <= 450_000,
        "the worst deposit takes {} gas",
        receipt.gas
    );
    receipt
}

fn of_token(table: &mut Table) {
    let mut scene = token::scene();
    let mint = DemoToken::mintCall {
        to: BOB,
        amount: U256::ONE,
    };
    scene
        .chain
        .call(ALICE, scene.token, U256::ZERO, &mint)
        .unwrap();
    let first = scene.transaction(1, 500, 0, 0);
    table.line(
        "ShieldedToken.transact: first deposit",
        &scene.transact(&first).unwrap(),
    );
    let deposit = scene.transaction(2, 500, 0, 0);
    table.line(
        "ShieldedToken.transact: deposit",
        &scene.transact(&deposit).unwrap(),
    );
    let transfer = scene.transaction(3, 0, 0, 0);
    table.line(
        "ShieldedToken.transact: transfer",
        &scene.transact(&transfer).unwrap(),
    );
    let withdrawal = scene.transaction(4, 0, 100, 5);
    table.line(
        "ShieldedToken.transact: withdrawal with a fee",
        &scene.transact(&withdrawal).unwrap(),
    );
}

fn of_registry(table: &mut Table) {
    let mut scene = registry::scene();
    let call = Registry::registerCall {
        user: B256::repeat_byte(1),
        commitment: arbitrary(1),
    };
    table.line(
        "Registry.register",
        &scene
            .chain
            .call(BOB, scene.registry, U256::ZERO, &call)
            .unwrap(),
    );
    let first = scene.login(0);
    table.line("Registry.login: first", &scene.send(ALICE, &first).unwrap());
    let second = scene.login(1);
    table.line(
        "Registry.login: later",
        &scene.send(ALICE, &second).unwrap(),
    );
    let commitment = arbitrary(5);
    let action = Registry::changeActionCall { commitment };
    let action = scene.chain.view(ALICE, scene.registry, &action).unwrap();
    let change = Registry::changeCall {
        proof: scene.prove(arbitrary(1), 2, action, ALICE),
        user: first.user,
        commitment,
        expiry: first.expiry,
    };
    table.line(
        "Registry.change",
        &scene
            .chain
            .call(ALICE, scene.registry, U256::ZERO, &change)
            .unwrap(),
    );
}

fn of_membership(table: &mut Table) {
    let mut scene = membership::scene();
    let signal = scene.signal(arbitrary(2), b"yes");
    table.line("Membership.signal", &scene.send(&signal).unwrap());
    let change = Membership::setRootCall {
        root_: arbitrary(7),
    };
    table.line(
        "Membership.setRoot",
        &scene
            .chain
            .call(ALICE, scene.group, U256::ZERO, &change)
            .unwrap(),
    );
}

fn of_verifiers(table: &mut Table) {
    for count in 1..=smart_contracts::verifier::MOST_INPUTS {
        let mut chain = new_chain();
        let prover = Prover::of(count);
        let code = smart_contracts::verifier::creation_code(
            &prover.verifying_key(),
            proof::key::Origin::Demo,
        );
        let created = chain.deploy(ALICE, &code.unwrap(), &[]).unwrap();
        table.line(&format!("Verifier: creation, {count} inputs"), &created);
        let inputs: Vec<U256> = (0..count as u64).map(arbitrary).collect();
        let numbers: Vec<_> = inputs.iter().copied().map(crate::support::number).collect();
        let data = proof::solidity::calldata(&prover.prove(&inputs), &numbers);
        let receipt = chain
            .send(CAROL, created.created, U256::ZERO, data.into())
            .unwrap();
        table.line(&format!("Verifier.verify: {count} inputs"), &receipt);
    }
}
