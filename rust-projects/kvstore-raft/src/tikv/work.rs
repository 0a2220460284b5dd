//! How a request's work runs: to its end, and so that others go on meanwhile.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use super::store::Failure;

/// Runs to its end even if nobody waits for it.
pub(super) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::Broken(error.to_string())),
    }
}

/// Work that may look at any number of keys: others go on meanwhile, above all those who tell the peers that this node lives.
pub(super) fn at_length<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        // Nobody else is there: a test.
        _ => work(),
    }
}

/// As [`at_length`] where there is much to do; to hand over the thread takes longer than a look at a few keys.
pub(super) fn at_length_if<T>(is_long: bool, work: impl FnOnce() -> T) -> T {
    match is_long {
        true => at_length(work),
        false => work(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn others_go_on_beside_long_work_on_the_only_thread() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build();
        let (sender, receiver) = mpsc::channel();
        let work = async move {
            tokio::spawn(async move { sender.send("it went on") });
            at_length(|| receiver.recv_timeout(Duration::from_secs(30)))
        };
        let runtime = runtime.unwrap();
        let told = runtime.block_on(runtime.spawn(work)).unwrap();
        assert_eq!(told, Ok("it went on"));
    }
}
