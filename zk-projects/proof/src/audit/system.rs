//! Constraints in the form that the audit reasons about: products of linear combinations, and linear ones apart.

use ark_bn254::Fr;
use ark_ff::{Field, Zero};

use super::{AuditError, Scope};
use crate::r1cs::{Matrix, R1cs, Term};

/// A linear combination: wires ascending, each once, no coefficient zero. The constant is the coefficient of wire 0.
pub(super) type Lc = Vec<(u32, Fr)>;

/// One constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Relation {
    /// The combination is zero. Also what a product with a constant factor says.
    Linear(Lc),
    /// `a * b = c`, neither factor constant.
    Product { a: Lc, b: Lc, c: Lc },
}

/// In which places of a relation a wire stands; a linear relation is all `C`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) a: bool,
    pub(super) b: bool,
    pub(super) c: bool,
}

impl Relation {
    fn new(a: Lc, b: Lc, c: Lc) -> Self {
        match (constant(&a), constant(&b)) {
            (Some(k), _) => Self::Linear(sum(&b, k, &c)),
            (_, Some(k)) => Self::Linear(sum(&a, k, &c)),
            (None, None) => Self::Product { a, b, c },
        }
    }

    /// The combinations that it is made of.
    pub(super) fn combinations(&self) -> impl Iterator<Item = &Lc> {
        match self {
            Self::Linear(lc) => vec![lc],
            Self::Product { a, b, c } => vec![a, b, c],
        }
        .into_iter()
    }

    /// Its wires except the constant one, ascending, with their places.
    pub(super) fn wires(&self) -> Vec<(u32, Places)> {
        let mut wires: Vec<(u32, Places)> = Vec::new();
        let mut add = |lc: &Lc, place: fn(&mut Places) -> &mut bool| {
            for &(wire, _) in lc.iter().filter(|(wire, _)| *wire != 0) {
                let mut places = Places::default();
                *place(&mut places) = true;
                wires.push((wire, places));
            }
        };
        match self {
            Self::Linear(lc) => add(lc, |p| &mut p.c),
            Self::Product { a, b, c } => {
                add(a, |p| &mut p.a);
                add(b, |p| &mut p.b);
                add(c, |p| &mut p.c);
            }
        }
        wires.sort_by_key(|(wire, _)| *wire);
        wires.dedup_by(|(next, more), (kept, places)| {
            let same = next == kept;
            if same {
                places.a |= more.a;
                places.b |= more.b;
                places.c |= more.c;
            }
            same
        });
        wires
    }

    /// The same for every relation that says the same up to factors and their order.
    pub(super) fn normalised(&self) -> (Lc, Lc, Lc) {
        match self {
            Self::Linear(lc) => (Vec::new(), Vec::new(), monic(lc)),
            Self::Product { a, b, c } => {
                let k = (a[0].1 * b[0].1).inverse().expect("no coefficient is zero");
                let c = c.iter().map(|&(wire, x)| (wire, x * k)).collect();
                let (a, b) = (monic(a), monic(b));
                if a <= b { (a, b, c) } else { (b, a, c) }
            }
        }
    }
}

/// All constraints, and where each wire is used.
///
/// A simplifying compiler may have put a sum in the place of a bit: `s (s - 1) = 0` for a sum `s`. Such a sum gets a wire of its own after
/// the others, `bit (bit - 1) = 0` in the place of the constraint, and a relation at the end that says `bit = s`.
#[derive(Debug)]
pub(super) struct System {
    /// How many wires, the constant one and those added for bits included.
    pub(super) wires: u32,
    /// How many wires the constraint system has.
    pub(super) own_wires: u32,
    /// The wires that are fixed: public and private inputs.
    pub(super) inputs: std::ops::Range<u32>,
    /// Of these, the public ones.
    pub(super) public_inputs: std::ops::Range<u32>,
    pub(super) relations: Vec<Relation>,
    /// The constraints from which the relations at the end come; the others are in the order of the constraints.
    added: Vec<u32>,
    /// For each wire the constraints with it, ascending.
    pub(super) uses: Vec<Vec<(u32, Places)>>,
}

impl System {
    /// Brings the constraints into form.
    ///
    /// # Errors
    ///
    /// [`AuditError::Malformed`]: a wire, or a matrix' row, that is not there.
    pub(super) fn new(r1cs: &R1cs, scope: &Scope) -> Result<Self, AuditError> {
        let first = 1 + u64::from(r1cs.public_outputs);
        let end = first + u64::from(r1cs.public_inputs) + u64::from(r1cs.private_inputs);
        let is_square = r1cs.b.len() == r1cs.a.len() && r1cs.c.len() == r1cs.a.len();
        if end > u64::from(r1cs.wires) || !is_square {
            return Err(AuditError::Malformed);
        }
        let mut terms = [&r1cs.a, &r1cs.b, &r1cs.c]
            .into_iter()
            .flat_map(Matrix::rows)
            .flatten();
        if terms.any(|term| term.wire >= r1cs.wires)
            || scope.ranges.keys().any(|wire| *wire >= r1cs.wires)
        {
            return Err(AuditError::Malformed);
        }
        let rows = r1cs.a.rows().zip(r1cs.b.rows()).zip(r1cs.c.rows());
        let mut relations: Vec<Relation> = rows
            .map(|((a, b), c)| Relation::new(combination(a), combination(b), combination(c)))
            .collect();
        let added = name_bits(&mut relations, r1cs.wires)?;
        let wires = r1cs.wires + u32::try_from(added.len()).map_err(|_| AuditError::Malformed)?;
        let mut uses = vec![Vec::new(); wires as usize];
        for (index, relation) in (0..).zip(&relations) {
            for (wire, places) in relation.wires() {
                uses[wire as usize].push((index, places));
            }
        }
        let first = 1 + r1cs.public_outputs;
        let private = first + r1cs.public_inputs;
        Ok(Self {
            wires,
            own_wires: r1cs.wires,
            inputs: first..private + r1cs.private_inputs,
            public_inputs: first..private,
            relations,
            added,
            uses,
        })
    }

