//! Programs measured as processes: how long they ran, and the most memory they had.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::bench::error::{Error, Result, doing};

/// What a program took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) seconds: f64,
    /// Most memory that was resident at a time.
    pub(super) peak_bytes: f64,
}

/// Runs a program until it ends, with what it prints going to the file `output`; its errors go beside it.
///
/// The memory of this process must be small: the kernel counts it as the other's until that has loaded its own program.
pub(super) fn run(command: &mut Command, output: &Path) -> Result<Taken> {
    let program = command.get_program().to_string_lossy().into_owned();
    let create =
        |path: &Path| File::create(path).map_err(doing("create a file for what a program prints"));
    let errors = output.with_extension("errors");
    let began = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(create(output)?)
        .stderr(create(&errors)?)
        .spawn()
        .map_err(doing(format!("run {program}")))?;
    let (status, peak_bytes) = wait(child.id()).map_err(doing(format!("wait for {program}")))?;
    let seconds = began.elapsed().as_secs_f64();
    if status != 0 {
        let said = std::fs::read_to_string(errors).unwrap_or_default();
        return Err(Error::Program {
            program,
            reason: format!("it failed: {}", said.trim()),
        });
    }
    Ok(Taken {
        seconds,
        peak_bytes,
    })
}

/// Waits for a child of this process that nobody else waits for. Its wait status, and the most memory it had in bytes, which only the
/// system call tells: neither std nor rustix hands it on.
fn wait(child: u32) -> io::Result<(i32, f64)> {
    let mut status = 0;
    // SAFETY: `rusage` is made of integers, for which zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to values that live until the call returns, and of the types that it writes.
        let waited = unsafe { libc::wait4(child.cast_signed(), &mut status, 0, &mut usage) };
        if waited >= 0 {
            // Linux counts in kibibytes.
            return Ok((status, usage.ru_maxrss as f64 * 1024.0));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_of_a_program_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("output");
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            "sleep 0.05; x=$(head -c 30000000 /dev/zero | tr '\\0' x); echo ${#x}",
        ]);
        let taken = run(&mut shell, &output).unwrap();
        assert_eq!(std::fs::read_to_string(&output).unwrap(), "30000000\n");
        assert!(taken.seconds > 0.05);
        assert!(taken.peak_bytes > 30e6, "{taken:?}");
    }

    #[test]
    fn a_program_that_fails_gives_no_figure_but_what_it_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo no such key >&2; exit 3"]);
        let error = run(&mut shell, &dir.path().join("output")).unwrap_err();
        assert!(error.to_string().contains("no such key"), "{error}");
    }
}
