//! `zk-prove` with the feature `tikv`, for the tests of this crate, which cargo builds with them.

use std::process::ExitCode;

fn main() -> ExitCode {
    zk_prove::main()
}