    /// The constraint from which a relation comes.
    pub(super) fn constraint(&self, relation: u32) -> u32 {
        let own = self.relations.len() - self.added.len();
        match (relation as usize).checked_sub(own) {
            None => relation,
            Some(added) => self.added[added],
        }
    }

    /// The values of all wires, those of the constraint system given.
    pub(super) fn extended(&self, witness: &[Fr]) -> Vec<Fr> {
        let mut values = witness.to_vec();
        let own = self.relations.len() - self.added.len();
        for relation in &self.relations[own..] {
            let Relation::Linear(lc) = relation else {
                unreachable!("the added relations are linear");
            };
            let ((_, k), rest) = lc.split_last().expect("the bit is its last wire");
            let rest: Fr = rest
                .iter()
                .map(|&(wire, k)| k * values[wire as usize])
                .sum();
            values.push(-rest / k);
        }
        values
    }

    /// Whether the wire is fixed before the prover computes anything: an input, or the constant.
    pub(super) fn is_fixed(&self, wire: u32) -> bool {
        wire == 0 || self.inputs.contains(&wire)
    }
}

/// Gives a wire to each sum that is constrained to be a bit. Returns the constraints that say so.
fn name_bits(relations: &mut Vec<Relation>, wires: u32) -> Result<Vec<u32>, AuditError> {
    let mut added = Vec::new();
    let mut sums = Vec::new();
    for (index, relation) in (0..).zip(relations.iter_mut()) {
        let Some(mut sum) = two_valued_sum(relation) else {
            continue;
        };
        let count = u32::try_from(added.len()).map_err(|_| AuditError::Malformed)?;
        let bit = wires.checked_add(count).ok_or(AuditError::Malformed)?;
        *relation = Relation::Product {
            a: vec![(bit, Fr::ONE)],
            b: vec![(0, -Fr::ONE), (bit, Fr::ONE)],
            c: Lc::new(),
        };
        sum.push((bit, -Fr::ONE));
        sums.push(Relation::Linear(sum));
        added.push(index);
    }
    relations.extend(sums);
    Ok(added)
}

/// If the relation is `a b = 0` with two factors that differ in the constant only, up to a multiple: `a` scaled to be 0 or 1.
fn two_valued_sum(relation: &Relation) -> Option<Lc> {
    let Relation::Product { a, b, c } = relation else {
        return None;
    };
    let without_constant = |lc: &Lc| -> Lc {
        let lc: Lc = lc.iter().filter(|(wire, _)| *wire != 0).copied().collect();
        monic(&lc)
    };
    let (wire, slope) = *a.iter().find(|(wire, _)| *wire != 0)?;
    let is_sum = a.iter().filter(|(wire, _)| *wire != 0).count() > 1;
    if !c.is_empty() || !is_sum {
        return None;
    }
    if without_constant(a) != without_constant(b) {
        return None;
    }
    // Where b is zero, a has this value.
    let other = coefficient(a, 0) - slope * coefficient(b, 0) / coefficient(b, wire);
    let scale = other.inverse()?;
    Some(a.iter().map(|&(wire, k)| (wire, k * scale)).collect())
}

/// The value of a combination without wires.
pub(super) fn constant(lc: &Lc) -> Option<Fr> {
    match lc.as_slice() {
        [] => Some(Fr::zero()),
        [(0, k)] => Some(*k),
        _ => None,
    }
}

/// The coefficient of a wire, zero if it does not occur.
pub(super) fn coefficient(lc: &Lc, wire: u32) -> Fr {
    lc.binary_search_by_key(&wire, |(wire, _)| *wire)
        .map_or_else(|_| Fr::zero(), |at| lc[at].1)
}

/// The combination divided by its first coefficient that is not the constant's.
pub(super) fn monic(lc: &Lc) -> Lc {
    let leading = lc.iter().find(|(wire, _)| *wire != 0).or(lc.first());
    let Some(k) = leading.and_then(|(_, k)| k.inverse()) else {
        return Vec::new();
    };
    lc.iter().map(|&(wire, x)| (wire, x * k)).collect()
}

/// `k * x - y`.
pub(super) fn sum(x: &Lc, k: Fr, y: &Lc) -> Lc {
    let scaled = x.iter().map(|&(wire, c)| (wire, c * k));
    merged(
        scaled
            .chain(y.iter().map(|&(wire, c)| (wire, -c)))
            .collect(),
    )
}

fn combination(row: &[Term]) -> Lc {
    merged(row.iter().map(|t| (t.wire, t.coefficient)).collect())
}

fn merged(mut terms: Lc) -> Lc {
    terms.sort_by_key(|(wire, _)| *wire);
    terms.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    terms.retain(|(_, c)| !c.is_zero());
    terms
}
