//! Patterns that are wrong although every wire may be unique.

use super::*;

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
fn a_declared_range_hides_no_tighter_one_that_the_circuit_enforces() {
    let mut circuit = Circuit::new(&[1], &[30, 40]);
    circuit.make_bit(1);
    let out = circuit.hint(Fr::from(40_u8));
    let difference = minus(&wire(3), &wire(2));
    circuit.assert(wire(1), difference, minus(&wire(out), &wire(2)));
    let scope = Scope {
        ranges: BTreeMap::from([(1, 8)]),
        ..Scope::default()
    };
    assert!(circuit.audit_with(&scope).is_clean());
    assert_eq!(
        classes(&circuit.without(0).audit_with(&scope)),
        [Class::SelectorNotBoolean, Class::RangeNotEnforced]
    );
}
