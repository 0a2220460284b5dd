//! The verbs of the applications.

use std::path::PathBuf;

use alloy_primitives::Address;
use clap::{Args, Subcommand};
use storage::Location;

/// Where an application's chain and data are.
#[derive(Debug, Clone, Args)]
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

/// The same, of an application whose store may be elsewhere.
#[derive(Debug, Clone, Args)]
pub(crate) struct SharedPlace {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Keep what the application takes from the chain here, and not in --dir: a directory, or a cluster, as in
    /// tikv://127.0.0.1:2379/mine. What there is already is copied, and later runs find it there without this option. Nothing of it is
    /// secret; chain, keys, notes and secrets stay where they are
    #[arg(
        long,
        value_name = "DIR|tikv://HOST:PORT[/NAMESPACE]",
        env = "ZK_PROVE_STORE"
    )]
    pub(crate) store: Option<Location>,
}

/// Deposits into a pool, and withdrawals that show no link to them.
#[derive(Debug, Subcommand)]
pub(crate) enum Mixer {
    /// Deposit one ether of the local chain and keep the note with which it can be withdrawn
    Deposit {
        #[command(flatten)]
        place: SharedPlace,
        /// A new file for the note, readable by you alone
        #[arg(long, value_name = "FILE")]
        note: PathBuf,
    },
    /// Withdraw a deposit to any address, without showing which deposit it was
    Withdraw {
        #[command(flatten)]
        place: SharedPlace,
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

/// Logins that show knowledge of a password and nothing of it.
#[derive(Debug, Subcommand)]
pub(crate) enum Password {
    /// Register a user at the local registry
    Register {
        #[command(flatten)]
        user: User,
        /// A new file with a random key, without which nobody can guess at the password
        #[arg(long, value_name = "FILE", required_unless_present = "no_key")]
        key: Option<PathBuf>,
        /// Do without a key file: whoever reads the chain can then guess at the password
        #[arg(long, conflicts_with = "key")]
        no_key: bool,
    },
    /// Log in for one action
    Login {
        #[command(flatten)]
        user: User,
        /// The key file, unless the user was registered without one
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// What the login is for; the proof counts for nothing else
        #[arg(long, default_value = "log in")]
        action: String,
    },
}

/// Who logs in.
#[derive(Debug, Args)]
pub(crate) struct User {
    #[command(flatten)]
    pub(crate) place: SharedPlace,
    /// The user's name
    #[arg(long)]
    pub(crate) user: String,
    /// A file with the password, readable by you alone; without it there is a prompt
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

/// Members of a list say something, without showing which of them.
#[derive(Debug, Subcommand)]
pub(crate) enum Merkle {
    /// Make a member: a secret in a new file, and the leaf for the list, which is printed
    Member {
        /// A new file for the secret, readable by you alone
        #[arg(long, value_name = "FILE")]
        secret: PathBuf,
    },
    /// Add leaves to the list and tell the contract
    Build {
        #[command(flatten)]
        place: SharedPlace,
        /// One number on each line
        #[arg(long, value_name = "FILE")]
        leaves: PathBuf,
        /// The numbers are values that everybody may know, not members' leaves
        #[arg(long)]
        values: bool,
    },
    /// Prove membership, and ask the contract
    Prove {
        #[command(flatten)]
        place: SharedPlace,
        /// Add these leaves first, as `build` does
        #[arg(long, value_name = "FILE")]
        leaves: Option<PathBuf>,
        /// The member's secret
        #[arg(long, value_name = "FILE", required_unless_present = "value")]
        secret: Option<PathBuf>,
        /// Show that this value is in the list, instead of a member; this hides nothing but its place
        #[arg(long, value_name = "NUMBER", conflicts_with = "secret")]
        value: Option<String>,
        /// About what; a member is heard once for each topic
        #[arg(long, default_value = "")]
        topic: String,
        /// What is said; the proof counts for nothing else
        #[arg(long, default_value = "")]
        message: String,
    },
}

/// Private notes backed by a token.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Mint tokens of the local chain and take them into a wallet, which is made if it is absent
    Mint {
        #[command(flatten)]
        wallet: WalletFile,
        /// How much, in the smallest unit
        amount: u128,
    },
    /// Send to a wallet, or pay out to an account of the chain
    Send {
        #[command(flatten)]
        wallet: WalletFile,
        /// A wallet's address (from `token balance`), or 0x and 40 hexadecimal digits
        #[arg(long, value_name = "ADDRESS")]
        to: String,
        /// How much, in the smallest unit
        amount: u128,
    },
    /// Look at all transfers again, after a damage or when in doubt
    Scan {
        #[command(flatten)]
        wallet: WalletFile,
    },
    /// Show address, balance and history
    Balance {
        #[command(flatten)]
        wallet: WalletFile,
    },
}

/// Whose wallet.
#[derive(Debug, Args)]
pub(crate) struct WalletFile {
    #[command(flatten)]
    pub(crate) place: Place,
    /// File with the wallet's seed, readable by you alone
    #[arg(long, value_name = "FILE")]
    pub(crate) wallet: PathBuf,
}
