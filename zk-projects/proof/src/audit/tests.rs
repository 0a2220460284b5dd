//! Small circuits by hand, each with and without its bug.

use ark_ff::{Field, One, PrimeField, Zero};
use ark_std::rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

use super::*;
use crate::r1cs::{Matrix, Term};

/// A linear combination under construction: wires with coefficients; wire 0 is the constant.
type Sum = Vec<(u32, Fr)>;

/// A constraint system with values, wire by wire. Inputs come first.
#[derive(Default, Clone)]
struct Circuit {
    public: u32,
    private: u32,
    values: Vec<Fr>,
    rows: Vec<(Sum, Sum, Sum)>,
}

fn one() -> Sum {
    vec![(0, Fr::one())]
}

fn number(k: i64) -> Sum {
    vec![(0, Fr::from(k))]
}

fn wire(wire: u32) -> Sum {
    vec![(wire, Fr::one())]
}

fn times(k: i64, sum: &Sum) -> Sum {
    sum.iter().map(|(w, c)| (*w, *c * Fr::from(k))).collect()
}

fn plus(x: &Sum, y: &Sum) -> Sum {
    x.iter().chain(y).copied().collect()
}

fn minus(x: &Sum, y: &Sum) -> Sum {
    plus(x, &times(-1, y))
}

impl Circuit {
    fn new(public: &[u64], private: &[u64]) -> Self {
        let inputs = public.iter().chain(private).map(|value| Fr::from(*value));
        Self {
            public: u32::try_from(public.len()).expect("few"),
            private: u32::try_from(private.len()).expect("few"),
            values: std::iter::once(Fr::one()).chain(inputs).collect(),
            rows: Vec::new(),
        }
    }

    fn value(&self, sum: &Sum) -> Fr {
        sum.iter().map(|(w, c)| self.values[*w as usize] * c).sum()
    }

    fn hint(&mut self, value: Fr) -> u32 {
        self.values.push(value);
        u32::try_from(self.values.len() - 1).expect("few")
    }

    fn assert(&mut self, a: Sum, b: Sum, c: Sum) {
        self.rows.push((a, b, c));
    }

    fn product(&mut self, a: &Sum, b: &Sum) -> u32 {
        let out = self.hint(self.value(a) * self.value(b));
        self.assert(a.clone(), b.clone(), wire(out));
        out
    }

    fn bit(&mut self, value: Fr) -> u32 {
        let bit = self.hint(value);
        self.assert(wire(bit), minus(&wire(bit), &one()), Vec::new());
        bit
    }

    fn make_bit(&mut self, bit: u32) {
        self.assert(wire(bit), minus(&one(), &wire(bit)), Vec::new());
    }

    /// The bits of a sum, the lowest first, and the constraint that they are.
    fn bits(&mut self, of: &Sum, count: usize) -> Vec<u32> {
        let value = self.value(of).into_bigint();
        let bits: Vec<u32> = (0..count)
            .map(|i| self.bit(Fr::from(ark_ff::BigInteger::get_bit(&value, i))))
            .collect();
        let sum = weighted(&bits);
        self.assert(sum, one(), of.clone());
        bits
    }

    /// Whether the sum is zero: the inverse as a hint, and the answer.
    fn is_zero(&mut self, of: &Sum) -> (u32, u32) {
        let value = self.value(of);
        let inverse = self.hint(value.inverse().unwrap_or_default());
        let out = self.hint(Fr::from(value.is_zero()));
        self.assert(of.clone(), wire(inverse), minus(&one(), &wire(out)));
        self.assert(of.clone(), wire(out), Vec::new());
        (inverse, out)
    }

    /// `x^5` by three products.
    fn fifth_power(&mut self, x: &Sum) -> u32 {
        let square = self.product(x, x);
        let fourth = self.product(&wire(square), &wire(square));
        self.product(&wire(fourth), x)
    }

