//! Which wires are unique, and which are free.

use super::*;

#[test]
fn products_and_powers_of_inputs_are_unique() {
    let mut circuit = Circuit::new(&[3], &[5]);
    let sum = plus(&plus(&wire(1), &times(7, &wire(2))), &number(11));
    let power = circuit.fifth_power(&sum);
    circuit.product(&wire(power), &wire(1));
    let report = circuit.audit();
    assert!(report.is_clean());
    assert_eq!(report.kernel, Kernel::Trivial);
}

#[test]
fn an_assigned_signal_without_a_constraint_is_free() {
    let mut circuit = Circuit::new(&[3], &[5]);
    let square = circuit.product(&wire(1), &wire(2));
    let hint = circuit.hint(Fr::from(9_u8));
    circuit.product(&wire(hint), &wire(square));
    let report = circuit.audit();
    assert_eq!(free(&report), [hint, hint + 1]);
    assert_eq!(classes(&report), [Class::Freedom]);
    assert!(
        report.findings[0]
            .explanation
            .contains("as far as one likes")
    );
}

#[test]
fn a_quotient_is_unique_only_if_its_divisor_is_never_zero() {
    let mut circuit = Circuit::new(&[12, 3], &[]);
    let quotient = circuit.hint(Fr::from(4_u8));
    circuit.assert(wire(2), wire(quotient), wire(1));
    assert_eq!(undecided(&circuit.audit()), [quotient]);

    let inverse = circuit.hint(Fr::from(3_u8).inverse().expect("not zero"));
    circuit.assert(wire(2), wire(inverse), one());
    assert!(circuit.audit().is_clean());
}

#[test]
fn a_quotient_of_zero_by_zero_is_free() {
    let mut circuit = Circuit::new(&[0, 0], &[]);
    let quotient = circuit.hint(Fr::from(4_u8));
    circuit.assert(wire(2), wire(quotient), wire(1));
    let report = circuit.audit();
    assert_eq!(free(&report), [quotient]);
    assert!(
        report.findings[0]
            .explanation
            .contains("as far as one likes")
    );
}

#[test]
fn the_zero_test_is_unique_and_its_inverse_harmless() {
    for value in [0, 9] {
        let mut circuit = Circuit::new(&[value], &[]);
        let (inverse, out) = circuit.is_zero(&wire(1));
        circuit.product(&wire(out), &wire(1));
        let report = circuit.audit();
        assert!(report.is_clean());
        assert_eq!(report.harmless, BTreeSet::from([inverse]));
    }
}

#[test]
fn the_zero_test_without_its_second_constraint_is_free() {
    let mut circuit = Circuit::new(&[9], &[]);
    let (inverse, out) = circuit.is_zero(&wire(1));
    assert_eq!(free(&circuit.without(1).audit()), [inverse, out]);
}

#[test]
fn the_inverse_of_a_zero_test_that_is_used_elsewhere_is_not_harmless() {
    let mut circuit = Circuit::new(&[0], &[5]);
    let (inverse, _) = circuit.is_zero(&wire(1));
    let product = circuit.product(&wire(inverse), &wire(2));
    let report = circuit.audit();
    assert!(report.harmless.is_empty());
    assert_eq!(free(&report), [inverse, product]);
}

#[test]
fn selectors_of_which_one_is_set_are_unique_by_their_index() {
    let mut circuit = Circuit::new(&[2], &[10, 11, 12]);
    let set: Vec<u32> = (0..3)
        .map(|i| circuit.bit(Fr::from(u8::from(i == 2))))
        .collect();
    let sum = set.iter().flat_map(|s| wire(*s)).collect::<Sum>();
    circuit.assert(sum, one(), one());
    let index = plus(&wire(set[1]), &times(2, &wire(set[2])));
    circuit.assert(index, one(), wire(1));
    for (s, value) in set.iter().zip(2..) {
        circuit.product(&wire(*s), &wire(value));
    }
    assert!(circuit.audit().is_clean());
    let sum = 3;
    assert!(!circuit.without(sum).audit().is_clean());
}

#[test]
fn a_root_may_have_two_signs() {
    let mut circuit = Circuit::new(&[25], &[]);
    let root = circuit.hint(Fr::from(5_u8));
    circuit.assert(wire(root), wire(root), wire(1));
    let report = circuit.audit();
    assert_eq!(undecided(&report), [root]);
    assert_eq!(report.kernel, Kernel::Trivial, "the other root is not near");
}

