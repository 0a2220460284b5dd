// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IVerifier3} from "./IVerifier.sol";
import {MerkleTree} from "./MerkleTree.sol";

/// @title A pool of equal deposits in ether, from which one can withdraw without showing which deposit was one's own
/// @dev Public inputs of the statement: root, nullifierHash, context. The contract computes the context itself from the chain, its
///      own address and the call, so that nobody who sees a proof can change where the money goes or use it elsewhere.
contract Mixer is MerkleTree {
    error WrongValue(uint256 expected);
    error CommitmentTaken();
    error UnknownRoot();
    error AlreadySpent();
    error FeeTooHigh();
    error PaymentFailed(address to);

    event Deposited(uint256 indexed commitment, uint256 index, uint256 root);
    event Withdrawn(uint256 indexed nullifierHash, address recipient, address relayer, uint256 fee);

    IVerifier3 public immutable verifier;
    /// What every deposit is, in wei.
    uint256 public immutable denomination;

    /// A commitment can be deposited once: of two equal notes only one could be withdrawn.
    mapping(uint256 commitment => bool) public isDeposited;
    mapping(uint256 nullifierHash => bool) public isSpent;

    constructor(IVerifier3 verifier_, uint256 denomination_) {
        verifier = verifier_;
        denomination = denomination_;
    }

    function deposit(uint256 commitment) external payable {
        if (msg.value != denomination) revert WrongValue(denomination);
        if (isDeposited[commitment]) revert CommitmentTaken();
        isDeposited[commitment] = true;
        (uint256 index, uint256 root) = insert(commitment);
        emit Deposited(commitment, index, root);
    }

    function withdraw(
        uint256[8] calldata proof,
        uint256 root,
        uint256 nullifierHash,
        address recipient,
        address relayer,
        uint256 fee
    ) external {
        if (fee > denomination) revert FeeTooHigh();
        if (!isKnownRoot[root]) revert UnknownRoot();
        if (isSpent[nullifierHash]) revert AlreadySpent();
        isSpent[nullifierHash] = true;
        emit Withdrawn(nullifierHash, recipient, relayer, fee);
        // Refuses a nullifier that is not below r: it would be another key of the same note.
        verifier.verify(proof, root, nullifierHash, contextOf(recipient, relayer, fee));
        pay(recipient, denomination - fee);
        pay(relayer, fee);
    }

    /// The third public input of a withdrawal.
    function contextOf(address recipient, address relayer, uint256 fee) public view returns (uint256) {
        return uint256(keccak256(abi.encode(block.chainid, address(this), recipient, relayer, fee))) % R;
    }

    function pay(address to, uint256 amount) private {
        if (amount == 0) return;
        (bool success,) = to.call{value: amount}("");
        if (!success) revert PaymentFailed(to);
    }
}
