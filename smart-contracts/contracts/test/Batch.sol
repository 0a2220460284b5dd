// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A contract between a person and another contract, with several calls in one transaction, for tests
contract Batch {
    /// Reverts as the first call that does.
    function run(address target, bytes[] calldata calls) external {
        for (uint256 index = 0; index < calls.length; ++index) {
            (bool success, bytes memory returned) = target.call(calls[index]);
            if (!success) {
                assembly {
                    revert(add(returned, 0x20), mload(returned))
                }
            }
        }
    }
}
