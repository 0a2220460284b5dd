//! Carries requests out: what `percolator` asks of whoever serves it, over a replica.
//!
//! ```text
//!   read    tell InFlight --> does this node lead? --> snapshot --> decide
//!                 '--> its oracle gave the timestamp ---^
//!   change  latch --> tell InFlight --> snapshot --> decide --> log --> applied --> unlatch, wake who waits
//!                                                      '--> nothing to change: does this node lead? --> reply
//! ```
//!
//! Who changes something asks no majority before: that the log takes the changes in the same term says that nobody else led meanwhile. A
//! decision that changes nothing is told only after a majority was asked.
//!
//! Nor does who reads at a timestamp that this node's oracle gave, in this term or before. Another leader gives none below those, and commits at none below
//! its own; so whatever is committed below the timestamp was locked or committed here when it was given.
//!
//! A change goes on when its client is gone: the latches are held until it is known to be applied, or never to be.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use percolator::{
    Acquire, Column, Columns, Deadlock, Decided, InFlight, Latches, LockInfo, MANY_KEYS, Refusal,
    Request, Ticket, Timestamp, decode_key,
};
use raft::{Refused, Term};
use replica::{Answer, Changes, Epoch, Lead, StateEngine};
use storage::{Batch, Op, Reader};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::api::KnownApi;
use super::oracle::LeaderOracle;
use super::points::safe_points;
use super::waiters::Waiters;
use super::work::{at_length_if, detached};
use crate::node::Inbox;
use crate::view::{Shared, Standing};

/// For so long a request waits for room, or for a leader, rather than be refused: clients take such a refusal for the end.
pub(super) const PATIENCE: Duration = Duration::from_millis(1500);
/// Between two tries to get into a log that takes no more now.
const PAUSE: Duration = Duration::from_millis(10);
/// What a change takes in memory beyond its bytes, roughly.
const CHANGE_OVERHEAD_BYTES: usize = 64;

/// A request was not carried out.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was decided: no.
    Refused(Refusal),
    /// To wait would close a circle.
    Deadlock(Deadlock),
    /// This node does not lead, or no longer.
    NotLeader,
    /// It was in the log when this node's lead ended: nobody here knows what became of it.
    Unknown,
    /// The region changed.
    Stale,
    /// Nobody was given this timestamp.
    NeverGiven(Timestamp),
    /// There was too much to do for [`PATIENCE`].
    Busy,
    /// Something is wrong with this node.
    Broken(String),
}

