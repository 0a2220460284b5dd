//! A path over wires.
//!
//! The prover gives all children of each node on the path and says which one is the node below: selecting needs fewer products than
//! inserting. With the bits `b0`, `b1` of the position and the children `c0` to `c3`, the selected one is
//!
//! ```text
//! low + b1 * (high - low)    low = c0 + b0 * (c1 - c0)    high = c2 + b0 * (c3 - c2)
//! ```
//!
//! Bits that are not 0 or 1 would select a sum of children with factors of the prover's choice, which is any leaf: hence
//! [`Circuit::enforce_boolean`] on each of them.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use ark_relations::gr1cs::SynthesisError;

use super::{Path, Shape};
use crate::poseidon::hash_wires;
use crate::wire::{Circuit, Wire};

/// A path that was allocated and is not constrained yet.
#[derive(Debug, Clone)]
pub struct PathWires {
    /// For each level, from the bottom: the bits of the position.
    bits: Vec<Vec<Wire>>,
    /// For each level: all children.
    children: Vec<Vec<Wire>>,
}

impl PathWires {
    /// Allocates the path of a leaf as private inputs.
    ///
    /// # Errors
    ///
    /// Those of arkworks.
    pub fn allocate<const SIBLINGS: usize>(
        circuit: &Circuit,
        path: &Path<SIBLINGS>,
        leaf: Fr,
    ) -> Result<Self, SynthesisError> {
        let bits_of_level = Shape::<SIBLINGS>::BITS as usize;
        let bits: Vec<Fr> = (0..bits_of_level * path.siblings.len())
            .map(|bit| Fr::from(path.position >> bit & 1))
            .collect();
        Self::from_numbers(circuit, bits.chunks(bits_of_level), &path.children(leaf))
    }

    fn from_numbers<'a>(
        circuit: &Circuit,
        bits: impl Iterator<Item = &'a [Fr]>,
        children: &[Vec<Fr>],
    ) -> Result<Self, SynthesisError> {
        let allocate = |row: &[Fr]| row.iter().map(|number| circuit.private(*number)).collect();
        Ok(Self {
            bits: bits.map(allocate).collect::<Result<_, _>>()?,
            children: children
                .iter()
                .map(|row| allocate(row))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The position of the leaf, as a sum of the bits.
    #[must_use]
    pub fn position(&self) -> Wire {
        let (mut position, mut weight) = (Wire::constant(Fr::ZERO), Fr::ONE);
        for bit in self.bits.iter().flatten() {
            position.add_multiple(bit, weight);
            weight.double_in_place();
        }
        position
    }
}

/// Constrains the path to begin at `leaf` and returns the root it leads to.
///
/// # Errors
///
/// Those of arkworks.
pub fn path_root(circuit: &Circuit, leaf: &Wire, path: &PathWires) -> Result<Wire, SynthesisError> {
    let mut node = leaf.clone();
    for (bits, children) in path.bits.iter().zip(&path.children) {
        for bit in bits {
            circuit.enforce_boolean(bit)?;
        }
        enforce_selected(circuit, bits, children, &node)?;
        node = hash_wires(circuit, children)?;
    }
    Ok(node)
}

/// The child that the bits say is `node`.
fn enforce_selected(
    circuit: &Circuit,
    bits: &[Wire],
    children: &[Wire],
    node: &Wire,
) -> Result<(), SynthesisError> {
    let mut row = children.to_vec();
    for (index, bit) in bits.iter().enumerate() {
        if index + 1 == bits.len() {
            let difference = row[1].minus(&row[0]);
            return circuit.enforce_product(&difference, bit, &node.minus(&row[0]));
        }
        row = row
            .chunks(2)
            .map(|pair| Ok(pair[0].plus(&circuit.product(&pair[1].minus(&pair[0]), bit)?)))
            .collect::<Result<_, SynthesisError>>()?;
    }
    unreachable!("a level has at least one bit")
}

#[cfg(test)]
mod tests {
    use ark_relations::gr1cs::ConstraintSystem;

    use super::*;
    use crate::merkle::{Binary, Quaternary, Tree};

    fn numbers(count: u64) -> Vec<Fr> {
        (1..=count).map(Fr::from).collect()
    }

    /// Whether a path through `children` with these bits leads from `leaf` to `root`.
    fn accepts(leaf: Fr, bits: &[Vec<Fr>], children: &[Vec<Fr>], root: Fr) -> bool {
        let system = ConstraintSystem::new_ref();
        let circuit = Circuit::new(&system);
        let leaf = circuit.private(leaf).unwrap();
        let bits = bits.iter().map(Vec::as_slice);
        let path = PathWires::from_numbers(&circuit, bits, children).unwrap();
        let computed = path_root(&circuit, &leaf, &path).unwrap();
        let root = circuit.private(root).unwrap();
        circuit.enforce_equal(&computed, &root).unwrap();
        system.is_satisfied().unwrap()
    }

    /// zk-kit.circom issue 24: the bit that selects is chosen so that "selecting" gives a leaf that is not in the tree.
    #[test]
    fn no_bit_selects_a_leaf_that_is_not_there() {
        let foreign = Fr::from(1000);
        let mut tree = Tree::new(Binary::new(3));
        tree.append(&numbers(8)).unwrap();
        let path = tree.path(2).unwrap();
        let children = path.children(Fr::from(3));
        let honest: Vec<Vec<Fr>> = [0, 1, 0].map(|bit| vec![Fr::from(bit)]).to_vec();
        assert!(accepts(Fr::from(3), &honest, &children, tree.root()));
        assert!(!accepts(foreign, &honest, &children, tree.root()));
        let (left, right) = (children[0][0], children[0][1]);
        let mut forged = honest;
        forged[0][0] = (foreign - left) / (right - left);
        assert!(!accepts(foreign, &forged, &children, tree.root()));
    }

    #[test]
    fn no_bits_of_four_children_select_a_leaf_that_is_not_there() {
        let foreign = Fr::from(1000);
        let mut tree = Tree::new(Quaternary::new(2));
        tree.append(&numbers(16)).unwrap();
        let children = tree.path(5).unwrap().children(Fr::from(6));
        let honest = vec![vec![Fr::ONE, Fr::ZERO], vec![Fr::ONE, Fr::ZERO]];
        assert!(accepts(Fr::from(6), &honest, &children, tree.root()));
        for (b0, b1) in [
            // c0 + b0 (c1 - c0) = foreign
            (
                (foreign - children[0][0]) / (children[0][1] - children[0][0]),
                Fr::ZERO,
            ),
            // c0 + b1 (c2 - c0) = foreign
            (
                Fr::ZERO,
                (foreign - children[0][0]) / (children[0][2] - children[0][0]),
            ),
        ] {
            let mut forged = honest.clone();
            forged[0] = vec![b0, b1];
            assert!(!accepts(foreign, &forged, &children, tree.root()));
        }
    }
}
