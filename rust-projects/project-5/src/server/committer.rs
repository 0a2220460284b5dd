//! Makes what was decided durable, and says when it is.
//!
//! Under [`SyncPolicy::Always`] a thread of its own commits: while it waits for the disk, connections go on deciding,
//! and its next commit covers everything decided meanwhile (group commit). Under the other policies a commit only hands
//! bytes to the operating system, which is cheaper than waking a thread: the connection that needs it does it.
//!
//! Waking a task from a thread outside the runtime costs a system call. So the thread wakes one task, [`Committer::relay`],
//! and that wakes all who wait, from inside.
//!
//! A failed commit is final. What was waiting for it is answered with [`OutcomeUnknown`], and nobody tries again.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};

use storage::{Durability, Seq, SyncPolicy};
use tokio::sync::Notify;

/// The commit that would have made a reply safe failed: after a restart what it speaks of may be there or not.
#[derive(Debug, Clone, thiserror::Error)]
#[error("UNKNOWN outcome: {cause}")]
pub(crate) struct OutcomeUnknown {
    cause: String,
}

/// Shared by connections, which ask and wait, and the thread, which commits.
pub(crate) struct Committer {
    engine: Arc<dyn Durability>,
    /// Tells the relay that a commit has ended.
    committed: Notify,
    /// Tells those who wait for it.
    progress: Notify,
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
            committed: Notify::new(),
            progress: Notify::new(),
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

    /// Whether everything up to `position` is as durable as the policy promises.
    pub(crate) fn has_acknowledged(&self, position: Seq) -> bool {
        self.engine.acknowledged() >= position
    }

    /// Waits until everything up to `position` is as durable as the policy promises.
    ///
    /// # Errors
    /// [`OutcomeUnknown`] when that will never be known.
    pub(crate) async fn wait(&self, position: Seq) -> Result<(), OutcomeUnknown> {
        if self.has_acknowledged(position) {
            return Ok(());
        }
        if self.thread.is_none() {
            return self.commit();
        }
        self.request();
        let mut progress = pin!(self.progress.notified());
        loop {
            // Before looking, or a commit that ends between the two would be missed.
            progress.as_mut().enable();
            if self.has_acknowledged(position) {
                return Ok(());
            }
            if self.has_failed() {
                return Err(self.unknown());
            }
            progress.as_mut().await;
            progress.set(self.progress.notified());
        }
    }

    /// Passes on the news of commits until the runtime ends; without it nobody who waits is woken.
    pub(crate) async fn relay(self: Arc<Self>) {
        loop {
            self.committed.notified().await;
            self.progress.notify_waiters();
        }
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
        let committed = self.engine.commit();
        let result = committed.map(drop).map_err(|error| self.fail(&error));
        if self.thread.is_some() {
            self.committed.notify_one();
        }
        result
    }

    fn fail(&self, error: &storage::Error) -> OutcomeUnknown {
        if !self.failed.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "commit failed: no more writes until a restart, reads go on");
        }
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
