//! Audit of a constraint system: with all inputs fixed, public and private, is every other wire unique?
//!
//! If not, the prover has a freedom that the circuit's author did not mean to give: an assigned but unconstrained signal, a division
//! whose hint is not checked, a bit decomposition with two answers (bug classes Z8 and Z9). Beside that, `lints` look for
//! what uniqueness cannot see: selectors that are not bits (Z7), public inputs that nothing uses (Z11), ranges that nothing enforces.
//!
//! After [Picus] (Pailoor et al., *Automated Detection of Under-Constrained Circuits*, PLDI 2023, section 4) and [Ecne] (Wang, 2022),
//! without their SMT solver: propagation by rules (`unique`), then the kernel of the Jacobian at a witness (`kernel`).
//!
//! It guarantees that [`Verdict::Unique`] holds for every value of the inputs, up to hints that are multiplied by zero
//! (`cases`). It does not guarantee that an undecided wire is broken, nor that the constraints say what was meant: a missing
//! `root = computed root` leaves every wire unique. `docs/zk-audit.md` lists what it cannot find.
//!
//! ```text
//! inputs a, b        b * q = a            q is single, its coefficient b may be zero:  undecided
//!                    b * i = 1            now b is never zero:                         q and i unique
//! ```
//!
//! [Picus]: https://eprint.iacr.org/2023/512
//! [Ecne]: https://github.com/franklynwang/EcneProject

mod cases;
mod digits;
mod facts;
mod kernel;
mod lints;
mod report;
mod system;
mod unique;
mod wide;

use std::collections::{BTreeMap, BTreeSet};

use ark_bn254::Fr;
use num_bigint::BigUint;

pub use self::report::{Class, Finding, Kernel, Report, Verdict};

use self::facts::Facts;
use self::system::System;
use self::unique::Unique;
use crate::r1cs::R1cs;
use crate::statement::{Range, Statement};

/// What is known about a constraint system beside its matrices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Names of wires, for the report.
    pub names: BTreeMap<u32, String>,
    /// Declared ranges: the wire is below 2^bits. Those of public inputs are checked by the verifier, so that the audit builds on them
    /// while it reports those that the circuit does not enforce itself.
    pub ranges: BTreeMap<u32, u32>,
    /// Public inputs that the private ones determine, such as a nullifier: [`Report::computed`] must contain them.
    pub computed: BTreeSet<u32>,
}

impl Scope {
    /// Names and ranges of a statement's public inputs, none of them computed.
    #[must_use]
    pub fn of_statement<S: Statement>() -> Self {
        let inputs = || (1..).zip(S::PUBLIC_INPUTS);
        Self {
            names: inputs()
                .map(|(wire, input)| (wire, input.name.to_owned()))
                .collect(),
            ranges: inputs()
                .filter_map(|(wire, input)| match input.range {
                    Range::Field => None,
                    Range::Bits(bits) => Some((wire, bits)),
                })
                .collect(),
            computed: BTreeSet::new(),
        }
    }
}

/// An audit could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// A wire or a row is named that is not there.
    #[error("the constraint system is malformed: it names a wire or a row that is not there")]
    Malformed,
    /// The witness has another number of wires.
    #[error("the witness has {found} values, the constraint system {expected} wires")]
    WitnessLength {
        /// Wires of the constraint system.
        expected: usize,
        /// Values of the witness.
        found: usize,
    },
    /// The witness does not satisfy the constraints, so that nothing can be learnt from it.
    #[error("the witness does not satisfy constraint {constraint}")]
    WitnessUnsatisfied {
        /// The first such constraint, from 0.
        constraint: usize,
    },
}

/// Audits a constraint system, at a witness if there is one: the values of all wires, the constant one first.
///
/// # Errors
///
/// [`AuditError`].
pub fn audit(r1cs: &R1cs, scope: &Scope, witness: Option<&[Fr]>) -> Result<Report, AuditError> {
    let system = System::new(r1cs, scope)?;
    if let Some(witness) = witness {
        check_witness(r1cs, witness)?;
    }
    let own_facts = Facts::new(&system, std::iter::empty());
    let facts = Facts::new(&system, given(&system, scope, &own_facts));
    let chains = wide::chains(&system, &facts);
    let unique = Unique::new(&system, &facts, &chains, system.inputs.clone());
    let private = system.public_inputs.end..system.inputs.end;
    let by_private = Unique::new(&system, &facts, &chains, private);
    let computed = system
        .public_inputs
        .clone()
        .filter(|wire| by_private.is_known(*wire))
        .collect();

    let mut findings = lints::unused(&system);
    findings.extend(lints::ranges(scope.ranges.iter(), &own_facts));
    findings.extend(lints::not_computed(&scope.computed, &computed));
    findings.extend(lints::idle(&system));
    findings.extend(lints::selectors(&system, &facts, &unique));
    findings.extend(lints::wide(&chains));
    let (kernel, moving) = match witness {
        None => (Kernel::NotTried, Vec::new()),
        Some(witness) => local_freedom(&system, &unique, witness),
    };
    findings.extend(moving);
    findings
        .iter_mut()
        .for_each(|finding| in_own_terms(&system, finding));
    findings.sort_by_key(|finding| finding.class);

    Ok(Report {
        constraints: r1cs.constraints(),
        wires: r1cs.wires,
        inputs: r1cs.public_inputs + r1cs.private_inputs,
        verdict: verdict(&system, &unique, &findings),
        kernel,
        computed,
        harmless: unique.harmless,
        findings,
        names: scope.names.clone(),
    })
}

