//! Calls, errors and events of the contracts, as Rust types.
//!
//! Declared here once more, because `sol!` follows no imports and so cannot read the sources. A test compares names and types of what
//! functions take, errors and events of the applications' contracts with solc's output. What is only of tests is declared as far as
//! they use it.

#![allow(missing_docs)] // the sources document what is declared here

use alloy_sol_types::sol;

sol! {
    #![sol(all_derives = true)]

    interface Mixer {
        error LeafNotInField();
        error TreeFull();
        error WrongValue(uint256 expected);
        error CommitmentTaken();
        error UnknownRoot();
        error AlreadySpent();
        error FeeTooHigh();
        error PaymentFailed(address to);

        event Deposited(uint256 indexed commitment, uint256 index, uint256 root);
        event Withdrawn(uint256 indexed nullifierHash, address recipient, address relayer, uint256 fee);

        function deposit(uint256 commitment) external payable;
        function withdraw(uint256[8] calldata proof, uint256 root, uint256 nullifierHash, address recipient, address relayer, uint256 fee) external;
        function contextOf(address recipient, address relayer, uint256 fee) external view returns (uint256);
        function verifier() external view returns (address);
        function denomination() external view returns (uint256);
        function leafCount() external view returns (uint256);
        function isKnownRoot(uint256 root) external view returns (bool);
        function isDeposited(uint256 commitment) external view returns (bool);
        function isSpent(uint256 nullifierHash) external view returns (bool);
    }

    interface ShieldedToken {
        error LeafNotInField();
        error TreeFull();
        error Reentered();
        error NotAToken();
        error UnknownRoot();
        error NotInField();
        error AlreadySpent(uint256 nullifier);
        error AmountTooLarge();
        error FeeTooHigh();
        error TransferFailed();
        error WrongAmountReceived(uint256 received);

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
        event Made(uint256 index, uint256 root, uint256[2] commitments, bytes[2] ciphertexts);
        event Moved(uint256 amountIn, uint256 amountOut, address recipient, address relayer, uint256 fee);

        function transact(uint256[8] calldata proof, Transaction calldata t) external;
        function contextOf(Transaction calldata t) external view returns (uint256);
        function verifier() external view returns (address);
        function token() external view returns (address);
        function leafCount() external view returns (uint256);
        function isKnownRoot(uint256 root) external view returns (bool);
        function isSpent(uint256 nullifier) external view returns (bool);
    }

    interface Registry {
        error UserTaken();
        error UnknownUser();
        error NotInField();
        error Expired();

        event Registered(bytes32 indexed user, uint256 commitment);
        event LoggedIn(bytes32 indexed user, address indexed sender, bytes32 action, uint256 nonce);

        function register(bytes32 user, uint256 commitment) external;
        function login(uint256[8] calldata proof, bytes32 user, bytes32 action, uint256 expiry) external;
        function change(uint256[8] calldata proof, bytes32 user, uint256 commitment, uint256 expiry) external;
        function contextOf(bytes32 user, bytes32 action, uint256 expiry, address sender) external view returns (uint256);
        function changeAction(uint256 commitment) external pure returns (bytes32);
        function verifier() external view returns (address);
        function users(bytes32 name) external view returns (uint256 commitment, uint256 nonce);
    }

    interface Membership {
        error NotAdministrator();
        error NotInField();
        error AlreadySignalled();

        event RootChanged(uint256 root);
        event Signalled(bytes32 indexed topic, uint256 nullifier, bytes message);

        function setRoot(uint256 root_) external;
        function signal(uint256[8] calldata proof, uint256 nullifier, bytes32 topic, bytes calldata message) external;
        function scopeOf(bytes32 topic) external view returns (uint256);
        function signalOf(bytes calldata message) external pure returns (uint256);
        function verifier() external view returns (address);
        function administrator() external view returns (address);
        function root() external view returns (uint256);
        function isUsed(uint256 scope, uint256 nullifier) external view returns (bool);
    }

    /// Of every verifier; `verify` depends on the number of inputs, see [`proof::solidity::calldata`].
    interface Verifier {
        error InputNotInField(uint256 index);
        error PrecompileFailed();
        error ProofRejected();

        function keyHash() external pure returns (bytes32);
        function setup() external pure returns (bytes32);
    }

    interface DemoToken {
        error NotEnough();

        event Transfer(address indexed from, address indexed to, uint256 amount);
        event Approval(address indexed owner, address indexed spender, uint256 amount);

        function mint(address to, uint256 amount) external;
        function approve(address spender, uint256 amount) external returns (bool);
        function transfer(address to, uint256 amount) external returns (bool);
        function transferFrom(address from, address to, uint256 amount) external returns (bool);
        function balanceOf(address account) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
    }

    interface HostileToken {
        function mint(address to, uint256 amount) external;
        function behave(uint8 behaviour_, address target_, bytes calldata data_) external;
        function transfer(address to, uint256 amount) external;
        function balanceOf(address account) external view returns (uint256);
        function reentrySucceeded() external view returns (bool);
        function reentryReturned() external view returns (bytes);
    }

    interface HostileRecipient {
        function behave(bool refuses_, address target_, bytes calldata data_) external;
        function reentrySucceeded() external view returns (bool);
        function reentryReturned() external view returns (bytes);
    }

    interface Batch {
        function run(address target, bytes[] calldata calls) external;
    }

    interface Hashes {
        function hash2(uint256 a, uint256 b) external pure returns (uint256);
        function hash4(uint256 a, uint256 b, uint256 c, uint256 d) external pure returns (uint256);
        function gasOfPaths() external view returns (uint256 arity2, uint256 arity4);
    }

    interface Tree {
        error LeafNotInField();
        error TreeFull();
        event Inserted(uint256 index, uint256 root);
        function add(uint256 leaf) external;
        function setLeafCount(uint256 count) external;
        function leafCount() external view returns (uint256);
        function isKnownRoot(uint256 root) external view returns (bool);
    }
}
