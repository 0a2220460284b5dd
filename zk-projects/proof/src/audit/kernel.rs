//! Local freedom at a witness: directions in which every wire but the inputs can move while all constraints hold to first order.
//!
//! With the inputs fixed, a small change `v` of the other wires keeps the constraint `(A.w)(B.w) = C.w` to first order exactly if
//! `(A.w)(B.v) + (B.w)(A.v) - C.v = 0`. These equations are the Jacobian; each vector of its kernel is such a direction. If moreover
//! `(A.v)(B.v) = 0` in every constraint, `w + t v` is another witness for every `t`: the freedom is *exact*. Otherwise it may end at
//! first order, as in `x^2 = 0`.
//!
//! Rows with one wire left settle almost everything, as in the propagation of uniqueness; Gaussian elimination, shortest row first, is for
//! the rest. Its work is bounded; beyond that the answer is that it is unknown.

use std::collections::{BTreeMap, BTreeSet};

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero};

use super::system::{Lc, Relation, System};

/// Vectors that are worked out; more do not help a reader.
const MOST_VECTORS: usize = 16;
/// Multiplications in the field before the elimination gives up, some seconds of work.
const MOST_WORK: usize = 100_000_000;

/// One direction of freedom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Direction {
    /// The wires that move, ascending.
    pub(super) wires: Vec<u32>,
    /// Whether every multiple of it gives another witness.
    pub(super) is_exact: bool,
}

/// The kernel of the Jacobian over the wires that `is_open`, by a few vectors of a basis; `None` if it takes too much work.
pub(super) fn directions(
    system: &System,
    witness: &[Fr],
    is_open: impl Fn(u32) -> bool,
) -> Option<Vec<Direction>> {
    let rows = system
        .relations
        .iter()
        .map(|r| gradient(r, witness, &is_open));
    let open: BTreeSet<u32> = (1..system.wires).filter(|wire| is_open(*wire)).collect();
    let (rows, open) = settle_single(rows.collect(), open);
    let (pivots, _) = eliminate(rows)?;
    let pivot_wires: BTreeSet<u32> = pivots.iter().map(|(wire, _)| *wire).collect();
    let free = open.difference(&pivot_wires).take(MOST_VECTORS);
    Some(free.map(|wire| direction(system, *wire, &pivots)).collect())
}

/// Relations that follow from others to first order at the witness, the inputs being free; `None` if it takes too much work.
pub(super) fn dependent(system: &System, witness: &[Fr]) -> Option<Vec<u32>> {
    let rows = system
        .relations
        .iter()
        .map(|r| gradient(r, witness, &|wire| wire != 0));
    let rows: Vec<(u32, Lc)> = (0..).zip(rows).filter(|(_, row)| !row.is_empty()).collect();
    let (indices, rows): (Vec<u32>, Vec<Lc>) = without_independent(rows).into_iter().unzip();
    let (_, nothing) = eliminate(rows)?;
    let mut dependent: Vec<u32> = nothing.into_iter().map(|row| indices[row]).collect();
    dependent.sort_unstable();
    Some(dependent)
}

/// Drops, repeatedly, each row with a wire that no other row has: it follows from no others, and none follows from it.
fn without_independent(rows: Vec<(u32, Lc)>) -> Vec<(u32, Lc)> {
    let mut uses: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
    for (at, (_, row)) in rows.iter().enumerate() {
        for (wire, _) in row {
            uses.entry(*wire).or_default().insert(at);
        }
    }
    let mut is_kept = vec![true; rows.len()];
    let mut ready: Vec<usize> = uses
        .values()
        .filter(|users| users.len() == 1)
        .flatten()
        .copied()
        .collect();
    while let Some(at) = ready.pop() {
        if !std::mem::replace(&mut is_kept[at], false) {
            continue;
        }
        for (wire, _) in &rows[at].1 {
            let users = uses.get_mut(wire).expect("every wire was noted");
            users.remove(&at);
            if users.len() == 1 {
                ready.extend(users.iter());
            }
        }
    }
    let kept = rows
        .into_iter()
        .zip(is_kept)
        .filter(|(_, is_kept)| *is_kept);
    kept.map(|(row, _)| row).collect()
}

