// Times snarkjs within one process: prints figures as one line of JSON. Started by `cargo run -p xtask -- bench zk`.
//
//   node snarkjs.cjs SNARKJS prove ZKEY WTNS VKEY PROOF PUBLIC REPEATS     writes the last proof
//   node snarkjs.cjs SNARKJS witness WASM INPUT WTNS REPEATS               writes the last witness
//
// Files are read into memory before, and the first of REPEATS + 1 rounds does not count.

const fs = require('node:fs');

const [folder, verb, ...files] = process.argv.slice(2);
const snarkjs = require(folder);
const repeats = Number(files.pop());

const bytes = (path) => new Uint8Array(fs.readFileSync(path));
const json = (path) => JSON.parse(fs.readFileSync(path, 'utf8'));

// Median of the seconds that `work` takes.
async function median(work) {
  await work();
  const seconds = [];
  for (let round = 0; round < repeats; round++) {
    const began = process.hrtime.bigint();
    await work();
    seconds.push(Number(process.hrtime.bigint() - began) / 1e9);
  }
  seconds.sort((a, b) => a - b);
  const half = seconds.length >> 1;
  return seconds.length % 2 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
}

async function prove([zkey, wtns, vkey, proofFile, publicFile]) {
  const [key, witness] = [bytes(zkey), bytes(wtns)];
  let made;
  const prove_s = await median(async () => {
    made = await snarkjs.groth16.prove(key, witness);
  });
  const verifying = json(vkey);
  const verify_s = await median(async () => {
    if (!(await snarkjs.groth16.verify(verifying, made.publicSignals, made.proof))) {
      throw new Error('snarkjs refuses its own proof');
    }
  });
  fs.writeFileSync(proofFile, JSON.stringify(made.proof));
  fs.writeFileSync(publicFile, JSON.stringify(made.publicSignals));
  return { prove_s, verify_s };
}

async function witness([wasm, inputFile, wtnsFile]) {
  const [program, input] = [bytes(wasm), json(inputFile)];
  let made;
  const witness_s = await median(async () => {
    made = { type: 'mem' };
    await snarkjs.wtns.calculate(input, program, made);
  });
  fs.writeFileSync(wtnsFile, made.data);
  return { witness_s };
}

const work = { prove, witness }[verb];
work(files).then(
  (figures) => {
    console.log(JSON.stringify(figures));
    // Its workers would keep the process alive.
    process.exit(0);
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
