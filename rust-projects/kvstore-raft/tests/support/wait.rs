//! Waiting for something to happen, with a deadline.

use std::time::{Duration, Instant};

/// Tries until there is a result.
pub(crate) fn within<T>(
    deadline: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(began.elapsed() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}
