//! The statement, accepted and refused.

use ark_bn254::Fr;
use password_verifier::{Challenge, Login, Private, user_word};
use proof::statement::{Statement, constraints};
use statement_suite as suite;

#[test]
fn samples_are_accepted() {
    suite::samples_are_accepted::<Login>();
}

#[test]
fn the_shape_does_not_depend_on_values() {
    suite::shape_is_fixed::<Login>();
}

#[test]
fn public_inputs_have_their_names_and_order() {
    suite::public_names_are_the_statements::<Login>();
}

#[test]
fn every_changed_public_input_is_refused() {
    suite::changed_public_inputs_are_refused::<Login>();
}

#[test]
fn the_inputs_determine_every_wire() {
    suite::inputs_determine_every_wire::<Login>(&["commitment"]);
}

#[test]
fn no_constraint_is_redundant() {
    suite::no_constraint_is_redundant::<Login>();
}

#[test]
fn every_changed_private_input_is_refused() {
    suite::changed_private_inputs_are_refused::<Login>(0, &[]);
}

#[test]
fn a_login_takes_few_constraints() {
    let (public, private) = suite::sample::<Login>(0);
    let constraints = constraints::<Login>(&public, &private).unwrap();
    assert_eq!(constraints.constraints(), 263);
    assert_eq!(format!("{private:?}"), "Private(..)");
}

fn challenge() -> Challenge {
    Challenge {
        chain_id: 1,
        contract: [1; 20],
        user: user_word("mail", "ann"),
        nonce: 2,
        expiry_s: 3,
        action: [4; 32],
        session: [5; 32],
    }
}

/// Z18, Z5: a proof for one challenge is none for another.
#[test]
fn every_part_of_the_challenge_changes_the_context() {
    let context = challenge().context();
    for (part, changed) in [
        (
            "chain",
            Challenge {
                chain_id: 9,
                ..challenge()
            },
        ),
        (
            "contract",
            Challenge {
                contract: [9; 20],
                ..challenge()
            },
        ),
        (
            "user",
            Challenge {
                user: user_word("mail", "ben"),
                ..challenge()
            },
        ),
        (
            "nonce",
            Challenge {
                nonce: 9,
                ..challenge()
            },
        ),
        (
            "expiry",
            Challenge {
                expiry_s: 9,
                ..challenge()
            },
        ),
        (
            "action",
            Challenge {
                action: [9; 32],
                ..challenge()
            },
        ),
        (
            "session",
            Challenge {
                session: [9; 32],
                ..challenge()
            },
        ),
    ] {
        assert_ne!(changed.context(), context, "{part}");
    }
}

/// As another program computes it.
#[test]
fn the_context_is_that_of_solidity() {
    let solidity = "12578866341039292007387228462079336011248078917067951294658900381314297412486";
    assert_eq!(challenge().context().to_string(), solidity);
}

/// Z15: "ab" at "c" is not "b" at "ca".
#[test]
fn names_are_told_apart_wherever_they_are_cut() {
    assert_ne!(user_word("ab", "c"), user_word("a", "bc"));
    assert_ne!(user_word("", "abc"), user_word("abc", ""));
    assert_ne!(user_word("mail", "ann"), user_word("ann", "mail"));
}

#[test]
fn a_number_of_another_user_password_or_key_is_refused_by_name() {
    let (public, private) = suite::sample::<Login>(1);
    let changes: [fn(&mut Private); 3] = [
        |private| private.identity += Fr::from(1),
        |private| private.password += Fr::from(1),
        |private| private.key += Fr::from(1),
    ];
    for change in changes {
        let mut other = private.clone();
        change(&mut other);
        let error = Login::check(&public, &other).unwrap_err();
        assert_eq!(error.field, "public.commitment");
    }
}
