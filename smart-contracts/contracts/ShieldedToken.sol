// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IVerifier4} from "./IVerifier.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {Poseidon2} from "./generated/Poseidon2.sol";
import {Poseidon4} from "./generated/Poseidon4.sol";

interface IERC20 {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// @title A pool of private notes backed by one ERC-20 token
/// @dev Public inputs of the statement: root, pair, spend, context. Two notes are spent and two are made by each call; amountIn tokens
///      come in from the caller and amountOut go out. pair = P2(commitments) is the one leaf that is inserted; spend = P4(nullifiers,
///      amountIn, amountOut); the context binds chain, contract, token, receivers and ciphertexts.
contract ShieldedToken is MerkleTree {
    error Reentered();
    error NotAToken();
    error UnknownRoot();
    error NotInField();
    error AlreadySpent(uint256 nullifier);
    error AmountTooLarge();
    error FeeTooHigh();
    error TransferFailed();
    error WrongAmountReceived(uint256 received);

    /// One call. `recipient` gets amountOut - fee and `relayer` gets fee.
    struct Transaction {
        uint256 root;
        uint256[2] nullifiers;
        uint256[2] commitments;
        uint256 amountIn;
        uint256 amountOut;
        address recipient;
        address relayer;
        uint256 fee;
        bytes[2] ciphertexts;
    }

    event Spent(uint256 indexed nullifier);
    /// The commitments under leaf `index`, and for each what its owner needs to find and open it.
    event Made(uint256 index, uint256 root, uint256[2] commitments, bytes[2] ciphertexts);
    event Moved(uint256 amountIn, uint256 amountOut, address recipient, address relayer, uint256 fee);

    IVerifier4 public immutable verifier;
    IERC20 public immutable token;

    mapping(uint256 nullifier => bool) public isSpent;
    bool private transient entered;

    constructor(IVerifier4 verifier_, IERC20 token_) {
        // Calls of an account without code succeed.
        if (address(token_).code.length == 0) revert NotAToken();
        verifier = verifier_;
        token = token_;
    }

    /// Deposits, transfers and withdraws, whichever of the amounts is not 0. A root of 0 is known to nobody; the first call of all
    /// spends notes of value 0 under the root of the empty tree.
    function transact(uint256[8] calldata proof, Transaction calldata t) external {
        if (entered) revert Reentered();
        entered = true;
        check(t);
        spend(t.nullifiers[0]);
        spend(t.nullifiers[1]);
        uint256 pair = Poseidon2.hash(Poseidon2.constants(), t.commitments[0], t.commitments[1]);
        verifier.verify(proof, t.root, pair, spendOf(t), contextOf(t));
        (uint256 index, uint256 root) = insert(pair);
        emit Made(index, root, t.commitments, t.ciphertexts);
        emit Moved(t.amountIn, t.amountOut, t.recipient, t.relayer, t.fee);
        receiveTokens(t.amountIn);
        sendTokens(t.recipient, t.amountOut - t.fee);
        sendTokens(t.relayer, t.fee);
        entered = false;
    }

    /// The fourth public input.
    function contextOf(Transaction calldata t) public view returns (uint256) {
        bytes memory bound = abi.encode(
            block.chainid,
            address(this),
            token,
            t.recipient,
            t.relayer,
            t.fee,
            keccak256(t.ciphertexts[0]),
            keccak256(t.ciphertexts[1])
        );
        return uint256(keccak256(bound)) % R;
    }

    function check(Transaction calldata t) private view {
        if (!isKnownRoot[t.root] && t.root != Poseidon4.EMPTY_ROOT) revert UnknownRoot();
        // The hashes below reduce modulo r: x + r would be the same note under another name.
        bool inField = t.nullifiers[0] < R && t.nullifiers[1] < R && t.commitments[0] < R && t.commitments[1] < R;
        if (!inField) revert NotInField();
        if (t.amountIn > type(uint128).max || t.amountOut > type(uint128).max) revert AmountTooLarge();
        if (t.fee > t.amountOut) revert FeeTooHigh();
    }

    /// Also refuses two equal nullifiers in one call.
    function spend(uint256 nullifier) private {
        if (isSpent[nullifier]) revert AlreadySpent(nullifier);
        isSpent[nullifier] = true;
        emit Spent(nullifier);
    }

    function spendOf(Transaction calldata t) private pure returns (uint256) {
        return Poseidon4.hash(Poseidon4.constants(), t.nullifiers[0], t.nullifiers[1], t.amountIn, t.amountOut);
    }

    /// Exactly `amount` must arrive: a token that keeps a fee would leave notes without backing.
    function receiveTokens(uint256 amount) private {
        if (amount == 0) return;
        uint256 before = token.balanceOf(address(this));
        callToken(abi.encodeCall(IERC20.transferFrom, (msg.sender, address(this), amount)));
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert WrongAmountReceived(received);
    }

    function sendTokens(address to, uint256 amount) private {
        if (amount == 0) return;
        callToken(abi.encodeCall(IERC20.transfer, (to, amount)));
    }

    /// A token may return true or nothing; anything else is a failure.
    function callToken(bytes memory data) private {
        (bool success, bytes memory returned) = address(token).call(data);
        bool accepted = returned.length == 0 || (returned.length == 32 && uint256(bytes32(returned)) == 1);
        if (!success || !accepted) revert TransferFailed();
    }
}
