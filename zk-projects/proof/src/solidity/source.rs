//! The template: Solidity text around a key's words.

use std::fmt::Write as _;

use ark_bn254::{Fq, Fr};
use ark_ff::{BigInteger, Field, PrimeField};

use super::{ExportError, FIXED_WORDS, MOST_NAMED, Word};

/// Names of the words before those of the inputs.
const FIXED: [&str; FIXED_WORDS - 2] = [
    "ALPHA_X", "ALPHA_Y", "BETA_X1", "BETA_X0", "BETA_Y1", "BETA_Y0", "GAMMA_X1", "GAMMA_X0",
    "GAMMA_Y1", "GAMMA_Y0", "DELTA_X1", "DELTA_X0", "DELTA_Y1", "DELTA_Y0",
];

/// Words that a public input may not be called by, being Solidity's, Yul's or the template's.
const RESERVED: &str = "\
abstract add addmod address after alias and anonymous apply as assembly at auto balance basefee blobhash block bool break byte bytes call \
callcode calldata calldatacopy calldataload calldatasize caller callvalue case catch chainid coinbase constant constructor continue \
contract create create2 default define delegatecall delete div do else emit enum eq error event exp external extcodecopy extcodehash \
extcodesize fallback false final fixed for from function gas gaslimit gasprice global gt hex if immutable implements import in \
indexed inline interface internal invalid is iszero keccak256 keyHash layout leave length let library lt macro mapping match mcopy memory mload mod modifier \
msize mstore mstore8 mul mulmod mutable new not null number of ok or origin override partial payable pop pragma prevrandao private \
promise proof public pure receive reference relocatable require return returndatacopy returndatasize returns revert sar sdiv sealed \
selfbalance selfdestruct setup sgt shl shr signextend sizeof sload slt smod sstore static staticcall stop storage string struct sub super \
supports switch this throw timestamp tload transient true try tstore tx type typedef typeof unchecked using var verify view virtual while xor \
int uint ether wei gwei seconds minutes hours days weeks years abi msg log0 log1 log2 log3 log4";

/// The source of a contract for a key's words.
pub(super) fn render(
    words: &[Word],
    contract: &str,
    inputs: &[&str],
) -> Result<String, ExportError> {
    let names = inputs
        .iter()
        .map(|name| identifier(name))
        .collect::<Result<Vec<String>, _>>()?;
    if let Some(index) = (1..names.len()).find(|index| names[..*index].contains(&names[*index])) {
        return Err(ExportError::Name(names[index].clone()));
    }
    let (setup, key) = words.split_last().expect("the setup's name is a word");
    let constants = FIXED.iter().map(|name| (*name).to_owned());
    let points = (0..=names.len()).flat_map(|i| [format!("IC{i}_X"), format!("IC{i}_Y")]);
    let constants: Vec<String> = constants.chain(points).collect();
    let declared = constants
        .iter()
        .zip(key)
        .fold(String::new(), |mut text, (name, word)| {
            writeln!(text, "    uint256 private constant {name} = {};", hex(word))
                .expect("a string takes text");
            text
        });
    Ok(TEMPLATE
        .replace("{contract}", &contract_name(contract)?)
        .replace("{last}", &hex(&bytes((-Fr::ONE).into_bigint())))
        .replace("{q}", &hex(&bytes(Fq::MODULUS)))
        .replace("{setup}", &hex(setup))
        .replace("{constants}", &declared)
        .replace("{documented}", &documented(&names))
        .replace("{parameters}", &parameters(&names))
        .replace("{checks}", &checks(&values(&names)))
        .replace("{sum}", &sum(&values(&names)))
        .replace("{stored}", &stored(&constants))
        .replace("{key_bytes}", &format!("{:#x}", 32 * constants.len())))
}

fn parameters(names: &[String]) -> String {
    match names.len() {
        count if count > MOST_NAMED => format!(", uint256[{count}] calldata inputs"),
        _ => names
            .iter()
            .map(|name| format!(", uint256 {name}"))
            .collect(),
    }
}

fn documented(names: &[String]) -> String {
    match names.len() {
        count if count > MOST_NAMED => format!("    /// @param inputs {}.\n", names.join(", ")),
        _ => String::new(),
    }
}

/// How assembly reads each input.
fn values(names: &[String]) -> Vec<String> {
    let element = |index: usize| format!("calldataload(add(inputs, {:#x}))", 32 * index);
    match names.len() {
        count if count > MOST_NAMED => (0..count).map(element).collect(),
        _ => names.to_vec(),
    }
}

/// All inputs are compared at once; only if one is too large it is looked for.
fn checks(values: &[String]) -> String {
    let mut all = values.iter().map(|value| format!("gt({value}, LAST)"));
    let Some(first) = all.next() else {
        return String::new();
    };
    let any = all.fold(first, |any, next| format!("or({any}, {next})"));
    let mut text = format!("            if {any} {{\n                mstore(0, NOT_IN_FIELD)\n");
    for (index, value) in values.iter().enumerate().rev() {
        writeln!(
            text,
            "                if gt({value}, LAST) {{ mstore(4, {index}) }}"
        )
        .expect("a string takes text");
    }
    text.push_str("                revert(0, 0x24)\n            }\n");
    text
}

fn sum(values: &[String]) -> String {
    values
        .iter()
        .enumerate()
        .fold(String::new(), |mut text, (index, value)| {
            let point = index + 1;
            write!(
                text,
                "            mstore(0x1c0, IC{point}_X)
            mstore(0x1e0, IC{point}_Y)
            mstore(0x200, {value})
            ok := and(ok, staticcall(gas(), 7, 0x1c0, 0x60, 0x1c0, 0x40))
            ok := and(ok, staticcall(gas(), 6, 0x180, 0x80, 0x180, 0x40))
"
            )
            .expect("a string takes text");
            text
        })
}

