//! A mixer's directory.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use ark_bn254::Fr;
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use mixer::{Call, Mixer, MixerError, Note, Withdraw};
use proof::statement::Statement;
use storage::MemoryEngine;
use storage::kvs::{LogEngine, Options};

const CONTRACT: [u8; 20] = [1; 20];

fn call() -> Call {
    Call {
        chain_id: 1,
        contract: CONTRACT,
        recipient: [2; 20],
        relayer: [0; 20],
        fee: 0,
    }
}

fn note(seed: u64) -> Note {
    Note::random(1, CONTRACT, &mut StdRng::seed_from_u64(seed))
}

#[test]
fn a_note_restored_from_its_text_is_withdrawn_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Mixer::new(LogEngine::open(dir.path(), Options::small()).unwrap());
    let text = note(1).to_text();
    let root = {
        let mut mixer = open();
        mixer
            .deposited(0, &[note(2).commitment(), note(1).commitment()])
            .unwrap();
        mixer.deposited(2, &[note(3).commitment()]).unwrap()
    };
    let mut mixer = open();
    let note: Note = text.parse().unwrap();
    let (public, private) = mixer.withdrawal(&note, &call()).unwrap();
    assert_eq!((public.root, private.position), (root, 1));
    assert_eq!(Withdraw::check(&public, &private), Ok(()));
    assert_eq!(mixer.root().unwrap(), root);
    mixer.withdrawn(public.nullifier_hash).unwrap();
    let again = mixer.withdrawal(&note, &call());
    assert!(matches!(again, Err(MixerError::Spent)), "{again:?}");
}

#[test]
fn events_out_of_order_are_refused() {
    let mut mixer = Mixer::new(MemoryEngine::new());
    mixer.deposited(0, &[Fr::from(1)]).unwrap();
    for found in [0, 2] {
        let error = mixer.deposited(found, &[Fr::from(2)]).unwrap_err();
        let is_expected =
            matches!(error, MixerError::OutOfOrder { expected: 1, found: f } if f == found);
        assert!(is_expected, "{error}");
    }
    assert_eq!(mixer.deposits().unwrap(), 1);
}

#[test]
fn a_note_that_is_not_in_the_tree_or_of_another_mixer_is_refused() {
    let mut mixer = Mixer::new(MemoryEngine::new());
    let error = mixer.withdrawal(&note(1), &call()).unwrap_err();
    assert!(
        matches!(error, MixerError::NotDeposited { known: 0 }),
        "{error}"
    );
    mixer.deposited(0, &[note(1).commitment()]).unwrap();
    for other in [
        Call {
            chain_id: 2,
            ..call()
        },
        Call {
            contract: [2; 20],
            ..call()
        },
    ] {
        let error = mixer.withdrawal(&note(1), &other).unwrap_err();
        assert!(matches!(error, MixerError::ForeignNote), "{error}");
    }
}

#[test]
fn a_withdrawal_to_the_zero_address_is_not_prepared() {
    let mut mixer = Mixer::new(MemoryEngine::new());
    mixer.deposited(0, &[note(1).commitment()]).unwrap();
    let (mut to_nobody, mut by_nobody) = (call(), call());
    to_nobody.recipient = [0; 20];
    by_nobody.fee = 1;
    for (call, who) in [(&to_nobody, "recipient"), (&by_nobody, "relayer")] {
        let error = mixer.withdrawal(&note(1), call).unwrap_err();
        assert!(
            matches!(error, MixerError::Lost { payee } if payee == who),
            "{error}"
        );
    }
    by_nobody.relayer = [3; 20];
    mixer.withdrawal(&note(1), &by_nobody).unwrap();
}
