// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Poseidon4} from "./generated/Poseidon4.sol";

/// @title A tree of arity 4 and depth 10 that only grows: 2^20 leaves, hashed by Poseidon of four numbers
/// @dev Each insertion stores one node: the highest whose subtree it fills, or the leaf itself. Lower nodes of a full subtree are
///      never siblings again. Every root that the tree ever had stays known: all of them are true statements about leaves that are
///      there, and a ring of a few could be flooded by whoever wants others' proofs to expire.
abstract contract MerkleTree {
    error LeafNotInField();
    error TreeFull();

    uint256 internal constant R = Poseidon4.R;
    uint256 internal constant DEPTH = 10;
    uint256 internal constant CAPACITY = 4 ** DEPTH;

    /// How many leaves there are.
    uint256 public leafCount;
    /// Whether the tree ever had this root after an insertion.
    mapping(uint256 root => bool) public isKnownRoot;

    /// Of each level the first three children of the node that is not yet full.
    uint256[3 * DEPTH] private completed;

    /// Appends a leaf.
    function insert(uint256 leaf) internal returns (uint256 index, uint256 root) {
        if (leaf >= R) revert LeafNotInField();
        index = leafCount;
        if (index == CAPACITY) revert TreeFull();
        leafCount = index + 1;
        root = path(leaf, index);
        isKnownRoot[root] = true;
    }

    function path(uint256 leaf, uint256 position) private returns (uint256 node) {
        uint256 constants = Poseidon4.constants();
        uint256 empty = Poseidon4.emptySubtrees();
        bool stored = false;
        node = leaf;
        for (uint256 level = 0; level < DEPTH; ++level) {
            uint256 digit = position & 3;
            position >>= 2;
            uint256 base = 3 * level;
            if (!stored && digit != 3) {
                completed[base + digit] = node;
                stored = true;
            }
            uint256 zero = Poseidon4.load(empty, level);
            uint256 first = digit > 0 ? completed[base] : node;
            uint256 second = digit > 1 ? completed[base + 1] : digit == 1 ? node : zero;
            uint256 third = digit > 2 ? completed[base + 2] : digit == 2 ? node : zero;
            node = Poseidon4.hash(constants, first, second, third, digit == 3 ? node : zero);
        }
    }
}
