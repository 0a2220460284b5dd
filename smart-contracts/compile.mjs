// Compiles contracts/ into a directory: `node compile.mjs DIRECTORY`. `cargo xtask sol` calls it; out/ is what it wrote.
//
// Each contract becomes NAME.json with its interface and code. manifest.json holds the hash of every source (this file included) and
// of every output, so that a test without Node sees when one of them changed.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = process.env.KEYPROOF_NODE_MODULES ?? join(here, "node_modules");
const solc = createRequire(join(modules, "anything.js"))("solc");
const VERSION = "0.8.37";
const SIZE_LIMIT = 24576; // EIP-170

const settings = {
  // Contracts are called more often than deployed; also keeps every constant a PUSH32, which verifiers are patched through.
  optimizer: { enabled: true, runs: 1000000 },
  // The oldest with transient storage.
  evmVersion: "cancun",
  // No hash of sources and paths in the code: it depends on nothing but the program.
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

if (!solc.version().startsWith(`${VERSION}+`)) {
  throw new Error(`solc ${solc.version()} is installed, ${VERSION} is wanted: npm ci`);
}
const out = process.argv[2];
const names = readdirSync(join(here, "contracts"), { recursive: true })
  .map((name) => name.replaceAll("\\", "/"))
  .filter((name) => name.endsWith(".sol"))
  .sort();
const read = (name) => readFileSync(join(here, name), "utf8");
const sources = Object.fromEntries(names.map((name) => [`contracts/${name}`, { content: read(`contracts/${name}`) }]));
const result = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings })));
const complaints = (result.errors ?? []).map((error) => error.formattedMessage);
if (complaints.length > 0) {
  throw new Error(complaints.join("\n"));
}

mkdirSync(out, { recursive: true });
const manifest = { compiler: solc.version(), sources: {}, outputs: {} };
for (const name of ["compile.mjs", ...Object.keys(sources)]) {
  manifest.sources[name] = sha256(read(name));
}
const contracts = Object.values(result.contracts).flatMap(Object.entries);
for (const [name, { abi, evm }] of contracts.sort(([a], [b]) => (a < b ? -1 : 1))) {
  const [creation, runtime] = [evm.bytecode.object, evm.deployedBytecode.object];
  if (creation === "" || abi.length === 0) continue; // an interface, an abstract contract, a library of internal functions
  if (runtime.length / 2 > SIZE_LIMIT) throw new Error(`${name} has ${runtime.length / 2} bytes of code, the limit is ${SIZE_LIMIT}`);
  const text = `${JSON.stringify({ contract: name, abi, creation: `0x${creation}` }, null, 1)}\n`;
  writeFileSync(join(out, `${name}.json`), text);
  manifest.outputs[`${name}.json`] = sha256(text);
}
writeFileSync(join(out, "manifest.json"), `${JSON.stringify(manifest, null, 1)}\n`);