/// The derivative of a relation by each open wire, ascending by wire.
fn gradient(relation: &Relation, witness: &[Fr], is_open: &impl Fn(u32) -> bool) -> Lc {
    let value = |lc: &Lc| -> Fr { lc.iter().map(|&(wire, k)| k * witness[wire as usize]).sum() };
    let mut row: BTreeMap<u32, Fr> = BTreeMap::new();
    let mut add = |lc: &Lc, factor: Fr| {
        for &(wire, k) in lc.iter().filter(|(wire, _)| is_open(*wire)) {
            *row.entry(wire).or_insert(Fr::zero()) += k * factor;
        }
    };
    match relation {
        Relation::Linear(lc) => add(lc, Fr::one()),
        Relation::Product { a, b, c } => {
            add(b, value(a));
            add(a, value(b));
            add(c, -Fr::one());
        }
    }
    row.into_iter().filter(|(_, k)| !k.is_zero()).collect()
}

/// A row of one wire says that it does not move. Drops such wires everywhere, repeatedly. Returns the rows and wires that remain.
fn settle_single(rows: Vec<Lc>, mut open: BTreeSet<u32>) -> (Vec<Lc>, BTreeSet<u32>) {
    let mut uses: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        for (wire, _) in row {
            uses.entry(*wire).or_default().push(index);
        }
    }
    let mut left: Vec<usize> = rows.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..rows.len()).filter(|index| left[*index] == 1).collect();
    while let Some(index) = ready.pop() {
        let Some((wire, _)) = rows[index].iter().find(|(wire, _)| open.contains(wire)) else {
            continue;
        };
        open.remove(wire);
        for user in &uses[wire] {
            left[*user] -= 1;
            if left[*user] == 1 {
                ready.push(*user);
            }
        }
    }
    let rows = rows.into_iter().map(|row| -> Lc {
        row.into_iter()
            .filter(|(wire, _)| open.contains(wire))
            .collect()
    });
    (rows.filter(|row| !row.is_empty()).collect(), open)
}

/// A pivot wire, and its row.
type Pivot = (u32, Lc);

/// Brings the rows into echelon form. Returns the pivots in order, in whose rows no earlier pivot stands, and which rows came to nothing.
fn eliminate(rows: Vec<Lc>) -> Option<(Vec<Pivot>, Vec<usize>)> {
    let mut queue: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut uses: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        queue.insert((row.len(), index));
        for (wire, _) in row {
            uses.entry(*wire).or_default().insert(index);
        }
    }
    let mut rows = rows;
    let (mut pivots, mut nothing) = (Vec::new(), Vec::new());
    let mut work = 0;
    while let Some((_, index)) = queue.pop_first() {
        let row = std::mem::take(&mut rows[index]);
        // The wire in the fewest rows makes the fewest new entries.
        let Some(&(wire, k)) = row.iter().min_by_key(|(wire, _)| uses[wire].len()) else {
            nothing.push(index);
            continue;
        };
        for (wire, _) in &row {
            uses.get_mut(wire)
                .expect("every wire was noted")
                .remove(&index);
        }
        let inverse = k.inverse().expect("no coefficient is zero");
        for user in uses[&wire].clone() {
            let old = std::mem::take(&mut rows[user]);
            work += old.len() + row.len();
            let factor = super::system::coefficient(&old, wire) * inverse;
            let new =
                super::system::sum(&row, -factor, &old.iter().map(|&(w, k)| (w, -k)).collect());
            queue.remove(&(old.len(), user));
            for (wire, _) in &old {
                uses.get_mut(wire)
                    .expect("every wire was noted")
                    .remove(&user);
            }
            for (wire, _) in &new {
                uses.get_mut(wire)
                    .expect("every wire was noted")
                    .insert(user);
            }
            queue.insert((new.len(), user));
            rows[user] = new;
        }
        if work > MOST_WORK {
            return None;
        }
        pivots.push((wire, row));
    }
    Some((pivots, nothing))
}

/// The vector of the kernel in which `free` moves by one and no other free wire does.
fn direction(system: &System, free: u32, pivots: &[(u32, Lc)]) -> Direction {
    let mut vector = BTreeMap::from([(free, Fr::one())]);
    let at = |vector: &BTreeMap<u32, Fr>, wire: u32| vector.get(&wire).copied().unwrap_or_default();
    for (pivot, row) in pivots.iter().rev() {
        let others = row.iter().filter(|(wire, _)| wire != pivot);
        let rest: Fr = others.map(|&(wire, k)| k * at(&vector, wire)).sum();
        if !rest.is_zero() {
            let k = super::system::coefficient(row, *pivot);
            vector.insert(*pivot, -rest / k);
        }
    }
    let value = |lc: &Lc| -> Fr { lc.iter().map(|&(wire, k)| k * at(&vector, wire)).sum() };
    let is_exact = system.relations.iter().all(|relation| match relation {
        Relation::Linear(_) => true,
        Relation::Product { a, b, .. } => value(a).is_zero() || value(b).is_zero(),
    });
    Direction {
        wires: vector.into_keys().collect(),
        is_exact,
    }
}
