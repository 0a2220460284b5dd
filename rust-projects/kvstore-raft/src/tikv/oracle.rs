//! Timestamps of the leader: given below a window that is in the log.
//!
//! A batch is given only by who leads in the term for which the oracle was made, as a majority confirms after the batch was asked for. So no later leader gave anything
//! before that, and all that later ones give lies above the window.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use percolator::{Oracle, OracleError, Timestamp, Timestamps};
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

/// Gives timestamps while this node leads.
#[derive(Debug, Default)]
pub(super) struct LeaderOracle(Mutex<Option<Given>>);

impl LeaderOracle {
    fn given(&self) -> MutexGuard<'_, Option<Given>> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many timestamps for each who asks, in their order, above all that anybody was given before this was asked for.
    ///
    /// # Errors
    /// [`Failure`]: nothing was given.
    pub(super) async fn take(
        &self,
        store: &Store,
        counts: &[u64],
    ) -> Result<Vec<Timestamps>, Failure> {
        let lead = store.lead().await?;
        let mut taken = Vec::with_capacity(counts.len());
        if self.allocate(&lead, counts, &mut taken)?.is_none() {
            return Ok(taken);
        }
        // One window after the other, or a lower one could take the place of a higher one in the log.
        let _held = store.latch([Bytes::from_static(WINDOW_KEY)].into()).await?;
        while let Some(upto_ms) = self.allocate(&lead, counts, &mut taken)? {
            let mut window = Batch::new();
            window.put(WINDOW_KEY, upto_ms.to_be_bytes().to_vec());
            store.apply_anywhere(lead.term, window).await?;
            let mut given = self.given();
            if let Some(given) = given.as_mut().filter(|given| given.term == lead.term) {
                given.oracle.window_persisted(upto_ms);
            }
        }
        Ok(taken)
    }

    /// Whether `ts` was given in `term` or before.
    pub(super) fn has_given(&self, term: Term, ts: Timestamp) -> bool {
        let given = self.given();
        let given = given.as_ref().filter(|given| given.term == term);
        given.is_some_and(|given| given.oracle.has_given(ts))
    }

    /// Takes timestamps for those who have none yet. Gives the window to be persisted first, if there are not enough.
    fn allocate(
        &self,
        lead: &Lead,
        counts: &[u64],
        taken: &mut Vec<Timestamps>,
    ) -> Result<Option<u64>, Failure> {
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
        for &count in counts.iter().skip(taken.len()) {
            match oracle.allocate(now_ms(), count) {
                Ok(timestamps) => taken.push(timestamps),
                Err(OracleError::NeedsWindow { upto_ms }) => return Ok(Some(upto_ms)),
                Err(error) => return Err(Failure::Broken(error.to_string())),
            }
        }
        Ok(None)
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
