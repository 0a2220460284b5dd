//! Two wallets and a contract that is only its events.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ark_bn254::Fr;
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use bytes::Bytes;
use proof::statement::Statement;
use storage::kvs::{LogEngine, Options};
use storage::{
    Batch, Direction, Engine, EngineKind, Entries, KeyRange, Limits, MemoryEngine, Reader,
};
use token_transfer::note::{Note, seal};
use token_transfer::{Event, Keys, Order, Prepared, Transfer, Wallet, WalletError};
use zk_store::StoreError;

fn order() -> Order {
    Order {
        chain_id: 1,
        contract: [1; 20],
        token: [2; 20],
        pay: None,
        amount_in: 0,
        amount_out: 0,
        recipient: [0; 20],
        relayer: [0; 20],
        fee: 0,
    }
}

fn wallet(seed: u8) -> Wallet<MemoryEngine> {
    Wallet::open(MemoryEngine::new(), Keys::from_seed(&[seed; 32])).unwrap()
}

/// Prepares an order, checks that it can be proved, and shows the event to both wallets.
fn execute<A: Engine, B: Engine>(
    from: &mut Wallet<A>,
    other: &mut Wallet<B>,
    order: &Order,
    random: &mut StdRng,
) -> Prepared {
    let prepared = from.prepare(order, random).unwrap();
    assert_eq!(Transfer::check(&prepared.public, &prepared.private), Ok(()));
    assert_eq!(prepared.public.context, prepared.call.context());
    from.scan(&prepared.event).unwrap();
    other.scan(&prepared.event).unwrap();
    prepared
}

#[test]
fn tokens_enter_move_and_leave() {
    let random = &mut StdRng::seed_from_u64(1);
    let dir = tempfile::tempdir().unwrap();
    let engine = LogEngine::open(dir.path(), Options::small()).unwrap();
    let mut ann = Wallet::open(engine, Keys::from_seed(&[1; 32])).unwrap();
    let mut ben = wallet(2);
    execute(
        &mut ann,
        &mut ben,
        &Order {
            amount_in: 100,
            ..order()
        },
        random,
    );
    assert_eq!((ann.balance().unwrap(), ben.balance().unwrap()), (100, 0));

    let pay = Some((ben.keys().address(), 30));
    let prepared = execute(&mut ann, &mut ben, &Order { pay, ..order() }, random);
    assert_eq!((ann.balance().unwrap(), ben.balance().unwrap()), (70, 30));
    let input = (prepared.public, prepared.private);
    assert_eq!(statement_suite::unsatisfied::<Transfer>(&input), None);

    let leave = Order {
        amount_out: 25,
        recipient: [3; 20],
        relayer: [4; 20],
        fee: 1,
        ..order()
    };
    execute(&mut ben, &mut ann, &leave, random);
    assert_eq!((ann.balance().unwrap(), ben.balance().unwrap()), (70, 5));

    let entries: Vec<_> = ann
        .history()
        .unwrap()
        .iter()
        .map(|e| (e.pair, e.received, e.spent, e.amount_in))
        .collect();
    assert_eq!(entries, [(0, 100, 0, 100), (1, 70, 100, 0)]);
    let entries: Vec<_> = ben
        .history()
        .unwrap()
        .iter()
        .map(|e| (e.pair, e.received, e.spent, e.amount_out))
        .collect();
    assert_eq!(entries, [(1, 30, 0, 0), (2, 5, 30, 25)]);

    // What is on the disk is all there is.
    drop(ann);
    let engine = LogEngine::open(dir.path(), Options::small()).unwrap();
    let mut ann = Wallet::open(engine, Keys::from_seed(&[1; 32])).unwrap();
    assert_eq!((ann.balance().unwrap(), ann.scanned().unwrap()), (70, 3));
    let (notes, history) = (ann.notes().unwrap(), ann.history().unwrap());
    ann.rescan().unwrap();
    assert_eq!(
        (ann.notes().unwrap(), ann.history().unwrap()),
        (notes, history)
    );
    drop(ann);
    let engine = LogEngine::open(dir.path(), Options::small()).unwrap();
    let error = Wallet::open(engine, Keys::from_seed(&[3; 32])).unwrap_err();
    assert!(matches!(error, WalletError::ForeignKeys), "{error}");
}

