//! The statements by name, with their types forgotten.

use std::marker::PhantomData;

use ark_bn254::Fr;
use proof::r1cs::R1cs;
use proof::statement::{PublicInput, Statement};

use crate::failure::Failure;

/// A statement that can be proved.
pub(crate) trait App: Sync {
    fn name(&self) -> &'static str;
    fn about(&self) -> &'static str;
    fn public_inputs(&self) -> &'static [PublicInput];
}