    fn r1cs(&self) -> R1cs {
        let mut r1cs = R1cs {
            wires: u32::try_from(self.values.len()).expect("few"),
            public_inputs: self.public,
            private_inputs: self.private,
            ..R1cs::default()
        };
        let push = |matrix: &mut Matrix, sum: &Sum| {
            matrix.push_row(
                sum.iter()
                    .map(|&(wire, coefficient)| Term { wire, coefficient }),
            );
        };
        for (a, b, c) in &self.rows {
            push(&mut r1cs.a, a);
            push(&mut r1cs.b, b);
            push(&mut r1cs.c, c);
        }
        r1cs
    }

    fn audit(&self) -> Report {
        self.audit_with(&Scope::default())
    }

    fn audit_with(&self, scope: &Scope) -> Report {
        let report = audit(&self.r1cs(), scope, Some(&self.values)).expect("a sound circuit");
        println!("{report}");
        report
    }

    fn without(&self, index: usize) -> Self {
        let mut less = self.clone();
        less.rows.remove(index);
        less
    }
}

fn weighted(bits: &[u32]) -> Sum {
    let weights = std::iter::successors(Some(Fr::one()), |k| Some(*k + k));
    bits.iter().copied().zip(weights).collect()
}

fn classes(report: &Report) -> Vec<Class> {
    report
        .findings
        .iter()
        .map(|finding| finding.class)
        .collect()
}

fn undecided(report: &Report) -> Vec<u32> {
    match &report.verdict {
        Verdict::Undecided { wires } => wires.clone(),
        other => panic!("expected wires that are undecided, not {other:?}"),
    }
}

fn free(report: &Report) -> Vec<u32> {
    match &report.verdict {
        Verdict::Freedom { wires } => wires.clone(),
        other => panic!("expected freedom, not {other:?}"),
    }
}

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
fn bits_below_the_field_are_unique() {
    for count in [1, 8, 64, 253] {
        let mut circuit = Circuit::new(&[0], &[1]);
        let bits = circuit.bits(&wire(2), count);
        circuit.product(&wire(bits[0]), &wire(1));
        let report = circuit.audit();
        assert!(report.is_clean(), "{count} bits");
        assert_eq!(report.kernel, Kernel::Trivial);
    }
}

#[test]
fn bits_as_many_as_the_field_has_are_not_unique() {
    let mut circuit = Circuit::new(&[], &[77]);
    let bits = circuit.bits(&wire(1), 254);
    let report = circuit.audit();
    assert_eq!(undecided(&report), bits);
    assert_eq!(classes(&report), [Class::WideDecomposition]);
    assert_eq!(report.findings[0].wires, bits);

    // The second answer: the bits of 77 + r.
    let mut other = BigUint::from(Fr::MODULUS) + 77_u8;
    let mut values = circuit.values.clone();
    for bit in bits {
        values[bit as usize] = Fr::from(other.bit(0));
        other >>= 1;
    }
    assert_ne!(values, circuit.values);
    assert_eq!(circuit.r1cs().first_unsatisfied(&values), None);
}

#[test]
fn a_comparison_wider_than_the_field_is_found() {
    // x < y for numbers of 253 bits: the bits of x + 2^253 - y, of which there are 254.
    let mut circuit = Circuit::new(&[], &[5, 9]);
    let power = Fr::from(2_u8).pow([253]);
    let difference = plus(&minus(&wire(1), &wire(2)), &vec![(0, power)]);
    circuit.bits(&difference, 254);
    assert_eq!(classes(&circuit.audit()), [Class::WideDecomposition]);
}

#[test]
fn digits_of_which_one_is_no_bit_are_undecided() {
    let mut circuit = Circuit::new(&[], &[6]);
    let bits = circuit.bits(&wire(1), 3);
    for boolean in 0..3 {
        assert_eq!(undecided(&circuit.without(boolean).audit()), bits);
    }
    let sum = 3;
    assert_eq!(undecided(&circuit.without(sum).audit()), bits);
}

