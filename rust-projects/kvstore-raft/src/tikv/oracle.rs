//! Timestamps of the leader: given below a window that is in the log.
//!
//! A batch is given only by who leads in the term for which the oracle was made, as a majority confirms after the batch was asked for. So no later leader gave anything
//! before that, and all that later ones give lies above the window.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use percolator::{Oracle, OracleError, Timestamps};
use raft::Term;
use replica::Lead;
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

enum Allocated {
    Given(Timestamps),
    NeedsWindow { upto_ms: u64 },
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
        if let Allocated::Given(timestamps) = self.allocate(&lead, count)? {
            return Ok(timestamps);
        }
        // One window after the other, or a lower one could take the place of a higher one in the log.
        let _held = store.latch([Bytes::from_static(WINDOW_KEY)].into()).await?;
        loop {
            let upto_ms = match self.allocate(&lead, count)? {
                Allocated::Given(timestamps) => return Ok(timestamps),
                Allocated::NeedsWindow { upto_ms } => upto_ms,
            };
            let mut window = Batch::new();
            window.put(WINDOW_KEY, upto_ms.to_be_bytes().to_vec());
            store.apply_anywhere(lead.term, window).await?;
            let mut given = self.given();
            if let Some(given) = given.as_mut().filter(|given| given.term == lead.term) {
                given.oracle.window_persisted(upto_ms);
            }
        }
    }

    /// Timestamps, unless a window must be persisted first.
    fn allocate(&self, lead: &Lead, count: u64) -> Result<Allocated, Failure> {
        let mut given = self.given();
        let oracle = match &mut *given {
            Some(given) if given.term == lead.term => &mut given.oracle,
            // Of a term that is over.
            Some(given) if given.term > lead.term => return Err(Failure::NotLeader),
            _ => {
                let oracle = Oracle::recover(read_window(lead.engine.latest())?);
                let term = lead.term;
                &mut given.insert(Given { term, oracle }).oracle
            }
        };
        match oracle.allocate(now_ms(), count) {
            Ok(timestamps) => Ok(Allocated::Given(timestamps)),
            Err(OracleError::NeedsWindow { upto_ms }) => Ok(Allocated::NeedsWindow { upto_ms }),
            Err(error) => Err(Failure::Broken(error.to_string())),
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
