// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IVerifier2} from "./IVerifier.sol";

/// @title Users and the commitments to their passwords; a login is a proof
/// @dev Public inputs of the statement: commitment, context. A proof is good for one nonce of one user, one action, one sender, until its expiry, on
///      this contract of this chain: whoever sees it can neither replay it nor send it in their own name.
contract Registry {
    error UserTaken();
    error UnknownUser();
    error NotInField();
    error Expired();

    event Registered(bytes32 indexed user, uint256 commitment);
    event LoggedIn(bytes32 indexed user, address indexed sender, bytes32 action, uint256 nonce);

    struct User {
        uint256 commitment;
        uint256 nonce;
    }

    /// The order of the group; commitments are below it.
    uint256 private constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    IVerifier2 public immutable verifier;
    mapping(bytes32 name => User) public users;

    constructor(IVerifier2 verifier_) {
        verifier = verifier_;
    }

    /// Takes a name, which the first to ask gets. Commitments are never 0.
    function register(bytes32 user, uint256 commitment) external {
        if (users[user].commitment != 0) revert UserTaken();
        store(user, commitment);
    }

    /// Proves knowledge of the password for an action of the sender's choice, which a contract built on this would then carry out.
    function login(uint256[8] calldata proof, bytes32 user, bytes32 action, uint256 expiry) external {
        authenticate(proof, user, action, expiry);
    }

    /// Replaces the commitment.
    function change(uint256[8] calldata proof, bytes32 user, uint256 commitment, uint256 expiry) external {
        authenticate(proof, user, changeAction(commitment), expiry);
        store(user, commitment);
    }

    /// The second public input of the user's next login.
    function contextOf(bytes32 user, bytes32 action, uint256 expiry, address sender) public view returns (uint256) {
        bytes memory bound =
            abi.encode(block.chainid, address(this), user, users[user].nonce, expiry, action, sender);
        return uint256(keccak256(bound)) % R;
    }

    /// The action to which a proof for `change` is bound.
    function changeAction(uint256 commitment) public pure returns (bytes32) {
        return keccak256(abi.encode("change commitment", commitment));
    }

    function authenticate(uint256[8] calldata proof, bytes32 user, bytes32 action, uint256 expiry) private {
        User storage stored = users[user];
        if (stored.commitment == 0) revert UnknownUser();
        if (block.timestamp > expiry) revert Expired();
        uint256 context = contextOf(user, action, expiry, msg.sender);
        uint256 nonce = stored.nonce;
        stored.nonce = nonce + 1;
        emit LoggedIn(user, msg.sender, action, nonce);
        verifier.verify(proof, stored.commitment, context);
    }

    function store(bytes32 user, uint256 commitment) private {
        if (commitment == 0 || commitment >= R) revert NotInField();
        users[user].commitment = commitment;
        emit Registered(user, commitment);
    }
}
