//! How far long work is: a bar on a terminal, nothing in a pipe.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar for work of one name; it goes away when dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar that is drawn on standard error if that is a terminal.
    pub(crate) fn new(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} % {eta}")
            .expect("the template names fields that exist");
        bar.set_style(style);
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// Shows that `done` parts of `total` are done.
    pub(crate) fn show(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
