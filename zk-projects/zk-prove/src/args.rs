//! The command line.

pub(crate) mod apps;
pub(crate) mod ceremony;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  zk-prove demo                                     # every application, from key to contract
  zk-prove list
  zk-prove setup mixer --out keys                   # a demo key, made on this machine alone
  (umask 077; zk-prove sample mixer > input.json)   # holds secrets: others must not read it
  zk-prove prove mixer --keys keys --input input.json --out proof
  zk-prove verify mixer --keys keys --proof proof/proof.json --public proof/public.json
  zk-prove groth16 prove circuit.zkey witness.wtns --out proof   # any Circom circuit
  zk-prove inspect circuit.zkey

Exit codes: 0 done or accepted, 1 failed or refused, 2 wrong command line.
Secrets are read from files that only their owner may open, from prompts, or from the environment, never from arguments.";

/// Proves and verifies statements in zero knowledge (Groth16 over BN254, with snarkjs' files).
#[derive(Debug, Parser)]
#[command(name = "zk-prove", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) action: Action,

    /// Print the result as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show what can be proved: statements, their public inputs, their size
    List,
    /// Print a random input that is valid, as JSON; its secrets are nobody's and must stay so
    Sample {
        /// The statement, as `zk-prove list` names it
        app: String,
    },
    /// Make a directory of keys: on this machine alone, for demos and tests, or of a ceremony's key
    ///
    /// Whoever makes a key alone could forge proofs with what they threw away. `zk-prove ptau` and `zk-prove zkey` make keys
    /// to which many contribute (`zk-prove export r1cs` writes the circuit that they are for); --zkey verifies one and takes it.
    Setup {
        /// The statement, as `zk-prove list` names it
        app: String,
        /// The key of a ceremony, which is verified first
        #[arg(long, value_name = "FILE", requires = "ptau")]
        zkey: Option<PathBuf>,
        /// The prepared powers of tau that the ceremony began with
        #[arg(long, value_name = "FILE", requires = "zkey")]
        ptau: Option<PathBuf>,
        /// Directory for the key, `verification_key.json` and the manifest; must not hold a key yet
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Prove a statement; the proof is verified before it is written
    Prove {
        /// The statement, as `zk-prove list` names it
        app: String,
        /// Directory that `setup` wrote
        #[arg(long, value_name = "DIR")]
        keys: PathBuf,
        /// The input, in the form of `zk-prove sample`; - for standard input
        #[arg(long, value_name = "FILE")]
        input: PathBuf,
        /// Directory for proof.json and public.json
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Verify a proof; exit code 1 if it is refused
    Verify {
        /// The statement, as `zk-prove list` names it
        app: String,
        /// Directory that `setup` wrote
        #[arg(long, value_name = "DIR")]
        keys: PathBuf,
        /// The proof
        #[arg(long, value_name = "FILE")]
        proof: PathBuf,
        /// The public inputs
        #[arg(long, value_name = "FILE")]
        public: PathBuf,
    },
    /// Print a key's contract, a proof as calldata, a statement's constraints, a key's verifying part
    #[command(subcommand)]
    Export(Export),
    /// Look for freedom that a circuit should not leave: wires that are not determined by its inputs
    Audit {
        /// The statement, as `zk-prove list` names it; or use --r1cs
        #[arg(required_unless_present = "r1cs")]
        app: Option<String>,
        /// Constraints of any circuit
        #[arg(long, value_name = "FILE", conflicts_with = "app")]
        r1cs: Option<PathBuf>,
        /// A witness that satisfies them, for the search around it
        #[arg(long, value_name = "FILE", requires = "r1cs")]
        wtns: Option<PathBuf>,
    },
    /// Say what is in a file: .r1cs, .wtns, .zkey, .ptau, proof, public inputs, verification key
    Inspect {
        /// The file
        file: PathBuf,
    },
    /// Powers of tau: the phase of a ceremony that serves every circuit
    #[command(subcommand)]
    Ptau(ceremony::Ptau),
    /// The phase of a ceremony for one circuit
    #[command(subcommand)]
    Zkey(ceremony::Zkey),
    /// Prove and verify with plain files, of any circuit
    #[command(subcommand)]
    Groth16(Groth16),
    /// Show applications from key to contract: key, proof, gas, verdict, in a world that is thrown away
    Demo {
        /// One application, as `zk-prove list` names it; all without it
        app: Option<String>,
    },
    /// The mixer: deposits, and withdrawals that show no link to them
    #[command(subcommand)]
    Mixer(apps::Mixer),
    /// The password verifier: logins that show knowledge of a password and nothing of it
    #[command(subcommand)]
    Password(apps::Password),
    /// Membership: members of a list say something, without showing which of them
    #[command(subcommand)]
    Merkle(apps::Merkle),
    /// The shielded token: notes without visible amounts or owners
    #[command(subcommand)]
    Token(apps::Token),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// Print a verifier contract with a key in it, as Solidity
    Solidity {
        /// A .zkey, or a verification_key.json
        key: PathBuf,
        /// The contract's name
        #[arg(long, default_value = "Verifier")]
        contract: String,
        /// The statement whose public inputs name the arguments; without it they are input0, input1, ...
        #[arg(long)]
        app: Option<String>,
        /// Say in the contract that the key was made by one party; keys of `setup` say so without it
        #[arg(long)]
        demo: bool,
    },
    /// Print the data of a call to a verifier contract
    Calldata {
        /// The proof
        proof: PathBuf,
        /// The public inputs
        public: PathBuf,
    },
    /// Write a statement's constraints
    R1cs {
        /// The statement, as `zk-prove list` names it
        app: String,
        /// The file
        out: PathBuf,
    },
    /// Print the verifying part of a key
    Vkey {
        /// The key
        zkey: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Groth16 {
    /// Compute the witness of a Circom circuit, without Node
    Witness {
        /// The program that circom wrote beside the circuit
        wasm: PathBuf,
        /// The input, in JSON
        input: PathBuf,
        /// A new file for the witness, readable by you alone
        wtns: PathBuf,
    },
    /// Prove with a key and a witness
    Prove {
        /// The key
        zkey: PathBuf,
        /// The witness
        wtns: PathBuf,
        /// Directory for proof.json and public.json
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
    /// Verify a proof; exit code 1 if it is refused
    Verify {
        /// The verification key
        vkey: PathBuf,
        /// The public inputs
        public: PathBuf,
        /// The proof
        proof: PathBuf,
    },
}
