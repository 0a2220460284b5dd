// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// @title Verifier of Groth16 proofs over BN254 for one key
/// @notice `verify` returns if the proof is valid for the public inputs and reverts otherwise. `setup` says where the key comes from:
///         whoever made it alone could forge proofs.
/// @dev Checks e(-A, B) e(alpha, beta) e(IC0 + sum of input_i IC_i, gamma) e(C, delta) = 1. The precompiles of EIP-196 and EIP-197
///      refuse coordinates that are not below q and points that are not on the curve or, in G2, not in the subgroup.
///      A proof is no identifier: from one valid proof anyone can make others for the same inputs.
contract Verifier3 {
    /// A public input is not below the order r of the group.
    error InputNotInField(uint256 index);
    /// A precompile refused: a point of the proof is not on the curve, or gas ran out.
    error PrecompileFailed();
    /// The points are well-formed, and the proof is not valid for the inputs.
    error ProofRejected();

    /// r - 1.
    uint256 private constant LAST = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000000;
    /// The modulus of the coordinates.
    uint256 private constant Q = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;
    /// Selectors of the errors, as words.
    uint256 private constant NOT_IN_FIELD = 0x98664c3700000000000000000000000000000000000000000000000000000000;
    uint256 private constant FAILED = 0x84e8169200000000000000000000000000000000000000000000000000000000;
    uint256 private constant REJECTED = 0xc3b0d8cd00000000000000000000000000000000000000000000000000000000;
    bytes32 private constant SETUP = 0x71c67529767ff92191863bb7ee94de70aa71d3a452b12f01bf68aff249f27008;

    // The key. X1 and Y1 are the imaginary parts, which EIP-197 wants first.
    uint256 private constant ALPHA_X = 0xc185d13a7d253e6e201da9026c6c358d1c3bd76f1c32666ca241af5d0a0a13e8;
    uint256 private constant ALPHA_Y = 0x3fa20d2e762e5d7dae36dcd88f827b6ee7fc3a7ca010b7fb51f9483a42dccb97;
    uint256 private constant BETA_X1 = 0x1489a0ea407670d11004255806e4eb022d4e079c65911647081512eee1069cd8;
    uint256 private constant BETA_X0 = 0x0964fec8733fafa6563182a0cd43dbe731833a31b1758d068d94c047638add66;
    uint256 private constant BETA_Y1 = 0x1ff52a7f9886ee7868c3f341c64d19b3514f422adbc57e47678bc2eedd949c4a;
    uint256 private constant BETA_Y0 = 0x68ec19c540854329008b7fd21f8303d907fb438ef565a35557774d94d4670e9a;
    uint256 private constant GAMMA_X1 = 0xca5a8c2ff247f6e9a9cc5646fb0efd26de574b7027ff200df913fbd26c297a9d;
    uint256 private constant GAMMA_X0 = 0x39a7c3f898d28fc995c868ae83edd8b0573934dd2f1f1deffede1c38716145b8;
    uint256 private constant GAMMA_Y1 = 0xf1159c46ebf49a924914959c3645b5b2a082764bb18b6e115db434d15b2e73ba;
    uint256 private constant GAMMA_Y0 = 0x917dc7c2bd9f45f5d9bc767e988c82e326edfacb7f0ae69891be18ffd2326479;
    uint256 private constant DELTA_X1 = 0x5a730277ba71b9460f1a5066415ac4fca671744a1b33f27fb7d8b48bbbe8e6cf;
    uint256 private constant DELTA_X0 = 0x626787a0cf474824fd7feb79403c2832fac637f6ac4db1c3ec1091f81dffd308;
    uint256 private constant DELTA_Y1 = 0x5e04e721bb25e0f0d7128618e8232ea0c838d5f8a40a70e6bf146f50c606c916;
    uint256 private constant DELTA_Y0 = 0x77c16c74d1c237e7637757193c52899c6372f86c46e28292b77e55f28d17fb27;
    uint256 private constant IC0_X = 0x9b11fa08ce05a693ad466245fe373a951d4f4dadc750a96923cf693f765502db;
    uint256 private constant IC0_Y = 0xfc42d23a69321867eac565e77a79350e52efe9ce2b1643b8153c038382ad8538;
    uint256 private constant IC1_X = 0xeff6976fcf9ce72e92cef779ea5d368974656534431d872e3c188b9edc6b2df8;
    uint256 private constant IC1_Y = 0x6f4c81720417011e5d072f78e2a5d3523adeda7deb63f33f733a1a38eb65d759;
    uint256 private constant IC2_X = 0xd208e423b1de511e31622c49001289acc43030c2a78b4cbda01d3620190ed2eb;
    uint256 private constant IC2_Y = 0x4f5f82e51cfd1f5e243e930ef34e658714e18ea35c0caf99c6c751b2199000b4;
    uint256 private constant IC3_X = 0xa878dac3393fcaf590b2045f5e601d446a7cc12cfa5f72ea43475d8a6ed01f98;
    uint256 private constant IC3_Y = 0x777b07829a92c4c04f76b717d27758fec27d0aa536f5093585080fa85602d92b;

    /// @param proof A (x, y), B (x imaginary, x real, y imaginary, y real), C (x, y).
    function verify(uint256[8] calldata proof, uint256 input0, uint256 input1, uint256 input2) external view {
        // Nothing returns from here to Solidity, so that memory is used from 0:
        // 0x000 -A, 0x040 B; 0x0c0 alpha, 0x100 beta; 0x180 sum, 0x1c0 gamma; 0x240 C, 0x280 delta.
        assembly {
            if or(or(gt(input0, LAST), gt(input1, LAST)), gt(input2, LAST)) {
                mstore(0, NOT_IN_FIELD)
                if gt(input2, LAST) { mstore(4, 2) }
                if gt(input1, LAST) { mstore(4, 1) }
                if gt(input0, LAST) { mstore(4, 0) }
                revert(0, 0x24)
            }
            let ok := 1
            mstore(0x180, IC0_X)
            mstore(0x1a0, IC0_Y)
            mstore(0x1c0, IC1_X)
            mstore(0x1e0, IC1_Y)
            mstore(0x200, input0)
            ok := and(ok, staticcall(gas(), 7, 0x1c0, 0x60, 0x1c0, 0x40))
            ok := and(ok, staticcall(gas(), 6, 0x180, 0x80, 0x180, 0x40))
            mstore(0x1c0, IC2_X)
            mstore(0x1e0, IC2_Y)
            mstore(0x200, input1)
            ok := and(ok, staticcall(gas(), 7, 0x1c0, 0x60, 0x1c0, 0x40))
            ok := and(ok, staticcall(gas(), 6, 0x180, 0x80, 0x180, 0x40))
            mstore(0x1c0, IC3_X)
            mstore(0x1e0, IC3_Y)
            mstore(0x200, input2)
            ok := and(ok, staticcall(gas(), 7, 0x1c0, 0x60, 0x1c0, 0x40))
            ok := and(ok, staticcall(gas(), 6, 0x180, 0x80, 0x180, 0x40))
            calldatacopy(0, proof, 0xc0)
            // If y is not below q then neither is this, modulo 2^256: the precompile refuses.
            mstore(0x20, sub(Q, mload(0x20)))
            mstore(0x0c0, ALPHA_X)
            mstore(0x0e0, ALPHA_Y)
            mstore(0x100, BETA_X1)
            mstore(0x120, BETA_X0)
            mstore(0x140, BETA_Y1)
            mstore(0x160, BETA_Y0)
            mstore(0x1c0, GAMMA_X1)
            mstore(0x1e0, GAMMA_X0)
            mstore(0x200, GAMMA_Y1)
            mstore(0x220, GAMMA_Y0)
            calldatacopy(0x240, add(proof, 0xc0), 0x40)
            mstore(0x280, DELTA_X1)
            mstore(0x2a0, DELTA_X0)
            mstore(0x2c0, DELTA_Y1)
            mstore(0x2e0, DELTA_Y0)
            ok := and(ok, staticcall(gas(), 8, 0, 0x300, 0, 0x20))
            // An account without code would have returned nothing.
            if iszero(and(ok, eq(returndatasize(), 0x20))) {
                mstore(0, FAILED)
                revert(0, 4)
            }
            if iszero(eq(mload(0), 1)) {
                mstore(0, REJECTED)
                revert(0, 4)
            }
            return(0, 0)
        }
    }

    /// Keccak-256 over the key: alpha, beta, gamma, delta, IC0, and so on.
    function keyHash() external pure returns (bytes32) {
        assembly {
            mstore(0x0, ALPHA_X)
            mstore(0x20, ALPHA_Y)
            mstore(0x40, BETA_X1)
            mstore(0x60, BETA_X0)
            mstore(0x80, BETA_Y1)
            mstore(0xa0, BETA_Y0)
            mstore(0xc0, GAMMA_X1)
            mstore(0xe0, GAMMA_X0)
            mstore(0x100, GAMMA_Y1)
            mstore(0x120, GAMMA_Y0)
            mstore(0x140, DELTA_X1)
            mstore(0x160, DELTA_X0)
            mstore(0x180, DELTA_Y1)
            mstore(0x1a0, DELTA_Y0)
            mstore(0x1c0, IC0_X)
            mstore(0x1e0, IC0_Y)
            mstore(0x200, IC1_X)
            mstore(0x220, IC1_Y)
            mstore(0x240, IC2_X)
            mstore(0x260, IC2_Y)
            mstore(0x280, IC3_X)
            mstore(0x2a0, IC3_Y)
            mstore(0, keccak256(0, 0x2c0))
            return(0, 0x20)
        }
    }

    /// Where the key comes from, as text.
    function setup() external pure returns (bytes32) {
        return SETUP;
    }
}
