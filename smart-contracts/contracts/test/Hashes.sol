// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MerkleTree} from "../MerkleTree.sol";
import {Poseidon2} from "../generated/Poseidon2.sol";
import {Poseidon4} from "../generated/Poseidon4.sol";

/// @title The hash libraries behind functions, for tests
contract Hashes {
    function hash2(uint256 a, uint256 b) external pure returns (uint256) {
        return Poseidon2.hash(Poseidon2.constants(), a, b);
    }

    function hash4(uint256 a, uint256 b, uint256 c, uint256 d) external pure returns (uint256) {
        return Poseidon4.hash(Poseidon4.constants(), a, b, c, d);
    }

    /// Gas of a path of 2^20 leaves by arity: 20 hashes of two, 10 of four, with the constants loaded once.
    function gasOfPaths() external view returns (uint256 arity2, uint256 arity4) {
        uint256 node = 1;
        uint256 before = gasleft();
        uint256 constants = Poseidon2.constants();
        for (uint256 level = 0; level < 20; ++level) {
            node = Poseidon2.hash(constants, node, 2);
        }
        arity2 = before - gasleft();
        before = gasleft();
        constants = Poseidon4.constants();
        for (uint256 level = 0; level < 10; ++level) {
            node = Poseidon4.hash(constants, node, 2, 3, 4);
        }
        arity4 = before - gasleft();
    }
}

/// @title The tree alone, for tests
contract Tree is MerkleTree {
    event Inserted(uint256 index, uint256 root);

    function add(uint256 leaf) external {
        (uint256 index, uint256 root) = insert(leaf);
        emit Inserted(index, root);
    }

    /// Skips ahead, to see a full tree without a million insertions.
    function setLeafCount(uint256 count) external {
        leafCount = count;
    }
}
