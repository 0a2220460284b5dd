// Compiles withdraw.circom with the compiler that npm installed in zk-projects, and notes the hash of the sources beside the output.
// Run it here: node build.mjs

import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const modules = process.env.KEYPROOF_NODE_MODULES ?? join('..', '..', 'node_modules');
const sources = ['constants.circom', 'poseidon.circom', 'withdraw.circom'];

const compiled = spawnSync(
  process.execPath,
  [join(modules, 'circom2', 'cli.js'), 'withdraw.circom', '--r1cs', '--wasm', '--O2', '-o', '.'],
  { stdio: 'inherit' },
);
if (compiled.status !== 0) {
  process.exit(1);
}
renameSync(join('withdraw_js', 'withdraw.wasm'), 'withdraw.wasm');
rmSync('withdraw_js', { recursive: true });

const hash = createHash('sha256');
for (const source of sources) {
  hash.update(readFileSync(source));
}
writeFileSync('sources.sha256', hash.digest('hex') + '\n');