#[test]
fn two_notes_are_spent_together_and_three_must_be_merged_first() {
    let random = &mut StdRng::seed_from_u64(2);
    let (mut ann, mut ben) = (wallet(1), wallet(2));
    for amount_in in [5, 7, 9] {
        execute(
            &mut ann,
            &mut ben,
            &Order {
                amount_in,
                ..order()
            },
            random,
        );
    }
    let pay = |value| Order {
        pay: Some((ben.keys().address(), value)),
        ..order()
    };
    let error = ann.prepare(&pay(22), random).unwrap_err();
    assert!(
        matches!(
            error,
            WalletError::Insufficient {
                needed: 22,
                balance: 21
            }
        ),
        "{error}"
    );
    let error = ann.prepare(&pay(17), random).unwrap_err();
    assert!(
        matches!(
            error,
            WalletError::Scattered {
                needed: 17,
                largest: 16
            }
        ),
        "{error}"
    );
    let (merge, then) = (
        Order {
            pay: Some((ann.keys().address(), 16)),
            ..order()
        },
        pay(21),
    );
    execute(&mut ann, &mut ben, &merge, random);
    execute(&mut ann, &mut ben, &then, random);
    assert_eq!((ann.balance().unwrap(), ben.balance().unwrap()), (0, 21));
    let too_much = Order {
        amount_out: 1,
        fee: 2,
        ..order()
    };
    let error = ann.prepare(&too_much, random).unwrap_err();
    assert!(matches!(error, WalletError::Fee), "{error}");
}

/// Tokens refuse the zero address or lose what is sent there; the pool and the token itself cannot spend what they get.
#[test]
fn a_wallet_sends_no_tokens_to_where_they_are_lost() {
    let random = &mut StdRng::seed_from_u64(9);
    let (mut ann, mut ben) = (wallet(1), wallet(2));
    let enter = Order {
        amount_in: 100,
        ..order()
    };
    execute(&mut ann, &mut ben, &enter, random);
    let good = Order {
        amount_out: 10,
        recipient: [3; 20],
        relayer: [4; 20],
        fee: 2,
        ..order()
    };
    for (name, lost) in [
        ("the zero address", [0; 20]),
        ("the shielding contract", good.contract),
        ("the token", good.token),
    ] {
        let (mut to, mut by) = (good.clone(), good.clone());
        to.recipient = lost;
        by.relayer = lost;
        for (who, order) in [("recipient", &to), ("relayer", &by)] {
            let error = ann.prepare(order, random).unwrap_err();
            assert!(
                matches!(error, WalletError::Lost { payee, account } if (payee, account) == (who, name)),
                "{error}"
            );
        }
        // Who gets nothing can be nobody.
        by.fee = 0;
        to.fee = to.amount_out;
        for order in [&by, &to] {
            ann.prepare(order, random).unwrap();
        }
    }
    ann.prepare(&good, random).unwrap();
}

#[test]
fn a_wallet_does_not_believe_a_note_that_is_not_in_the_tree() {
    let random = &mut StdRng::seed_from_u64(3);
    let mut ann = wallet(1);
    let to = ann.keys().address();
    let real = Note::random(1, to.owner, random);
    let claimed = Note::random(1_000, to.owner, random);
    let event = |first: Vec<u8>, second: Vec<u8>| Event {
        pair: 0,
        commitments: [real.commitment(), Fr::from(7)],
        ciphertexts: [first, second],
        nullifiers: [Fr::from(8), Fr::from(9)],
        amount_in: 1,
        amount_out: 0,
    };
    let lie = seal(&claimed, &to, random).unwrap();
    ann.scan(&event(lie, vec![1, 2, 3])).unwrap();
    assert_eq!(ann.balance().unwrap(), 0);
    assert_eq!(ann.history().unwrap(), []);
    let mut next = event(seal(&real, &to, random).unwrap(), Vec::new());
    next.pair = 1;
    ann.scan(&next).unwrap();
    assert_eq!(ann.balance().unwrap(), 1);
}

#[test]
fn events_out_of_order_are_refused() {
    let random = &mut StdRng::seed_from_u64(4);
    let mut ann = wallet(1);
    let prepared = ann
        .prepare(
            &Order {
                amount_in: 1,
                ..order()
            },
            random,
        )
        .unwrap();
    ann.scan(&prepared.event).unwrap();
    let error = ann.scan(&prepared.event).unwrap_err();
    assert!(
        matches!(
            error,
            WalletError::OutOfOrder {
                expected: 1,
                found: 0
            }
        ),
        "{error}"
    );
    assert_eq!(ann.balance().unwrap(), 1);
}

