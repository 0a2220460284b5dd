// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A receiver of ether that refuses, or calls back what it was told, for tests
contract HostileRecipient {
    bool public refuses;
    address public target;
    bytes public data;
    bool public reentrySucceeded;
    bytes public reentryReturned;

    function behave(bool refuses_, address target_, bytes calldata data_) external {
        refuses = refuses_;
        target = target_;
        data = data_;
    }

    receive() external payable {
        if (refuses) revert();
        if (target != address(0)) (reentrySucceeded, reentryReturned) = target.call(data);
    }
}
