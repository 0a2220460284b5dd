//! Witnesses of circom's circuits without Node: runs the WebAssembly program that circom 2 writes beside the constraints.
//!
//! What it is: an interpreter (`wasmi`) and circom's calling convention. There is no paper; the convention is that of the JavaScript that
//! circom writes next to the program.
//!
//! It guarantees that all inputs are there, once, with as many values as the circuit declares, before the circuit runs; that a hostile program
//! ends, by a bound on its steps and on its memory, and reaches nothing but them; that what a program logs is not shown, because it
//! may be secret. Its memory is wiped afterwards.
//!
//! It does not check that the witness satisfies the constraints: the prover does, by verifying its own proof. Programs of circom 1 are refused.
//!
//! How it works, for an input `{"a": "3"}`:
//!
//! ```text
//! init(0)
//! getInputSignalSize(hash of "a")         how many values
//! writeSharedRWMemory(j, word j of 3)     for its eight words
//! setInputSignal(hash of "a", 0)          the last input starts the computation
//! getWitness(i), readSharedRWMemory(j)    for each wire, its eight words
//! ```
//!
//! A name is passed as its 64-bit FNV-1a hash, in two halves.

mod input;
mod program;

use std::fmt;

use ark_bn254::Fr;
use ark_ff::{BigInt, PrimeField};
use wasmi::{Engine, Module, TrapCode};
use zeroize::Zeroizing;

pub use self::input::{Inputs, read_inputs};

use self::program::Program;

/// Words of 32 bits of a number.
const WORDS: usize = 8;

/// What a program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory of the program, and of the witness.
    pub memory_bytes: usize,
    /// Steps of the interpreter, about one for each instruction.
    pub steps: u64,
}

impl Default for Limits {
    /// A gigabyte, and 10^11 steps: minutes.
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            steps: 100_000_000_000,
        }
    }
}

/// A witness could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum CircomError {
    /// The file is no program, or not one that circom 2 wrote.
    #[error("not a program of circom 2: {0}")]
    Program(#[source] wasmi::Error),
    /// The program is of another version of circom.
    #[error("the program is of circom {0}, only version 2 is known")]
    Version(i32),
    /// The circuit is over another field.
    #[error("the circuit is over another field than BN254's")]
    Field,
    /// The circuit has no input of this name.
    #[error("{signal}: the circuit has no such input")]
    UnknownSignal {
        /// The name in the input.
        signal: String,
    },
    /// An input has another number of values.
    #[error("{signal}: the circuit takes {expected} values, the input has {found}")]
    Length {
        /// The name in the input.
        signal: String,
        /// Values that the circuit declares.
        expected: usize,
        /// Values in the input.
        found: usize,
    },
    /// Inputs are missing. The program knows only hashes of their names.
    #[error(
        "inputs are missing: the circuit takes {expected} values in all, the input has {found}"
    )]
    Missing {
        /// Values that the circuit declares.
        expected: usize,
        /// Values in the input.
        found: usize,
    },
    /// The circuit refused the input.
    #[error("{exception}{}{message}", if message.is_empty() { "" } else { ": " })]
    Refused {
        /// Why.
        exception: Exception,
        /// Where, as circom says it: template and line.
        message: String,
    },
    /// The program took too many steps.
    #[error("the program did not end within {0} steps")]
    TooLong(u64),
    /// The program would need more memory than it may have.
    #[error("the program needs more than {0} bytes of memory")]
    TooLarge(usize),
    /// The program failed.
    #[error("the program failed: {0}")]
    Failed(#[source] wasmi::Error),
}

/// What a program of circom stops with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exception {
    /// A constraint or an `assert` of the circuit does not hold for this input.
    AssertionFailed,
    /// Another one, by its number.
    Other(i32),
}

impl fmt::Display for Exception {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AssertionFailed => out.write_str("the circuit is not satisfied by this input"),
            Self::Other(code) => write!(out, "the program stopped with exception {code}"),
        }
    }
}

impl std::error::Error for Exception {}

/// A program that computes witnesses.
#[derive(Debug)]
pub struct Calculator {
    module: Module,
    limits: Limits,
}