/// Otherwise the second output would always be the sender's.
#[test]
fn payment_and_change_come_in_either_order() {
    let random = &mut StdRng::seed_from_u64(5);
    let (mut ann, mut ben) = (wallet(1), wallet(2));
    execute(
        &mut ann,
        &mut ben,
        &Order {
            amount_in: 10,
            ..order()
        },
        random,
    );
    let pay = Some((ben.keys().address(), 3));
    let orders: Vec<bool> = (0..20)
        .map(|_| {
            let prepared = ann.prepare(&Order { pay, ..order() }, random).unwrap();
            prepared.private.outputs[0].value == Fr::from(3)
        })
        .collect();
    assert!(orders.contains(&true) && orders.contains(&false));
}

/// An engine that the test keeps a hold of, and that refuses writes beyond so many.
#[derive(Clone)]
struct Refusing {
    engine: Arc<MemoryEngine>,
    writes_left: Arc<AtomicUsize>,
}

impl Refusing {
    fn new() -> Self {
        Self {
            engine: Arc::default(),
            writes_left: Arc::new(AtomicUsize::new(usize::MAX)),
        }
    }

    fn allow(&self, writes: usize) {
        self.writes_left.store(writes, Ordering::Relaxed);
    }
}

impl Reader for Refusing {
    fn get(&self, key: &[u8]) -> storage::Result<Option<Bytes>> {
        self.engine.get(key)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> storage::Result<Vec<Option<Bytes>>> {
        self.engine.multi_get(keys)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.engine.scan(range, direction)
    }

    fn approximate_size(&self, range: &KeyRange) -> storage::Result<u64> {
        self.engine.approximate_size(range)
    }
}

impl Engine for Refusing {
    fn kind(&self) -> EngineKind {
        self.engine.kind()
    }

    fn limits(&self) -> Limits {
        self.engine.limits()
    }

    fn write(&self, batch: &Batch) -> storage::Result<()> {
        let left = self.writes_left.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(1) else {
            let path = "memory".into();
            return Err(storage::Error::DiskFull { path });
        };
        self.allow(left);
        self.engine.write(batch)
    }
}

/// Three deposits, of 5, 7 and 9.
fn wallet_of_three(engine: &Refusing) -> Wallet<Refusing> {
    let random = &mut StdRng::seed_from_u64(6);
    let mut ann = Wallet::open(engine.clone(), Keys::from_seed(&[1; 32])).unwrap();
    for amount_in in [5, 7, 9] {
        let deposit = Order {
            amount_in,
            ..order()
        };
        let prepared = ann.prepare(&deposit, random).unwrap();
        ann.scan(&prepared.event).unwrap();
    }
    ann
}

#[test]
fn a_rescan_that_meets_a_damaged_event_forgets_nothing() {
    let engine = Refusing::new();
    let mut ann = wallet_of_three(&engine);
    let (notes, history) = (ann.notes().unwrap(), ann.history().unwrap());
    let damaged = [b"token/event/", &1_u64.to_be_bytes()[..]].concat();
    engine.put(&damaged, b"damaged").unwrap();
    let error = ann.rescan().unwrap_err();
    assert!(
        matches!(error, WalletError::Store(StoreError::Damaged { .. })),
        "{error}"
    );
    assert_eq!(ann.balance().unwrap(), 21);
    assert_eq!(
        (ann.notes().unwrap(), ann.history().unwrap()),
        (notes, history)
    );
}

#[test]
fn a_rescan_that_was_cut_short_is_done_again_when_the_wallet_is_opened() {
    let engine = Refusing::new();
    let mut ann = wallet_of_three(&engine);
    let (notes, history) = (ann.notes().unwrap(), ann.history().unwrap());
    let mut cut_short = 0;
    loop {
        engine.allow(cut_short);
        let outcome = ann.rescan();
        engine.allow(usize::MAX);
        ann = Wallet::open(engine.clone(), Keys::from_seed(&[1; 32])).unwrap();
        let found = (ann.notes().unwrap(), ann.history().unwrap());
        assert!(
            found.0 == notes && found.1 == history,
            "after {cut_short} writes: {found:?}"
        );
        if outcome.is_ok() {
            break;
        }
        cut_short += 1;
    }
    assert!(cut_short > 3, "there is a write for each event");
    // It is over: opening writes no more.
    engine.allow(0);
    drop(Wallet::open(engine, Keys::from_seed(&[1; 32])).unwrap());
}
