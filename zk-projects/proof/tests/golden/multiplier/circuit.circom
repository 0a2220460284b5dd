pragma circom 2.2.0;

// The smallest circuit with a public output: c = a * b, a and b private.
template Multiplier() {
    signal input a;
    signal input b;
    signal output c;
    c <== a * b;
}

component main = Multiplier();
