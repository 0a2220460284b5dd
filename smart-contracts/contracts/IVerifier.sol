// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// A verifier reverts unless the proof is valid for the public inputs, which it takes in the order of the statement.

interface IVerifier2 {
    function verify(uint256[8] calldata proof, uint256 first, uint256 second) external view;
}

interface IVerifier3 {
    function verify(uint256[8] calldata proof, uint256 first, uint256 second, uint256 third) external view;
}

interface IVerifier4 {
    function verify(uint256[8] calldata proof, uint256 first, uint256 second, uint256 third, uint256 fourth) external view;
}
