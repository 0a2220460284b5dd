//! How far long work is: one line on a terminal, nothing in a pipe.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Nothing is shown before, nor more often than, this.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Line {
    verb: &'static str,
    shown: Option<Instant>,
    is_visible: bool,
}

impl Line {
    pub(crate) fn new(verb: &'static str) -> Self {
        Self {
            verb,
            shown: std::io::stderr().is_terminal().then(Instant::now),
            is_visible: false,
        }
    }

    pub(crate) fn show(&mut self, done: u64, total: u64) {
        let percent = done.saturating_mul(100) / total.max(1);
        self.print(|| format!("{percent:3} % of {} MiB", total >> 20));
    }

    /// Of something whose end is not known.
    pub(crate) fn show_bytes(&mut self, done: u64) {
        self.print(|| format!("{} MiB", done >> 20));
    }

    fn print(&mut self, text: impl FnOnce() -> String) {
        let Some(shown) = &mut self.shown else { return };
        if shown.elapsed() < PATIENCE {
            return;
        }
        *shown = Instant::now();
        self.is_visible = true;
        eprint!("\r{} {}", self.verb, text());
        // A terminal that cannot be written to shows no progress.
        let _ = std::io::stderr().flush();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_visible {
            eprint!("\r\x1b[K");
        }
    }
}
