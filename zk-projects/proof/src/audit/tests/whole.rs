//! Audits as a whole: circom's outputs, refusals, the report, and constraints that are removed or implied.

use super::*;

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