#[test]
fn freedom_that_ends_at_first_order_is_said_to() {
    let mut circuit = Circuit::new(&[0], &[]);
    let root = circuit.hint(Fr::zero());
    circuit.assert(wire(root), wire(root), wire(1));
    let report = circuit.audit();
    assert_eq!(classes(&report), [Class::Freedom]);
    assert!(report.findings[0].explanation.contains("to first order"));
}

const SMALL: [i64; 4] = [-1, 0, 1, 2];

/// A few constraints over wires 1 and 2, inputs, and 3 to 5, which are not; most of these are bits or products.
fn random_circuit(random: &mut ChaCha12Rng) -> R1cs {
    let mut circuit = Circuit::new(&[0], &[0]);
    circuit.values.resize(6, Fr::zero());
    let mut sum = |most: usize| -> Sum {
        let terms = random.gen_range(0..=most);
        (0..terms)
            .map(|_| {
                (
                    random.gen_range(0..6),
                    Fr::from(random.gen_range(-2..=2_i64)),
                )
            })
            .collect()
    };
    let mut rows = Vec::new();
    for hint in 3..6 {
        rows.push((sum(2), sum(2), plus(&wire(hint), &sum(1))));
        rows.push((sum(3), sum(1), sum(3)));
    }
    for (a, b, c) in rows {
        if random.gen_bool(0.7) {
            circuit.assert(a, b, c);
        }
    }
    for bit in 1..6 {
        if random.gen_bool(0.5) {
            circuit.make_bit(bit);
        }
    }
    circuit.r1cs()
}

/// Two assignments of small numbers that agree on the inputs and satisfy the constraints, but differ at a wire that is not excused.
fn two_answers(r1cs: &R1cs, excused: &BTreeSet<u32>) -> Option<[Vec<Fr>; 2]> {
    let mut answers: BTreeMap<Vec<Fr>, Vec<Fr>> = BTreeMap::new();
    for choice in 0..4_usize.pow(5) {
        let digit = |i: u32| Fr::from(SMALL[choice / 4_usize.pow(i) % 4]);
        let values: Vec<Fr> = std::iter::once(Fr::one())
            .chain((0..5).map(digit))
            .collect();
        if r1cs.first_unsatisfied(&values).is_some() {
            continue;
        }
        let first = answers
            .entry(values[..3].to_vec())
            .or_insert_with(|| values.clone());
        if (3..6)
            .any(|wire| first[wire as usize] != values[wire as usize] && !excused.contains(&wire))
        {
            return Some([first.clone(), values]);
        }
    }
    None
}

#[test]
fn what_is_called_unique_has_one_answer_for_all_small_inputs() {
    let mut random = ChaCha12Rng::seed_from_u64(1);
    let (mut unique, mut ambiguous) = (0, 0);
    for case in 0..4000 {
        let r1cs = random_circuit(&mut random);
        let report = audit(&r1cs, &Scope::default(), None).expect("well formed");
        let found = two_answers(&r1cs, &report.harmless);
        ambiguous += u32::from(found.is_some());
        if report.verdict == Verdict::Unique {
            unique += 1;
            assert_eq!(found, None, "case {case}: {report}\n{r1cs:?}");
        }
    }
    assert!(
        unique > 500 && ambiguous > 500,
        "{unique} unique, {ambiguous} ambiguous"
    );
}

#[test]
fn a_decoder_is_unique_by_its_index() {
    let mut circuit = Circuit::new(&[1], &[]);
    let out: Vec<u32> = (0..3)
        .map(|i| circuit.hint(Fr::from(u8::from(i == 1))))
        .collect();
    for (wire_out, k) in out.iter().zip(0..) {
        circuit.assert(wire(*wire_out), minus(&wire(1), &number(k)), Vec::new());
    }
    let sum: Sum = out.iter().flat_map(|o| wire(*o)).collect();
    circuit.assert(sum, one(), one());
    assert!(circuit.audit().is_clean());
    for row in 0..4 {
        assert_ne!(
            circuit.without(row).audit().verdict,
            Verdict::Unique,
            "without {row}"
        );
    }
}