/// Constraints whose removal changes nothing near a witness, inputs included: the others imply them to first order.
///
/// That is the mutation that removes each constraint in turn, done by one elimination. A redundant constraint costs time; it may also be a
/// sign that another one was meant. `None` if it would take too long.
///
/// # Errors
///
/// [`AuditError`].
pub fn redundant(r1cs: &R1cs, witness: &[Fr]) -> Result<Option<Vec<Finding>>, AuditError> {
    let system = System::new(r1cs, &Scope::default())?;
    check_witness(r1cs, witness)?;
    let finding = |relation| Finding {
        class: Class::Redundant,
        wires: Vec::new(),
        constraints: vec![system.constraint(relation)],
        explanation:
            "near this witness the other constraints imply it: nothing changes if it is removed"
                .to_owned(),
    };
    let dependent = kernel::dependent(&system, &system.extended(witness));
    Ok(dependent.map(|relations| relations.into_iter().map(finding).collect()))
}

fn check_witness(r1cs: &R1cs, witness: &[Fr]) -> Result<(), AuditError> {
    if witness.len() != r1cs.wires as usize {
        return Err(AuditError::WitnessLength {
            expected: r1cs.wires as usize,
            found: witness.len(),
        });
    }
    match r1cs.first_unsatisfied(witness) {
        Some(constraint) => Err(AuditError::WitnessUnsatisfied { constraint }),
        None => Ok(()),
    }
}

/// The ranges that the verifier checks, where they say more than the constraints: a bound that is given is never tightened.
fn given(
    system: &System,
    scope: &Scope,
    own_facts: &Facts,
) -> impl Iterator<Item = (u32, BigUint)> {
    let checked = scope
        .ranges
        .iter()
        .filter(|(wire, _)| system.public_inputs.contains(wire));
    checked
        .map(|(wire, bits)| (*wire, (BigUint::from(1_u8) << *bits) - 1_u8))
        .filter(|(wire, bound)| own_facts.bound(*wire).is_none_or(|own| bound < own))
}

fn local_freedom(system: &System, unique: &Unique, witness: &[Fr]) -> (Kernel, Vec<Finding>) {
    // A wire that is unique does not move, and an unused one is reported as such.
    let is_open = |wire: u32| {
        let is_unused = system.uses[wire as usize].is_empty();
        !unique.is_known(wire) && !unique.harmless.contains(&wire) && !is_unused
    };
    let Some(directions) = kernel::directions(system, &system.extended(witness), is_open) else {
        return (Kernel::TooLarge, Vec::new());
    };
    if directions.is_empty() {
        return (Kernel::Trivial, Vec::new());
    }
    let finding = |direction: kernel::Direction| {
        let constraints = direction
            .wires
            .iter()
            .flat_map(|wire| &system.uses[*wire as usize]);
        let constraints: BTreeSet<u32> = constraints.map(|(index, _)| *index).collect();
        Finding {
            class: Class::Freedom,
            constraints: constraints.into_iter().collect(),
            wires: direction.wires,
            explanation: if direction.is_exact {
                "these wires can move together, as far as one likes, while all inputs stay and every constraint holds".to_owned()
            } else {
                "these wires can move together while all inputs stay; every constraint holds to first order".to_owned()
            },
        }
    };
    (
        Kernel::NotTrivial,
        directions.into_iter().map(finding).collect(),
    )
}

/// Replaces what the audit added by what the constraint system has.
fn in_own_terms(system: &System, finding: &mut Finding) {
    finding.wires.retain(|wire| *wire < system.own_wires);
    for constraint in &mut finding.constraints {
        *constraint = system.constraint(*constraint);
    }
    finding.constraints.dedup();
}

fn verdict(system: &System, unique: &Unique, findings: &[Finding]) -> Verdict {
    let undecided = unique.undecided(system);
    let is_free = |finding: &&Finding| matches!(finding.class, Class::Freedom | Class::UnusedWire);
    let moving = findings
        .iter()
        .filter(is_free)
        .flat_map(|finding| &finding.wires);
    let open: BTreeSet<u32> = undecided.iter().copied().collect();
    let free: BTreeSet<u32> = moving.copied().filter(|wire| open.contains(wire)).collect();
    if !free.is_empty() {
        Verdict::Freedom {
            wires: free.into_iter().collect(),
        }
    } else if undecided.is_empty() {
        Verdict::Unique
    } else {
        Verdict::Undecided { wires: undecided }
    }
}

#[cfg(test)]
mod tests;
