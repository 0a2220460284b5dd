// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A token that misbehaves as told, for tests
contract HostileToken {
    enum Behaviour {
        Honest,
        ReturnsNothing,
        ReturnsFalse,
        ReturnsJunk,
        KeepsAFee,
        Reenters,
        MovesNothing,
        Reverts,
        GivesABonus
    }

    Behaviour public behaviour;
    /// Called during a transfer under `Reenters`, and what came of it.
    address public target;
    bytes public data;
    bool public reentrySucceeded;
    bytes public reentryReturned;

    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function behave(Behaviour behaviour_, address target_, bytes calldata data_) external {
        behaviour = behaviour_;
        target = target_;
        data = data_;
    }

    function transfer(address to, uint256 amount) external {
        move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        move(from, to, amount);
    }

    /// Ends the call with what the behaviour returns.
    function move(address from, address to, uint256 amount) private {
        Behaviour now_ = behaviour;
        if (now_ == Behaviour.Reverts) revert();
        if (now_ == Behaviour.Reenters) {
            (reentrySucceeded, reentryReturned) = target.call(data);
        }
        if (now_ != Behaviour.ReturnsFalse && now_ != Behaviour.MovesNothing) {
            balanceOf[from] -= amount;
            uint256 given = now_ == Behaviour.KeepsAFee ? amount - 1 : amount;
            balanceOf[to] += now_ == Behaviour.GivesABonus ? given + 1 : given;
        }
        uint256 returned = now_ == Behaviour.ReturnsFalse ? 0 : now_ == Behaviour.ReturnsJunk ? 2 : 1;
        bool nothing = now_ == Behaviour.ReturnsNothing;
        assembly {
            if nothing { return(0, 0) }
            mstore(0, returned)
            return(0, 0x20)
        }
    }
}