impl From<percolator::Error> for Failure {
    fn from(error: percolator::Error) -> Self {
        match error {
            percolator::Error::Refused(refusal) => Self::Refused(refusal),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// See the module's page.
pub(super) struct Store {
    shared: Shared,
    inbox: Inbox,
    oracle: LeaderOracle,
    pub(super) api: KnownApi,
    state: Mutex<State>,
    tickets: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    latches: Latches,
    /// Told when they hold all of their latches.
    behind: HashMap<Ticket, oneshot::Sender<()>>,
    in_flight: InFlight,
    /// The term in which `in_flight` heard of all that was read under earlier leaders.
    synced_in: Term,
    /// The last lead that a majority confirmed: all that earlier leaders committed is applied in its engine. Who owns the engine may close it.
    lead: Option<(Term, Weak<dyn StateEngine>)>,
    pub(super) waiters: Waiters,
}

/// A request's latches, released when dropped.
pub(super) struct Held<'a> {
    store: &'a Store,
    ticket: Ticket,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.store.state();
        state.in_flight.done(self.ticket);
        state.behind.remove(&self.ticket);
        for ready in state.latches.release(self.ticket) {
            if let Some(waiting) = state.behind.remove(&ready) {
                // Who waits no more gives the latches back itself.
                let _ = waiting.send(());
            }
        }
    }
}

impl Store {
    pub(super) fn new(shared: Shared, inbox: Inbox) -> Self {
        let api = KnownApi::new(shared.look().api);
        Self {
            shared,
            inbox,
            api,
            oracle: LeaderOracle::default(),
            state: Mutex::default(),
            tickets: AtomicU64::new(1),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn node(&self) -> raft::NodeId {
        self.shared.look().identity.node
    }

    pub(super) fn standing(&self) -> Standing {
        self.shared.look().standing.clone()
    }

    /// So many timestamps for each who asks, above all that anybody was given before.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn timestamps(
        &self,
        counts: &[u64],
    ) -> Result<Vec<percolator::Timestamps>, Failure> {
        self.oracle.take(self, counts).await
    }

    /// Whether this node leads, and all that is committed.
    ///
    /// # Errors
    /// [`Failure::NotLeader`].
    pub(super) async fn lead(&self) -> Result<Lead, Failure> {
        match self.inbox.lead().await {
            Answer::Leads(lead) => {
                self.state().lead = Some((lead.term, Arc::downgrade(&lead.engine)));
                Ok(lead)
            }
            _ => Err(Failure::NotLeader),
        }
    }

    /// What a decision can rest on that will be confirmed: as far as this node knows it leads, in a term in which a majority confirmed that before.
    fn presumed_lead(&self) -> Option<Lead> {
        let (term, engine) = self.state().lead.clone()?;
        let view = self.shared.look();
        let leads = view.standing.leader == Some(view.identity.node);
        let engine = engine.upgrade()?;
        (leads && view.standing.term == term).then_some(Lead { term, engine })
    }

    /// Whether what was decided in `term` may be told: no other leader had come when this was asked for.
    ///
    /// # Errors
    /// [`Failure::NotLeader`].
    async fn confirm(&self, term: Term) -> Result<(), Failure> {
        match self.lead().await?.term == term {
            true => Ok(()),
            false => Err(Failure::NotLeader),
        }
    }

    fn ticket(&self) -> Ticket {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Carries out a request that reads at `ts` and changes nothing.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn read_at<R: Request>(
        &self,
        mut request: R,
        ts: Timestamp,
        epoch: Epoch,
    ) -> Result<R::Reply, Failure> {
        let presumed = self.presumed_lead();
        let gave = presumed.filter(|lead| self.oracle.has_given(lead.term, ts));
        if gave.is_none() && ts != Timestamp::MAX {
            self.check_given(ts).await?;
        }
        let announced = request.announce(self.ticket(), &mut self.state().in_flight);
        announced.map_err(Failure::Refused)?;
        let view = match gave {
            Some(lead) => {
                self.still_at(epoch)?;
                lead.engine.snapshot()?
            }
            None => self.view(epoch).await?,
        };
        safe_points(&*view)?.check(ts).map_err(Failure::Refused)?;
        let decide = || request.decide(Columns::new(&*view));
        Ok(at_length_if(request.is_long(), decide)?.reply)
    }

    /// Somebody who invents timestamps would take later commits with him: they must lie above all that was read at.
    async fn check_given(&self, ts: Timestamp) -> Result<(), Failure> {
        let now = self.timestamps(&[1]).await?;
        match now.iter().any(|now| ts > now.last()) {
            true => Err(Failure::NeverGiven(ts)),
            false => Ok(()),
        }
    }

    /// All that was committed before this was asked for.
    ///
    /// # Errors
    /// [`Failure::NotLeader`], [`Failure::Stale`].
    pub(super) async fn view(
        &self,
        epoch: Epoch,
    ) -> Result<Box<dyn Reader + Send + Sync>, Failure> {
        let lead = self.lead().await?;
        self.still_at(epoch)?;
        Ok(lead.engine.snapshot()?)
    }

    fn still_at(&self, epoch: Epoch) -> Result<(), Failure> {
        match self.standing().region.epoch == epoch {
            true => Ok(()),
            false => Err(Failure::Stale),
        }
    }

    /// Carries out a request that changes something. It goes on if nobody waits for it any more.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn change<R: Request>(
        self: &Arc<Self>,
        request: R,
        epoch: Epoch,
    ) -> Result<R::Reply, Failure> {
        let store = Arc::clone(self);
        detached(async move {
            let (held, term, decided) = store.decide(request, epoch).await?;
            store.finish(held, term, epoch, decided).await
        })
        .await
    }

    /// As [`Self::change`] for pessimistic locks, for which it waits until `deadline` if others hold them.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn acquire(
        self: &Arc<Self>,
        request: Acquire,
        epoch: Epoch,
        deadline: Instant,
    ) -> Result<Vec<Option<Bytes>>, Failure> {
        let store = Arc::clone(self);
        detached(async move {
            loop {
                let (held, term, decided) = store.decide(request.clone(), epoch).await?;
                let locks = match decided {
                    Err(Failure::Refused(Refusal::Locked(locks))) if Instant::now() < deadline => {
                        locks
                    }
                    decided => return store.finish(held, term, epoch, decided).await,
                };
                // A lead that is over is found out by the next try, at the latest when the time is up.
                // While the latch is held, so that nobody unlocks in between.
                let woken = store.wait_for(&request, &locks, held.ticket, deadline)?;
                let ticket = held.ticket;
                drop(held);
                let _ = timeout_at(deadline, woken).await;
                store.state().waiters.leave(ticket);
            }
        })
        .await
    }