fn stored(constants: &[String]) -> String {
    constants
        .iter()
        .enumerate()
        .fold(String::new(), |mut text, (index, name)| {
            writeln!(text, "            mstore({:#x}, {name})", 32 * index)
                .expect("a string takes text");
            text
        })
}

fn hex(word: &Word) -> String {
    word.iter().fold("0x".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes text");
        text
    })
}

fn bytes(number: ark_ff::BigInt<4>) -> Word {
    number.to_bytes_be().try_into().expect("four limbs")
}

/// A name in camel case, if Solidity takes it.
fn identifier(name: &str) -> Result<String, ExportError> {
    let mut camel = String::new();
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '_' => upper = !camel.is_empty(),
            letter if upper => {
                camel.push(letter.to_ascii_uppercase());
                upper = false;
            }
            letter => camel.push(letter),
        }
    }
    let begins = camel.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let typed = ["uint", "int", "bytes", "ufixed", "fixed"]
        .iter()
        .any(|prefix| {
            camel
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == 'x'))
        });
    let taken = typed || RESERVED.split(' ').any(|word| word == camel);
    if !begins
        || taken
        || !camel.chars().all(|letter| letter.is_ascii_alphanumeric())
        || is_constant(&camel)
    {
        return Err(ExportError::Name(name.to_owned()));
    }
    Ok(camel)
}

/// The template's own names are upper case throughout.
fn is_constant(name: &str) -> bool {
    !name.chars().any(|letter| letter.is_ascii_lowercase())
}

fn contract_name(name: &str) -> Result<String, ExportError> {
    let begins = name.starts_with(|letter: char| letter.is_ascii_uppercase());
    if !begins || !name.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return Err(ExportError::Name(name.to_owned()));
    }
    Ok(name.to_owned())
}

const TEMPLATE: &str = "\
// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// @title Verifier of Groth16 proofs over BN254 for one key
/// @notice `verify` returns if the proof is valid for the public inputs and reverts otherwise. `setup` says where the key comes from:
///         whoever made it alone could forge proofs.
/// @dev Checks e(-A, B) e(alpha, beta) e(IC0 + sum of input_i IC_i, gamma) e(C, delta) = 1. The precompiles of EIP-196 and EIP-197
///      refuse coordinates that are not below q and points that are not on the curve or, in G2, not in the subgroup.
///      A proof is no identifier: from one valid proof anyone can make others for the same inputs.
contract {contract} {
    /// A public input is not below the order r of the group.
    error InputNotInField(uint256 index);
    /// A precompile refused: a point of the proof is not on the curve, or gas ran out.
    error PrecompileFailed();
    /// The points are well-formed, and the proof is not valid for the inputs.
    error ProofRejected();

    /// r - 1.
    uint256 private constant LAST = {last};
    /// The modulus of the coordinates.
    uint256 private constant Q = {q};
    /// Selectors of the errors, as words.
    uint256 private constant NOT_IN_FIELD = 0x98664c3700000000000000000000000000000000000000000000000000000000;
    uint256 private constant FAILED = 0x84e8169200000000000000000000000000000000000000000000000000000000;
    uint256 private constant REJECTED = 0xc3b0d8cd00000000000000000000000000000000000000000000000000000000;
    bytes32 private constant SETUP = {setup};

    // The key. X1 and Y1 are the imaginary parts, which EIP-197 wants first.
{constants}
    /// @param proof A (x, y), B (x imaginary, x real, y imaginary, y real), C (x, y).
{documented}    function verify(uint256[8] calldata proof{parameters}) external view {
        // Nothing returns from here to Solidity, so that memory is used from 0:
        // 0x000 -A, 0x040 B; 0x0c0 alpha, 0x100 beta; 0x180 sum, 0x1c0 gamma; 0x240 C, 0x280 delta.
        assembly {
{checks}            let ok := 1
            mstore(0x180, IC0_X)
            mstore(0x1a0, IC0_Y)
{sum}            calldatacopy(0, proof, 0xc0)
            // If y is not below q then neither is this, modulo 2^256: the precompile refuses.
            mstore(0x20, sub(Q, mload(0x20)))
            mstore(0x0c0, ALPHA_X)
            mstore(0x0e0, ALPHA_Y)
            mstore(0x100, BETA_X1)
            mstore(0x120, BETA_X0)
            mstore(0x140, BETA_Y1)
            mstore(0x160, BETA_Y0)
            mstore(0x1c0, GAMMA_X1)
            mstore(0x1e0, GAMMA_X0)
            mstore(0x200, GAMMA_Y1)
            mstore(0x220, GAMMA_Y0)
            calldatacopy(0x240, add(proof, 0xc0), 0x40)
            mstore(0x280, DELTA_X1)
            mstore(0x2a0, DELTA_X0)
            mstore(0x2c0, DELTA_Y1)
            mstore(0x2e0, DELTA_Y0)
            ok := and(ok, staticcall(gas(), 8, 0, 0x300, 0, 0x20))
            // An account without code would have returned nothing.
            if iszero(and(ok, eq(returndatasize(), 0x20))) {
                mstore(0, FAILED)
                revert(0, 4)
            }
            if iszero(eq(mload(0), 1)) {
                mstore(0, REJECTED)
                revert(0, 4)
            }
            return(0, 0)
        }
    }

    /// Keccak-256 over the key: alpha, beta, gamma, delta, IC0, and so on.
    function keyHash() external pure returns (bytes32) {
        assembly {
{stored}            mstore(0, keccak256(0, {key_bytes}))
            return(0, 0x20)
        }
    }

    /// Where the key comes from, as text.
    function setup() external pure returns (bytes32) {
        return SETUP;
    }
}
";
