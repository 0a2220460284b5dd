// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IVerifier4} from "./IVerifier.sol";

/// @title Signals of members of a list, each member once per topic, without showing who
/// @dev Public inputs of the statement: root, nullifier, scope, signal. The scope is computed from chain, contract and topic, so that a nullifier
///      says nothing anywhere else. The sender is not bound: whoever relays a proof changes nothing about what it says.
contract Membership {
    error NotAdministrator();
    error NotInField();
    error AlreadySignalled();

    event RootChanged(uint256 root);
    event Signalled(bytes32 indexed topic, uint256 nullifier, bytes message);

    /// The order of the group.
    uint256 private constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    IVerifier4 public immutable verifier;
    /// Decides who is on the list.
    address public immutable administrator;
    /// The list as it is. Proofs against earlier ones are refused: someone may have been taken off.
    uint256 public root;

    mapping(uint256 scope => mapping(uint256 nullifier => bool)) public isUsed;

    constructor(IVerifier4 verifier_, address administrator_, uint256 root_) {
        verifier = verifier_;
        administrator = administrator_;
        change(root_);
    }

    function setRoot(uint256 root_) external {
        if (msg.sender != administrator) revert NotAdministrator();
        change(root_);
    }

    function signal(uint256[8] calldata proof, uint256 nullifier, bytes32 topic, bytes calldata message) external {
        uint256 scope = scopeOf(topic);
        if (isUsed[scope][nullifier]) revert AlreadySignalled();
        isUsed[scope][nullifier] = true;
        emit Signalled(topic, nullifier, message);
        // Refuses a nullifier that is not below r: it would be another key of the same member.
        verifier.verify(proof, root, nullifier, scope, signalOf(message));
    }

    /// The third public input.
    function scopeOf(bytes32 topic) public view returns (uint256) {
        return uint256(keccak256(abi.encode(block.chainid, address(this), topic))) % R;
    }

    /// The fourth public input.
    function signalOf(bytes calldata message) public pure returns (uint256) {
        return uint256(keccak256(message)) % R;
    }

    function change(uint256 root_) private {
        if (root_ >= R) revert NotInField();
        root = root_;
        emit RootChanged(root_);
    }
}
