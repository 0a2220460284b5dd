pragma circom 2.1.0;

include "poseidon.circom";

// The statement of ../src/statement.rs, which says who could attack and how each line prevents it.

// The node above `node`, which is child `position` (two bits) of it; `siblings` are the other children in their order.
template Level() {
    signal input node;
    signal input siblings[3];
    signal input bits[2];
    signal output parent;

    // What selects must be a bit, or it would select a sum of children of the prover's choice.
    bits[0] * (bits[0] - 1) === 0;
    bits[1] * (bits[1] - 1) === 0;

    // 1 for the child that the node is.
    signal both <== bits[0] * bits[1];
    var is_first = 1 - bits[0] - bits[1] + both;
    var is_second = bits[0] - both;
    var is_last = both;

    signal children[4];
    children[0] <== siblings[0] + is_first * (node - siblings[0]);
    children[3] <== siblings[2] + is_last * (node - siblings[2]);
    signal from_first <== is_first * (siblings[0] - siblings[1]);
    children[1] <== siblings[1] + from_first + is_second * (node - siblings[1]);
    // The children are the node and its siblings, so what is left is the third.
    children[2] <== node + siblings[0] + siblings[1] + siblings[2] - children[0] - children[1] - children[3];

    parent <== Poseidon(4)(children);
}

template Withdraw(depth) {
    signal input root;
    signal input nullifier_hash;
    signal input context;
    signal input nullifier;
    signal input secret;
    signal input position;
    signal input path[depth][3];

    signal hash_of_nullifier <== Poseidon(1)([nullifier]);
    nullifier_hash === hash_of_nullifier;

    signal bits[2 * depth];
    var sum = 0;
    for (var i = 0; i < 2 * depth; i++) {
        bits[i] <-- (position >> i) & 1;
        sum += bits[i] * 2 ** i;
    }
    // 20 bits: no second number has the same sum. That they are bits is for the levels to say.
    sum === position;

    signal nodes[depth + 1];
    nodes[0] <== Poseidon(2)([nullifier, secret]);
    for (var i = 0; i < depth; i++) {
        nodes[i + 1] <== Level()(nodes[i], path[i], [bits[2 * i], bits[2 * i + 1]]);
    }
    root === nodes[depth];

    // A witness for one context must be none for another, whoever makes the key.
    signal bound <== context * context;
}

component main {public [root, nullifier_hash, context]} = Withdraw(10);