#[test]
fn digits_may_be_larger_than_bits_but_not_than_their_weights_allow() {
    for (weight, is_unique) in [(16, true), (15, false)] {
        let mut circuit = Circuit::new(&[7 + 3 * weight], &[]);
        let low = circuit.hint(Fr::from(7_u8));
        let high = circuit.hint(Fr::from(3_u8));
        circuit.bits(&wire(low), 4);
        circuit.bits(&wire(high), 4);
        let weight = i64::try_from(weight).expect("small");
        circuit.assert(
            plus(&wire(low), &times(weight, &wire(high))),
            one(),
            wire(1),
        );
        let report = circuit.audit();
        assert_eq!(
            report.verdict == Verdict::Unique,
            is_unique,
            "weight {weight}"
        );
    }
}

#[test]
fn digits_that_reach_beyond_the_field_are_undecided() {
    for (high_bits, is_unique) in [(1, true), (2, false)] {
        let mut circuit = Circuit::new(&[7], &[]);
        let low = circuit.hint(Fr::from(7_u8));
        let high = circuit.hint(Fr::zero());
        circuit.bits(&wire(low), 252);
        circuit.bits(&wire(high), high_bits);
        let weight = Fr::from(2_u8).pow([252]);
        circuit.assert(plus(&wire(low), &vec![(high, weight)]), one(), wire(1));
        assert_eq!(
            circuit.audit().verdict == Verdict::Unique,
            is_unique,
            "{high_bits} more bits"
        );
    }
}

