//! The program `zk-prove`; all of it is in the library, so that a test can build it together with other features.

use std::process::ExitCode;

fn main() -> ExitCode {
    zk_prove::main()
}
