pragma circom 2.1.0;

include "constants.circom";

// Three constraints.
template FifthPower() {
    signal input x;
    signal output y;

    signal square <== x * x;
    signal fourth <== square * square;
    y <== fourth * x;
}

// The hash of n numbers, as crate gadgets computes it (module poseidon there explains the rounds and the sparse matrices).
// The state is kept as sums of signals; only fifth powers cost constraints.
template Poseidon(n) {
    signal input inputs[n];
    signal output out;

    var t = n + 1;
    var partial_rounds = poseidon_partial_rounds(n);
    var full[8 * t] = poseidon_full(n);
    var partial[partial_rounds] = poseidon_partial(n);
    var matrix[t * t] = poseidon_matrix(n);
    var before_partial[t * t] = poseidon_before_partial(n);
    var sparse[partial_rounds * (2 * t - 1)] = poseidon_sparse(n);

    component powers[8][t];
    component first[partial_rounds];
    var state[t];
    var mixed[t];

    state[0] = 0;
    for (var i = 0; i < n; i++) {
        state[i + 1] = inputs[i];
    }

    for (var round = 0; round < 4; round++) {
        for (var i = 0; i < t; i++) {
            powers[round][i] = FifthPower();
            powers[round][i].x <== state[i] + full[round * t + i];
        }
        for (var i = 0; i < t; i++) {
            mixed[i] = 0;
            for (var j = 0; j < t; j++) {
                if (round == 3) {
                    mixed[i] += before_partial[i * t + j] * powers[round][j].y;
                } else {
                    mixed[i] += matrix[i * t + j] * powers[round][j].y;
                }
            }
        }
        for (var i = 0; i < t; i++) {
            state[i] = mixed[i];
        }
    }

    for (var round = 0; round < partial_rounds; round++) {
        first[round] = FifthPower();
        first[round].x <== state[0] + partial[round];
        var at = round * (2 * t - 1);
        state[0] = sparse[at] * first[round].y;
        for (var i = 1; i < t; i++) {
            state[0] += sparse[at + i] * state[i];
            state[i] += sparse[at + n + i] * first[round].y;
        }
    }

    for (var round = 4; round < 8; round++) {
        for (var i = 0; i < t; i++) {
            powers[round][i] = FifthPower();
            powers[round][i].x <== state[i] + full[round * t + i];
        }
        for (var i = 0; i < t; i++) {
            mixed[i] = 0;
            for (var j = 0; j < t; j++) {
                mixed[i] += matrix[i * t + j] * powers[round][j].y;
            }
        }
        for (var i = 0; i < t; i++) {
            state[i] = mixed[i];
        }
    }
    out <== state[0];
}