#[test]
fn carries_of_a_sum_are_unique() {
    // Two numbers of 8 bits: the sum's 8 bits, and a carry.
    let mut circuit = Circuit::new(&[200, 100], &[]);
    circuit.bits(&plus(&wire(1), &wire(2)), 9);
    assert!(circuit.audit().is_clean());
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

/// Chooses: `out = left + selector * (right - left)`.
fn choice(selector_is_bit: bool, in_one: bool) -> Report {
    let mut circuit = Circuit::new(&[], &[1, 30, 40]);
    if selector_is_bit {
        circuit.make_bit(1);
    }
    let difference = minus(&wire(3), &wire(2));
    if in_one {
        let out = circuit.hint(Fr::from(40_u8));
        circuit.assert(wire(1), difference, minus(&wire(out), &wire(2)));
    } else {
        let product = circuit.product(&wire(1), &difference);
        let out = plus(&wire(2), &wire(product));
        circuit.fifth_power(&plus(&out, &number(3)));
    }
    circuit.audit()
}

#[test]
fn a_selector_that_is_no_bit_is_found_in_both_ways_to_choose() {
    for in_one in [true, false] {
        assert!(choice(true, in_one).is_clean());
        let report = choice(false, in_one);
        assert_eq!(classes(&report), [Class::SelectorNotBoolean]);
        assert_eq!(report.findings[0].wires, [1]);
    }
}

#[test]
fn a_one_hot_selector_that_is_no_bit_is_found() {
    let mut circuit = Circuit::new(&[], &[1, 0, 30, 40]);
    circuit.assert(plus(&wire(1), &wire(2)), one(), one());
    circuit.product(&wire(1), &wire(3));
    circuit.product(&wire(2), &wire(4));
    let report = circuit.audit();
    assert_eq!(classes(&report), [Class::SelectorNotBoolean; 2]);
    circuit.make_bit(1);
    circuit.make_bit(2);
    assert!(circuit.audit().is_clean());
}

#[test]
fn a_product_of_two_numbers_is_no_selection() {
    let mut circuit = Circuit::new(&[], &[3, 4, 5]);
    let product = circuit.product(&wire(1), &plus(&wire(2), &wire(3)));
    circuit.product(&plus(&wire(product), &wire(2)), &wire(3));
    assert!(circuit.audit().is_clean());
}

#[test]
fn a_public_input_that_nothing_depends_on_is_found() {
    let mut circuit = Circuit::new(&[3, 8], &[5]);
    circuit.product(&wire(1), &wire(3));
    let report = circuit.audit();
    assert_eq!(classes(&report), [Class::UnusedPublicInput]);
    assert_eq!(report.findings[0].wires, [2]);

    circuit.assert(wire(2), one(), wire(2));
    let found = classes(&circuit.audit());
    assert_eq!(
        found,
        [Class::UnusedPublicInput, Class::ConstantConstraint],
        "x = x is no use"
    );

    circuit.rows.pop();
    circuit.product(&wire(2), &wire(2));
    assert!(circuit.audit().is_clean());
}

#[test]
fn a_wire_in_no_constraint_is_free() {
    let mut circuit = Circuit::new(&[3], &[5]);
    circuit.product(&wire(1), &wire(2));
    let unused = circuit.hint(Fr::from(1_u8));
    let report = circuit.audit();
    assert_eq!(classes(&report), [Class::UnusedWire]);
    assert_eq!(free(&report), [unused]);
}

#[test]
fn a_declared_range_must_be_enforced() {
    let mut circuit = Circuit::new(&[200], &[]);
    circuit.product(&wire(1), &wire(1));
    let scope = |bits| Scope {
        ranges: BTreeMap::from([(1, bits)]),
        ..Scope::default()
    };
    assert_eq!(
        classes(&circuit.audit_with(&scope(8))),
        [Class::RangeNotEnforced]
    );
    circuit.bits(&wire(1), 8);
    assert!(circuit.audit_with(&scope(8)).is_clean());
    assert_eq!(
        classes(&circuit.audit_with(&scope(7))),
        [Class::RangeNotEnforced]
    );
}

#[test]
fn a_constraint_that_repeats_another_is_found() {
    let mut circuit = Circuit::new(&[3], &[5]);
    let product = circuit.product(&wire(1), &wire(2));
    circuit.assert(
        times(2, &wire(2)),
        times(3, &wire(1)),
        times(6, &wire(product)),
    );
    let report = circuit.audit();
    assert_eq!(classes(&report), [Class::DuplicateConstraint]);
    assert_eq!(report.findings[0].constraints, [0, 1]);
}

#[test]
fn a_constraint_without_wires_is_found() {
    let mut circuit = Circuit::new(&[3], &[5]);
    circuit.product(&wire(1), &wire(2));
    circuit.assert(number(2), number(3), number(6));
    assert_eq!(classes(&circuit.audit()), [Class::ConstantConstraint]);
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

#[test]
fn outputs_of_a_circom_circuit_are_not_inputs() {
    let mut circuit = Circuit::new(&[35, 5], &[7]);
    circuit.assert(wire(2), wire(3), wire(1));
    let mut r1cs = circuit.r1cs();
    (r1cs.public_outputs, r1cs.public_inputs) = (1, 1);
    let report = audit(&r1cs, &Scope::default(), Some(&circuit.values)).expect("sound");
    assert!(report.is_clean());
    r1cs.a = Matrix::default();
    r1cs.a.push_row([]);
    let report = audit(&r1cs, &Scope::default(), None).expect("sound");
    assert!(
        classes(&report).contains(&Class::UnusedPublicInput),
        "{report}"
    );
}

#[test]
fn what_cannot_be_audited_is_refused() {
    let mut circuit = Circuit::new(&[3], &[5]);
    circuit.product(&wire(1), &wire(2));
    let refused = |r1cs: &R1cs, values: &[Fr]| {
        audit(r1cs, &Scope::default(), Some(values)).expect_err("refused")
    };
    let r1cs = circuit.r1cs();
    let short = AuditError::WitnessLength {
        expected: 4,
        found: 3,
    };
    assert_eq!(refused(&r1cs, &circuit.values[..3]), short);
    let mut values = circuit.values.clone();
    values[3] += Fr::one();
    let unsatisfied = AuditError::WitnessUnsatisfied { constraint: 0 };
    assert_eq!(refused(&r1cs, &values), unsatisfied);
    for wires in [0, 2, 3] {
        let r1cs = R1cs {
            wires,
            ..r1cs.clone()
        };
        assert_eq!(refused(&r1cs, &circuit.values), AuditError::Malformed);
    }
    let r1cs = R1cs {
        b: Matrix::default(),
        ..r1cs
    };
    assert_eq!(refused(&r1cs, &circuit.values), AuditError::Malformed);
}

#[test]
fn the_report_is_read_by_programs() {
    let mut circuit = Circuit::new(&[3, 8], &[5]);
    circuit.product(&wire(1), &wire(3));
    let scope = Scope {
        names: BTreeMap::from([(2, "context".to_owned())]),
        ..Scope::default()
    };
    let json = serde_json::to_value(circuit.audit_with(&scope)).expect("plain data");
    assert_eq!(json["verdict"], "unique");
    assert_eq!(json["findings"][0]["class"], "unused_public_input");
    assert_eq!(json["findings"][0]["wires"][0], 2);
    assert_eq!(json["names"]["2"], "context");
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

/// Compares bits, the lowest first, with r - 1, as a running product of those of them that must not all be set: where r - 1 has a bit, `all`
/// becomes `all * bit`; where it has not, `all * bit = 0`.
fn below_r(circuit: &mut Circuit, bits: &[u32]) {
    let limit = BigUint::from(Fr::MODULUS) - 1_u8;
    let mut all = one();
    for (index, bit) in bits.iter().enumerate().rev() {
        if limit.bit(index as u64) {
            all = wire(circuit.product(&all, &wire(*bit)));
        } else {
            circuit.assert(all.clone(), wire(*bit), Vec::new());
        }
    }
}

#[test]
fn bits_that_are_compared_with_r_are_unique() {
    let mut circuit = Circuit::new(&[], &[77]);
    let bits = circuit.bits(&wire(1), 254);
    let comparison = circuit.rows.len();
    below_r(&mut circuit, &bits);
    assert!(circuit.audit().is_clean());

    // The first says that the highest bit, which r - 1 has, is a bit; nothing depends on the last products.
    let limit = BigUint::from(Fr::MODULUS) - 1_u8;
    let lacking = (0..254)
        .rev()
        .filter(|bit| !limit.bit(*bit))
        .map(|bit| 253 - bit);
    for bit in lacking.step_by(25) {
        let row = comparison + usize::try_from(bit).expect("small");
        let report = circuit.without(row).audit();
        assert_eq!(
            classes(&report),
            [Class::WideDecomposition],
            "without row {row}"
        );
        assert_eq!(undecided(&report)[..254], bits);
    }
}

#[test]
fn a_sum_in_the_place_of_a_bit_is_as_good_as_a_bit() {
    // As circom's second level of optimisation does: the middle one of five bits is a sum of the others.
    let mut circuit = Circuit::new(&[19], &[]);
    let bits: Vec<u32> = [1_u8, 1, 0, 1]
        .iter()
        .map(|bit| circuit.bit(Fr::from(*bit)))
        .collect();
    let others: Sum = bits
        .iter()
        .copied()
        .zip([1, 2, 8, 16].map(Fr::from))
        .collect();
    let quarter = Fr::from(4_u8).inverse().expect("not zero");
    let middle: Sum = minus(&wire(1), &others)
        .iter()
        .map(|(w, k)| (*w, *k * quarter))
        .collect();
    circuit.assert(minus(&middle, &one()), middle, Vec::new());
    assert!(circuit.audit().is_clean());
    for bit in 0..=bits.len() {
        assert_eq!(undecided(&circuit.without(bit).audit()), bits);
    }
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

/// A bit of everything: a path's level, a decomposition, a quotient, a comparison, and two assertions about inputs.
fn sampler() -> Circuit {
    let mut circuit = Circuit::new(&[0, 77], &[1, 30, 40, 6, 7]);
    circuit.make_bit(3);
    let left = circuit.hint(Fr::from(40_u8));
    circuit.assert(
        wire(3),
        minus(&wire(5), &wire(4)),
        minus(&wire(left), &wire(4)),
    );
    let right = minus(&plus(&wire(4), &wire(5)), &wire(left));
    let hash = circuit.fifth_power(&plus(&wire(left), &times(3, &right)));
    let bits = circuit.bits(&wire(6), 4);
    let (_, zero) = circuit.is_zero(&minus(&wire(6), &wire(7)));
    circuit.assert(
        plus(&wire(6), &one()),
        wire(7),
        plus(&wire(zero), &times(49, &one())),
    );
    circuit.values[1] = circuit.value(&plus(&wire(hash), &wire(bits[0])));
    circuit.assert(plus(&wire(hash), &wire(bits[0])), one(), wire(1));
    circuit.product(&wire(2), &wire(2));
    circuit
}

#[test]
fn a_constraint_that_is_removed_is_missed_unless_it_is_about_inputs_only() {
    let circuit = sampler();
    let scope = Scope {
        computed: BTreeSet::from([1]),
        ..Scope::default()
    };
    assert!(circuit.audit_with(&scope).is_clean());
    // Every wire is unique without this one: it says which inputs are accepted, and the audit cannot know which should be.
    let assertion = circuit.rows.len() - 3;
    for row in 0..circuit.rows.len() {
        let report = circuit.without(row).audit_with(&scope);
        assert_eq!(
            report.is_clean(),
            row == assertion,
            "without {row}: {report}"
        );
    }
}

#[test]
fn a_public_input_that_a_hint_can_be_fitted_to_is_not_computed() {
    let mut circuit = Circuit::new(&[0], &[5]);
    let power = circuit.fifth_power(&wire(2));
    circuit.values[1] = circuit.values[power as usize];
    circuit.assert(wire(power), one(), wire(1));
    assert_eq!(circuit.audit().computed, BTreeSet::from([1]));
    // The fourth power is not constrained, but given the fifth it is unique: only `computed` tells.
    let report = circuit.without(1).audit();
    assert!(report.is_clean());
    assert_eq!(report.computed, BTreeSet::new());
}

#[test]
fn a_constraint_that_others_imply_is_redundant() {
    let mut circuit = sampler();
    assert_eq!(
        redundant(&circuit.r1cs(), &circuit.values),
        Ok(Some(Vec::new()))
    );
    // Twice a product plus an equation of the bits, which no single constraint says.
    let (a, b, c) = circuit.rows[2].clone();
    let is_sum = |row: &&(Sum, Sum, Sum)| row.0.len() == 4 && row.1 == one();
    let bits = circuit
        .rows
        .iter()
        .find(is_sum)
        .expect("the decomposition")
        .clone();
    circuit.assert(
        times(2, &a),
        b,
        plus(&times(2, &c), &minus(&bits.0, &bits.2)),
    );
    let found = redundant(&circuit.r1cs(), &circuit.values)
        .expect("sound")
        .expect("small");
    assert_eq!(found.len(), 1);
    assert!(
        circuit.audit().is_clean(),
        "every wire is unique all the same"
    );
}

#[test]
fn bits_that_are_no_more_than_another_are_bits() {
    // x (1 - all - x) = 0: if `all` is 1, x is 0; otherwise it is a bit.
    let mut circuit = Circuit::new(&[2], &[0]);
    circuit.make_bit(2);
    let bits: Vec<u32> = [0_u8, 1]
        .iter()
        .map(|bit| circuit.hint(Fr::from(*bit)))
        .collect();
    for bit in &bits {
        let allowed = minus(&minus(&one(), &wire(2)), &wire(*bit));
        circuit.assert(wire(*bit), allowed, Vec::new());
    }
    circuit.assert(weighted(&bits), one(), wire(1));
    assert!(circuit.audit().is_clean());
    assert_eq!(undecided(&circuit.without(0).audit()), bits);
}

#[test]
fn the_report_reads_as_the_example_in_the_docs() {
    let mut circuit = Circuit::new(&[1600, 8], &[1, 30, 40]);
    let chosen = circuit.hint(Fr::from(40_u8));
    let difference = minus(&wire(5), &wire(4));
    circuit.assert(wire(3), difference, minus(&wire(chosen), &wire(4)));
    let square = circuit.product(&wire(chosen), &wire(chosen));
    circuit.assert(wire(square), one(), wire(1));
    let names = [(1, "root"), (2, "context")].map(|(wire, name)| (wire, name.to_owned()));
    let scope = Scope {
        names: BTreeMap::from(names),
        ..Scope::default()
    };
    let docs = std::fs::read_to_string("../../docs/zk-audit.md").expect("the page is there");
    let report = circuit.audit_with(&scope).to_string();
    assert!(docs.contains(&format!("```text\n{report}```")), "{report}");
}
