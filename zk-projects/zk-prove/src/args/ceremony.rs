//! The verbs of a ceremony.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Powers of tau.
#[derive(Debug, Subcommand)]
pub(crate) enum Ptau {
    /// Begin: powers of one, to which nobody has contributed yet
    New {
        /// log2 of the largest number of constraints that it will serve, 1 to 27
        #[arg(value_parser = clap::value_parser!(u32).range(1..=27))]
        power: u32,
        /// The file
        out: PathBuf,
    },
    /// Multiply by secrets of your own, which are wiped
    Contribute {
        /// The powers so far
        from: PathBuf,
        /// The powers with your contribution
        out: PathBuf,
        /// What to call it in the file
        #[arg(long)]
        name: Option<String>,
    },
    /// Contribute a public random value that nobody could know before, as the last contribution
    Beacon {
        /// The powers so far
        from: PathBuf,
        /// The powers with the beacon
        out: PathBuf,
        #[command(flatten)]
        beacon: BeaconValue,
    },
    /// Add what the second phase needs
    Prepare {
        /// The powers
        from: PathBuf,
        /// The prepared powers
        out: PathBuf,
    },
    /// Check every contribution and every number; exit code 1 if something is wrong
    Verify {
        /// The powers
        file: PathBuf,
    },
}

/// The second phase, for one circuit.
#[derive(Debug, Subcommand)]
pub(crate) enum Zkey {
    /// Begin: the key of a circuit, to which nobody has contributed yet
    New {
        /// The circuit's constraints
        r1cs: PathBuf,
        /// Prepared powers of tau
        ptau: PathBuf,
        /// The key
        out: PathBuf,
    },
    /// Multiply by a secret of your own, which is wiped
    Contribute {
        /// The key so far
        from: PathBuf,
        /// The key with your contribution
        out: PathBuf,
        /// What to call it in the file
        #[arg(long)]
        name: Option<String>,
    },
    /// Contribute a public random value that nobody could know before, as the last contribution
    Beacon {
        /// The key so far
        from: PathBuf,
        /// The key with the beacon
        out: PathBuf,
        #[command(flatten)]
        beacon: BeaconValue,
    },
    /// Check a key against its circuit and powers; exit code 1 if something is wrong
    Verify {
        /// The circuit's constraints
        r1cs: PathBuf,
        /// The prepared powers of tau
        ptau: PathBuf,
        /// The key
        zkey: PathBuf,
    },
}

/// A public random value.
#[derive(Debug, Args)]
pub(crate) struct BeaconValue {
    /// The value in hexadecimal, such as the hash of a block that was announced in advance
    pub(crate) value: String,
    /// log2 of how often it is hashed
    #[arg(value_parser = clap::value_parser!(u32).range(10..=40), default_value_t = 10)]
    pub(crate) iterations_log2: u32,
    /// What to call it in the file
    #[arg(long)]
    pub(crate) name: Option<String>,
}
