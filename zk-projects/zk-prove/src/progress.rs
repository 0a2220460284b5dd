//! How far long work is: a bar on a terminal, nothing in a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows the steps of long work; goes away when dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar that is drawn on standard error if that is a terminal.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} % {eta}")
            .expect("the template names fields that exist");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Shows that `done` parts of `total` of a step are done.
    pub(crate) fn show(&self, step: &'static str, done: u64, total: u64) {
        self.0.set_message(step);
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
