//! Timestamps of the leader: given below a window that is in the log.
//!
//! A batch is given only by who leads in the term for which the oracle was made, as a majority confirms after the batch was asked for. So no later leader gave anything
//! before that, and all that later ones give lies above the window.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use percolator::{Oracle, OracleError, Timestamps};
use raft::Term;
use storage::{Batch, Reader};

use super::now_ms;
use super::store::{Failure, Store};

/// Where the window stands: eight bytes, big-endian. No user key is there.
const WINDOW_KEY: &[u8] = b"o";

/// The oracle of a term.
#[derive(Debug)]
struct Given {
    term: Term,
    oracle: Oracle,
}

/// Gives timestamps while this node leads.
#[derive(Debug, Default)]
pub(super) struct LeaderOracle(Mutex<Option<Given>>);

impl LeaderOracle {
    fn given(&self) -> MutexGuard<'_, Option<Given>> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `count` timestamps, above all that anybody was given before this was asked for.
    ///
    /// # Errors
    /// [`Failure`]: nothing was given.
    pub(super) async fn take(&self, store: &Store, count: u64) -> Result<Timestamps, Failure> {
        let lead = store.lead().await?;
        let mut persisted = None;
        loop {
            let allocated = {
                let mut given = self.given();
                let oracle = match &mut *given {
                    Some(given) if given.term == lead.term => &mut given.oracle,
                    // A term that is over.
                    Some(given) if given.term > lead.term => return Err(Failure::NotLeader),
                    _ => {
                        let window_ms = read_window(lead.engine.latest())?;
                        let oracle = Oracle::recover(window_ms);
                        let term = lead.term;
                        &mut given.insert(Given { term, oracle }).oracle
                    }
                };
                if let Some(upto_ms) = persisted.take() {
                    oracle.window_persisted(upto_ms);
                }
                oracle.allocate(now_ms(), count)
            };
            let upto_ms = match allocated {
                Ok(timestamps) => return Ok(timestamps),
                Err(OracleError::NeedsWindow { upto_ms }) => upto_ms,
                Err(error) => return Err(Failure::Broken(error.to_string())),
            };
            let mut window = Batch::new();
            window.put(WINDOW_KEY, upto_ms.to_be_bytes().to_vec());
            store.apply_anywhere(lead.term, window).await?;
            persisted = Some(upto_ms);
        }
    }
}

fn read_window(reader: &dyn Reader) -> Result<u64, Failure> {
    let Some(bytes) = reader.get(WINDOW_KEY)? else {
        return Ok(0);
    };
    let bytes: Result<[u8; 8], _> = Bytes::as_ref(&bytes).try_into();
    bytes.map(u64::from_be_bytes).map_err(|_| {
        Failure::Broken(
            "the oracle's window is not eight bytes long; run `kvs-admin verify`".into(),
        )
    })
}
