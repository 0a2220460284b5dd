pragma circom 2.2.0;

// Bits of a number below 2^n.
template Bits(n) {
    signal input number;
    signal output bits[n];
    var sum = 0;
    for (var i = 0; i < n; i++) {
        bits[i] <-- (number >> i) & 1;
        bits[i] * (bits[i] - 1) === 0;
        sum += bits[i] * 2 ** i;
    }
    sum === number;
}

// price * amount, with both below 2^8, and a tag that no constraint uses but its own square.
template Ranges() {
    signal input tag;
    signal input price;
    signal input amount;
    signal output total;

    component price_bits = Bits(8);
    price_bits.number <== price;
    component amount_bits = Bits(8);
    amount_bits.number <== amount;
    total <== price * amount;
    signal square <== tag * tag;
}

component main { public [tag] } = Ranges();
