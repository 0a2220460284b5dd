//! Makes what was decided durable, and says when it is.
//!
//! Under [`SyncPolicy::Always`] a thread of its own commits: while it waits for the disk, connections go on deciding,
//! and its next commit covers everything decided meanwhile (group commit). Under the other policies a commit only hands
//! bytes to the operating system, which is cheaper than waking a thread: the connection that needs it does it.
//!
//! A failed commit is final. What was waiting for it is answered with [`OutcomeUnknown`], and nobody tries again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};

use storage::{Durability, Seq, SyncPolicy};
use tokio::sync::watch;

/// The commit that would have made a reply safe failed: after a restart what it speaks of may be there or not.
#[derive(Debug, Clone, thiserror::Error)]
#[error("UNKNOWN outcome: {cause}")]
pub(crate) struct OutcomeUnknown {
    cause: String,
}

/// How far durability has got.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    acknowledged: Seq,
    failed: bool,
}

/// Shared by connections, which ask and wait, and the thread, which commits.
pub(crate) struct Committer {
    engine: Arc<dyn Durability>,
    progress: watch::Sender<Progress>,
    failed: AtomicBool,
    requested: AtomicBool,
    stopping: AtomicBool,
    /// The thread to wake, under [`SyncPolicy::Always`].
    thread: Option<Thread>,
}

impl Committer {
    /// Starts committing for `engine`. The handle must be given to [`Committer::stop`].
    ///
    /// # Errors
    /// The operating system grants no thread.
    pub(crate) fn start(
        engine: Arc<dyn Durability>,
    ) -> std::io::Result<(Arc<Self>, Option<JoinHandle<()>>)> {
        let mut committer = Self {
            progress: watch::Sender::default(),
            failed: AtomicBool::new(false),
            requested: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            thread: None,
            engine,
        };
        if committer.engine.sync_policy() != SyncPolicy::Always {
            return Ok((Arc::new(committer), None));
        }
        // The thread needs the committer and the committer the thread: the first comes over a channel.
        let (sender, receiver) = std::sync::mpsc::channel::<Arc<Self>>();
        let handle = thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || {
                if let Ok(committer) = receiver.recv() {
                    committer.commit_on_request();
                }
            })?;
        committer.thread = Some(handle.thread().clone());
        let committer = Arc::new(committer);
        // The receiver lives until it has received.
        let _ = sender.send(Arc::clone(&committer));
        Ok((committer, Some(handle)))
    }

    /// Ends the thread after the commit it is in.
    pub(crate) fn stop(&self, handle: Option<JoinHandle<()>>) {
        self.stopping.store(true, Ordering::Release);
        if let Some(handle) = handle {
            handle.thread().unpark();
            // A panic of the thread was reported when it happened.
            let _ = handle.join();
        }
    }

    /// Whether a commit has failed, after which the engine takes no writes.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Waits until everything up to `position` is as durable as the policy promises.
    ///
    /// # Errors
    /// [`OutcomeUnknown`] when that will never be known.
    pub(crate) async fn wait(&self, position: Seq) -> Result<(), OutcomeUnknown> {
        if self.engine.acknowledged() >= position {
            return Ok(());
        }
        // Connections that have requests at hand decide theirs first, so that one commit covers them all.
        tokio::task::yield_now().await;
        if self.engine.acknowledged() >= position {
            return Ok(());
        }
        if self.thread.is_none() {
            return self.commit();
        }
        self.request();
        let mut progress = self.progress.subscribe();
        let reached = progress
            .wait_for(|progress| progress.acknowledged >= position || progress.failed)
            .await
            .is_ok_and(|progress| progress.acknowledged >= position);
        if reached { Ok(()) } else { Err(self.unknown()) }
    }

    /// Sees to it that what is applied becomes durable, without waiting for it.
    pub(crate) fn nudge(&self) {
        if self.engine.acknowledged() >= self.engine.applied() {
            return;
        }
        if self.thread.is_some() {
            self.request();
        } else {
            // The failure is remembered, and logged where it was found.
            let _ = self.commit();
        }
    }

    /// Forces everything applied to the disk, whatever the policy.
    pub(crate) fn sync(&self) -> Result<(), OutcomeUnknown> {
        self.engine
            .sync()
            .map(|_| ())
            .map_err(|error| self.fail(&error))
    }

    fn request(&self) {
        if !self.requested.swap(true, Ordering::AcqRel)
            && let Some(thread) = &self.thread
        {
            thread.unpark();
        }
    }

    fn commit_on_request(&self) {
        loop {
            while !self.requested.swap(false, Ordering::AcqRel) {
                if self.stopping.load(Ordering::Acquire) {
                    return;
                }
                thread::park();
            }
            // The next request finds the engine poisoned and fails at once.
            let _ = self.commit();
        }
    }

    fn commit(&self) -> Result<(), OutcomeUnknown> {
        match self.engine.commit() {
            Ok(acknowledged) => {
                if self.thread.is_some() {
                    self.progress.send_modify(|progress| {
                        progress.acknowledged = acknowledged.max(progress.acknowledged);
                    });
                }
                Ok(())
            }
            Err(error) => Err(self.fail(&error)),
        }
    }

    fn fail(&self, error: &storage::Error) -> OutcomeUnknown {
        if !self.failed.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "commit failed: no more writes until a restart, reads go on");
        }
        self.progress.send_modify(|progress| progress.failed = true);
        self.unknown()
    }

    fn unknown(&self) -> OutcomeUnknown {
        let cause = self
            .engine
            .poisoned()
            .unwrap_or_else(|| "the server is stopping".to_owned());
        OutcomeUnknown {
            cause: cause.replace(['\r', '\n'], " "),
        }
    }
}