    fn wait_for(
        &self,
        request: &Acquire,
        locks: &[LockInfo],
        ticket: Ticket,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<()>, Failure> {
        let Some(lock) = locks.first() else {
            return Err(Failure::Broken("a lock that nobody holds".into()));
        };
        let patience = deadline.saturating_duration_since(Instant::now());
        let mut state = self.state();
        let waiting = state
            .waiters
            .join(request.start_ts, lock, ticket, patience, super::now_ms());
        waiting.map_err(Failure::Deadlock)
    }

    /// Latches the keys of a request and decides it: gives the latches, and the term that the decision is good for if it is confirmed.
    async fn decide<R: Request>(
        &self,
        mut request: R,
        epoch: Epoch,
    ) -> Result<(Held<'_>, Term, Result<Decided<R::Reply>, Failure>), Failure> {
        let keys = request.latched();
        let is_long = keys.len() > MANY_KEYS;
        let held = self.latch(keys).await?;
        let lead = match self.presumed_lead() {
            Some(lead) => lead,
            None => self.lead().await?,
        };
        self.sync(lead.term).await?;
        self.still_at(epoch)?;
        let announced = request.announce(held.ticket, &mut self.state().in_flight);
        announced.map_err(Failure::Refused)?;
        let view = lead.engine.snapshot()?;
        let decided = at_length_if(is_long, || request.decide(Columns::new(&*view)));
        Ok((held, lead.term, decided.map_err(Failure::from)))
    }

    /// Has changes applied, releases latches, and wakes those who waited for locks that are gone. Confirms a decision that changes nothing.
    async fn finish<T>(
        &self,
        held: Held<'_>,
        term: Term,
        epoch: Epoch,
        decided: Result<Decided<T>, Failure>,
    ) -> Result<T, Failure> {
        let decided = match decided {
            Ok(decided) if !decided.changes.is_empty() => decided,
            other => {
                drop(held);
                self.confirm(term).await?;
                return other.map(|decided| decided.reply);
            }
        };
        let unlocked = unlocked(&decided.changes);
        self.apply(term, epoch, decided.changes).await?;
        drop(held);
        let mut state = self.state();
        unlocked.iter().for_each(|key| state.waiters.wake(key));
        Ok(decided.reply)
    }

    pub(super) async fn latch(&self, keys: BTreeSet<Bytes>) -> Result<Held<'_>, Failure> {
        let ticket = self.ticket();
        let (sender, receiver) = oneshot::channel();
        let holds = {
            let mut state = self.state();
            let holds = state.latches.acquire(ticket, keys);
            if !holds {
                state.behind.insert(ticket, sender);
            }
            holds
        };
        let held = Held {
            store: self,
            ticket,
        };
        if !holds && receiver.await.is_err() {
            return Err(Failure::Broken("a latch was lost".into()));
        }
        Ok(held)
    }

    /// A new leader does not know how far was read under others: nowhere above what the oracle gives now.
    async fn sync(&self, term: Term) -> Result<(), Failure> {
        if self.state().synced_in >= term {
            return Ok(());
        }
        // On the heap: it comes back to this store.
        let given = Box::pin(self.timestamps(&[1])).await?;
        let mut state = self.state();
        given
            .iter()
            .for_each(|given| state.in_flight.saw(given.last()));
        state.synced_in = state.synced_in.max(term);
        Ok(())
    }

    /// Somebody counts on nobody committing at or below `ts` any more.
    pub(super) fn saw(&self, ts: Timestamp) {
        self.state().in_flight.saw(ts);
    }

    /// Has changes applied that hold for every epoch.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn apply_anywhere(&self, term: Term, batch: Batch) -> Result<(), Failure> {
        loop {
            let epoch = self.standing().region.epoch;
            match self.apply(term, epoch, batch.clone()).await {
                // Nothing was done. There is another one by now.
                Err(Failure::Stale) => {}
                other => return other,
            }
        }
    }

    /// Has changes applied that were decided under the leader of `term`.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn apply(
        &self,
        term: Term,
        epoch: Epoch,
        batch: Batch,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        let Ok(_place) = timeout_at(deadline, self.inbox.room(size(&batch))).await else {
            return Err(Failure::Busy);
        };
        loop {
            let changes = Changes {
                term,
                epoch,
                batch: batch.clone(),
            };
            match self.inbox.decided(changes).await {
                Answer::Done(_) => return Ok(()),
                Answer::Stale => return Err(Failure::Stale),
                Answer::Refused(Refused::Busy) if Instant::now() < deadline => sleep(PAUSE).await,
                Answer::Refused(Refused::Busy) => return Err(Failure::Busy),
                Answer::Refused(_) | Answer::NoLeader => return Err(Failure::NotLeader),
                _ => return Err(Failure::Unknown),
            }
        }
    }
}

/// Memory that changes take, roughly.
fn size(batch: &Batch) -> usize {
    let bytes = |op: &Op| match op {
        Op::Put { key, value } => key.len() + value.len(),
        Op::Delete { key } => key.len(),
        Op::DeleteRange { .. } => 0,
    };
    let ops = batch.ops().iter();
    ops.map(|op| bytes(op) + CHANGE_OVERHEAD_BYTES).sum()
}

/// The user keys whose locks are gone.
fn unlocked(changes: &Batch) -> Vec<Bytes> {
    let deleted = changes.ops().iter().filter_map(|op| match op {
        Op::Delete { key } if key.first() == Some(&Column::Lock.byte()) => {
            decode_key(Column::Lock, key).ok()
        }
        _ => None,
    });
    deleted.map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests;
