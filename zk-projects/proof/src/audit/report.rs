//! What an audit says, for programs and for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

/// Wires or constraints that a line for people lists before it only counts the rest.
const LISTED: usize = 8;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A public input that no constraint depends on (Z11): a proof for one value is a proof for all.
    UnusedPublicInput,
    /// Another wire that no constraint depends on (Z8).
    UnusedWire,
    /// Wires that can move at the witness while the inputs stay (Z8).
    Freedom,
    /// A wire chooses between two values but may be something else than 0 or 1 (Z7).
    SelectorNotBoolean,
    /// Weighted bits that can spell a number and the same number plus r (Z9).
    WideDecomposition,
    /// A public input that ought to follow from the private ones does not: some wire between them is not constrained (Z8).
    NotComputed,
    /// A declared range that the constraints do not enforce.
    RangeNotEnforced,
    /// A constraint that always holds, or never.
    ConstantConstraint,
    /// A constraint that says what another one says.
    DuplicateConstraint,
    /// A constraint whose removal changes nothing near the witness.
    Redundant,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Of which kind.
    pub class: Class,
    /// The wires concerned.
    pub wires: Vec<u32>,
    /// The constraints concerned, from 0.
    pub constraints: Vec<u32>,
    /// What it means, in a sentence or two.
    pub explanation: String,
}

/// With all inputs fixed, is every other wire unique?
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// Yes, for every value of the inputs: proved by the rules.
    Unique,
    /// The rules do not reach these wires, and no freedom was found. Neither safe nor broken: to be read by a person.
    Undecided {
        /// The wires that may or may not be unique.
        wires: Vec<u32>,
    },
    /// No, or these wires can move to first order: the finding says which.
    Freedom {
        /// The wires that can.
        wires: Vec<u32>,
    },
}

/// How the search for local freedom at the witness ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernel {
    /// No witness was given.
    NotTried,
    /// No direction of freedom at the witness.
    Trivial,
    /// There are directions; the findings name them.
    NotTrivial,
    /// Given up: it would have taken too long.
    TooLarge,
}

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many constraints were looked at.
    pub constraints: usize,
    /// How many wires, the constant one included.
    pub wires: u32,
    /// How many of these are inputs, public or private.
    pub inputs: u32,
    /// The answer.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The search at the witness.
    pub kernel: Kernel,
    /// Public inputs that the private ones alone determine: outputs, in another word. A public input that ought to be computed and is not
    /// here can be chosen, and a hint made to fit it.
    pub computed: BTreeSet<u32>,
    /// Hints that are free only where they are multiplied by zero, such as the inverse of zero. They need no attention.
    pub harmless: BTreeSet<u32>,
    /// What is wrong, in the order of the classes.
    pub findings: Vec<Finding>,
    /// Names of wires, where known.
    pub names: BTreeMap<u32, String>,
}

impl Report {
    /// Whether every wire was proved unique and nothing else is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.verdict == Verdict::Unique && self.findings.is_empty()
    }

    fn listed(&self, wires: &[u32]) -> String {
        list(wires, |wire| match self.names.get(wire) {
            Some(name) => format!("{wire} ({name})"),
            None => wire.to_string(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} constraints, {} wires, {} of them inputs",
            self.constraints, self.wires, self.inputs
        )?;
        match &self.verdict {
            Verdict::Unique => writeln!(out, "unique: the inputs determine every other wire")?,
            Verdict::Undecided { wires } => writeln!(
                out,
                "undecided: {} wires were not shown to be unique: {}",
                wires.len(),
                self.listed(wires)
            )?,
            Verdict::Freedom { wires } => {
                writeln!(
                    out,
                    "FREEDOM: wires can take other values, or move to first order: {}",
                    self.listed(wires)
                )?;
            }
        }
        let computed: Vec<u32> = self.computed.iter().copied().collect();
        if !computed.is_empty() {
            writeln!(
                out,
                "computed from private inputs: {}",
                self.listed(&computed)
            )?;
        }
        match self.kernel {
            Kernel::NotTried => {}
            Kernel::Trivial => writeln!(out, "at the witness: no wire can move")?,
            Kernel::NotTrivial => writeln!(out, "at the witness: wires can move, see below")?,
            Kernel::TooLarge => writeln!(out, "at the witness: not examined, too large")?,
        }
        for Finding {
            class,
            wires,
            constraints,
            explanation,
        } in &self.findings
        {
            writeln!(out, "\n{class}: {explanation}")?;
            if !wires.is_empty() {
                writeln!(out, "  wires: {}", self.listed(wires))?;
            }
            if !constraints.is_empty() {
                writeln!(out, "  constraints: {}", list(constraints, u32::to_string))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Class {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::UnusedPublicInput => "unused public input",
            Self::UnusedWire => "unused wire",
            Self::Freedom => "freedom",
            Self::SelectorNotBoolean => "selector not boolean",
            Self::WideDecomposition => "decomposition wider than the field",
            Self::NotComputed => "public input not computed",
            Self::RangeNotEnforced => "range not enforced",
            Self::ConstantConstraint => "constant constraint",
            Self::DuplicateConstraint => "duplicate constraint",
            Self::Redundant => "redundant constraint",
        })
    }
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = items.iter().take(LISTED).map(show).collect();
    match items.len().checked_sub(LISTED) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
