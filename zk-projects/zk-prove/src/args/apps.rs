//! The verbs of the applications.

use std::path::PathBuf;

use alloy_primitives::Address;
use clap::{Args, Subcommand};

/// Where an application's chain and data are.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Directory with the local EVM, the keys and what the applications keep; made if it is absent
    #[arg(
        long,
        value_name = "DIR",
        default_value = "zk-world",
        env = "ZK_PROVE_DIR"
    )]
    pub(crate) dir: PathBuf,
}

/// Deposits into a pool, and withdrawals that show no link to them.
#[derive(Debug, Subcommand)]
pub(crate) enum Mixer {
    /// Deposit one ether of the local chain and keep the note with which it can be withdrawn
    Deposit {
        #[command(flatten)]
        place: Place,
        /// A new file for the note, readable by you alone
        #[arg(long, value_name = "FILE")]
        note: PathBuf,
    },
    /// Withdraw a deposit to any address, without showing which deposit it was
    Withdraw {
        #[command(flatten)]
        place: Place,
        /// The note
        #[arg(long, value_name = "FILE")]
        note: PathBuf,
        /// Who is paid
        #[arg(long, value_name = "ADDRESS")]
        to: Address,
        /// Who sends the transaction, so that the recipient needs no ether beforehand
        #[arg(long, value_name = "ADDRESS", requires = "fee")]
        relayer: Option<Address>,
        /// What the relayer keeps, in wei
        #[arg(long, value_name = "WEI", requires = "relayer")]
        fee: Option<u128>,
    },
}
