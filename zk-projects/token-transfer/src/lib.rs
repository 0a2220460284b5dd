//! Private transfers of a shielded ERC-20 token.
//!
//! # What it is
//!
//! Tokens enter a contract, move inside it between owners whom nobody else can tell, in amounts that nobody else can see, and leave it
//! again. All three are one statement: two notes are spent, two are made, and a public amount comes in or goes out ([`statement`],
//! [`circuit`]). [`note`] is what is encrypted to a recipient; [`wallet`] finds its own notes among the contract's events and prepares
//! transfers.
//!
//! # What it guarantees
//!
//! See [`statement`], which also says who could attack and how that is prevented.
//!
//! # What it does not
//!
//! Amounts that enter and leave are public, and so are the account that sends the transaction and its time. Who holds a view key can
//! read the notes that were sent to it, and not spend them.

pub mod circuit;
pub mod keys;
pub mod note;
pub mod statement;
pub mod wallet;

pub use keys::{Address, Keys};
pub use note::Note;
pub use statement::{Call, Input, Output, Private, Public, Transfer};
pub use wallet::{Event, Order, Prepared, Wallet, WalletError};
/// Why a text is no note, address or key.
pub use zk_store::TextError;