impl Calculator {
    /// Reads a program, the `.wasm` that circom wrote.
    ///
    /// # Errors
    ///
    /// [`CircomError::Program`].
    pub fn new(wasm: &[u8], limits: Limits) -> Result<Self, CircomError> {
        let mut config = wasmi::Config::default();
        config.consume_fuel(true).allow_start_fn(false);
        let module = Module::new(&Engine::new(&config), wasm).map_err(CircomError::Program)?;
        Ok(Self { module, limits })
    }

    /// Computes all wires, the constant one first.
    ///
    /// # Errors
    ///
    /// [`CircomError`].
    pub fn witness(&self, inputs: &Inputs) -> Result<Zeroizing<Vec<Fr>>, CircomError> {
        let mut program = Program::start(&self.module, self.limits)?;
        let wires = self.run(&mut program, inputs);
        program.wipe();
        wires
    }

    fn run(
        &self,
        program: &mut Program,
        inputs: &Inputs,
    ) -> Result<Zeroizing<Vec<Fr>>, CircomError> {
        match program.call("getVersion", ())? {
            2 => {}
            version => return Err(CircomError::Version(version)),
        }
        let words: i32 = program.call("getFieldNumLen32", ())?;
        program.call::<_, ()>("getRawPrime", ())?;
        if words != WORDS as i32 || program.shared_number()? != Fr::MODULUS {
            return Err(CircomError::Field);
        }
        program.call::<_, ()>("init", (0_i32,))?;
        check_inputs(program, inputs)?;
        for (signal, values) in inputs.iter() {
            let (high, low) = hash(signal);
            for (index, value) in (0_i32..).zip(values) {
                program.set_shared_number(*value)?;
                program.call::<_, ()>("setInputSignal", (high, low, index))?;
            }
        }
        self.wires(program)
    }

    fn wires(&self, program: &mut Program) -> Result<Zeroizing<Vec<Fr>>, CircomError> {
        let count = program
            .call::<_, i32>("getWitnessSize", ())?
            .cast_unsigned();
        let bytes = count as usize * size_of::<Fr>();
        if bytes > self.limits.memory_bytes {
            return Err(CircomError::TooLarge(self.limits.memory_bytes));
        }
        // In full from the start: a vector that grows leaves secrets behind.
        let mut wires = Zeroizing::new(Vec::with_capacity(count as usize));
        for wire in 0..count {
            program.call::<_, ()>("getWitness", (wire.cast_signed(),))?;
            let number = Fr::from_bigint(program.shared_number()?);
            wires.push(number.ok_or(CircomError::Field)?);
        }
        Ok(wires)
    }
}

/// Checks names and numbers of values before anything is set, since the last one starts the computation.
fn check_inputs(program: &mut Program, inputs: &Inputs) -> Result<(), CircomError> {
    let mut found = 0;
    for (signal, values) in inputs.iter() {
        let size: i32 = program.call("getInputSignalSize", hash(signal))?;
        // Zero for a name that is not there, and for an empty array.
        let expected = usize::try_from(size).unwrap_or(0);
        if expected == 0 && !values.is_empty() {
            return Err(CircomError::UnknownSignal {
                signal: signal.to_owned(),
            });
        }
        if values.len() != expected {
            let (signal, found) = (signal.to_owned(), values.len());
            return Err(CircomError::Length {
                signal,
                expected,
                found,
            });
        }
        found += values.len();
    }
    let expected = program.call::<_, i32>("getInputSize", ())?.cast_unsigned() as usize;
    if found == expected {
        Ok(())
    } else {
        Err(CircomError::Missing { expected, found })
    }
}

/// FNV-1a of a name, its upper and its lower half.
fn hash(name: &str) -> (i32, i32) {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    ((hash >> 32) as u32 as i32, hash as u32 as i32)
}

fn failed(error: wasmi::Error, limits: Limits, message: &str) -> CircomError {
    if let Some(exception) = error.downcast_ref::<program::Thrown>() {
        return CircomError::Refused {
            exception: exception.0,
            message: message.trim().to_owned(),
        };
    }
    match error.as_trap_code() {
        Some(TrapCode::OutOfFuel) => CircomError::TooLong(limits.steps),
        _ => CircomError::Failed(error),
    }
}

fn number_of(words: [u32; WORDS]) -> BigInt<4> {
    let limb = |i: usize| u64::from(words[2 * i]) | u64::from(words[2 * i + 1]) << 32;
    BigInt([limb(0), limb(1), limb(2), limb(3)])
}

#[cfg(test)]
mod tests;
