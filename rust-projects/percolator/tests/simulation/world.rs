//! The world of a run: a store, an oracle, messages under way, clients, and the time.
//!
//! Each client is a thread, of which at most one runs: it goes on when the scheduler picks it and stops at its next message or wait. What
//! happens therefore follows from the seed alone. A message is a task of the store: it waits for latches, is decided, and applied, at
//! three moments, whatever its sender does meanwhile.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use bytes::Bytes;
use percolator::client::{AskError, Store};
use percolator::{
    Columns, Error, InFlight, Latches, Oracle, OracleError, Request, Ticket, Timestamp, WINDOW_MS,
};
use storage::{Batch, Engine, MemoryEngine};

use crate::random::Random;

/// How often things go wrong, in a thousand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) crash: u64,
    pub(crate) request_lost: u64,
    pub(crate) reply_lost: u64,
    pub(crate) duplicate: u64,
    pub(crate) delay: u64,
    pub(crate) cut_off: u64,
    pub(crate) leader_change: u64,
    pub(crate) oracle_failover: u64,
    pub(crate) long_wait: u64,
}

/// How often things happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(pub(crate) BTreeMap<&'static str, u64>);

impl Counters {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
}

/// Reads, keeps the reply for the sender, and gives what to change; `None` if it was refused.
type Decide = Arc<dyn Fn(Ticket, &MemoryEngine, &mut InFlight) -> Option<Batch> + Send + Sync>;

enum Stage {
    /// Under way, not seen by the store yet.
    Sent,
    /// Waits for its latches.
    Queued,
    /// Holds its latches.
    Granted,
    /// Decided in this term; holds its latches until it is applied.
    Decided(Batch, u64),
}

struct Message {
    latched: BTreeSet<Bytes>,
    decide: Decide,
    stage: Stage,
    arrives_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// For its turn.
    Turn,
    /// For a message to be dealt with.
    Message(u64),
    /// For a time.
    Until(u64),
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Scheduler,
    Client(usize),
}

pub(crate) struct State {
    pub(crate) engine: MemoryEngine,
    latches: Latches,
    in_flight: InFlight,
    messages: BTreeMap<u64, Message>,
    next_message: u64,
    /// Messages whose decision was thrown away, as the leader changed.
    thrown_away: BTreeSet<u64>,
    term: u64,
    oracle: Oracle,
    /// The window that a failover finds.
    window_ms: u64,
    pub(crate) now_ms: u64,
    clock_error_ms: u64,
    clients: Vec<Waits>,
    turn: Turn,
    pub(crate) random: Random,
    faults: Faults,
    pub(crate) counters: Counters,
    /// Counts the turns, for the order of what clients saw.
    pub(crate) moment: u64,
}

/// What is shared between the clients and the scheduler.
pub(crate) struct World {
    state: Mutex<State>,
    turned: Condvar,
}

impl World {
    pub(crate) fn new(seed: u64, clients: usize, faults: Faults) -> Self {
        let state = State {
            engine: MemoryEngine::new(),
            latches: Latches::new(),
            in_flight: InFlight::new(),
            messages: BTreeMap::new(),
            next_message: 0,
            thrown_away: BTreeSet::new(),
            term: 1,
            oracle: Oracle::recover(0),
            window_ms: 0,
            now_ms: 1_000_000,
            clock_error_ms: 0,
            clients: vec![Waits::Turn; clients],
            turn: Turn::Scheduler,
            random: Random::new(seed),
            faults,
            counters: Counters::default(),
            moment: 0,
        };
        Self {
            state: Mutex::new(state),
            turned: Condvar::new(),
        }
    }

    /// For other clients and under other faults, all that is stored stays.
    pub(crate) fn begin_anew(&mut self, faults: Faults) {
        let state = self.state.get_mut().unwrap();
        state.clients.fill(Waits::Turn);
        state.faults = faults;
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Lets clients and messages go on, one at a time, until all clients are done and no message is under way.
    pub(crate) fn run(&self) {
        let mut state = self.state();
        loop {
            state.moment += 1;
            state.disturb();
            let clients = state.runnable();
            let messages = state.movable();
            let choices = clients.len() + messages.len();
            if choices == 0 {
                match state.next_waking() {
                    Some(at_ms) => state.now_ms = at_ms,
                    None => break,
                }
                continue;
            }
            let choice = state.random.below(choices as u64) as usize;
            if let Some(&client) = clients.get(choice) {
                state.turn = Turn::Client(client);
                self.turned.notify_all();
                while state.turn != Turn::Scheduler {
                    state = self.turned.wait(state).unwrap();
                }
            } else {
                let message = messages[choice - clients.len()];
                state.move_on(message);
            }
        }
        assert!(
            state.messages.is_empty(),
            "messages wait for latches that nobody holds"
        );
        assert!(state.latches.is_idle());
    }

    /// Gives the turn back until `waits` is over.
    fn wait(&self, client: usize, waits: Waits) {
        let mut state = self.state();
        state.clients[client] = waits;
        state.turn = Turn::Scheduler;
        self.turned.notify_all();
        while state.turn != Turn::Client(client) {
            state = self.turned.wait(state).unwrap();
        }
    }

    /// Runs a client's program, from its first turn to its last.
    pub(crate) fn play(&self, client: usize, program: impl FnOnce()) {
        // Frees the scheduler also if the program panics, so that the run ends and says so.
        struct Leave<'a>(&'a World, usize);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                let mut state = self.0.state();
                state.clients[self.1] = Waits::Done;
                state.turn = Turn::Scheduler;
                self.0.turned.notify_all();
            }
        }
        let mut state = self.state();
        while state.turn != Turn::Client(client) {
            state = self.turned.wait(state).unwrap();
        }
        drop(state);
        let _leave = Leave(self, client);
        program();
    }
}

impl State {
    fn runnable(&self) -> Vec<usize> {
        let may_run = |waits: &Waits| match *waits {
            Waits::Turn => true,
            Waits::Message(id) => !self.messages.contains_key(&id),
            Waits::Until(at_ms) => at_ms <= self.now_ms,
            Waits::Done => false,
        };
        let clients = self.clients.iter().enumerate();
        clients
            .filter(|(_, waits)| may_run(waits))
            .map(|(client, _)| client)
            .collect()
    }

    fn movable(&self) -> Vec<u64> {
        let messages = self.messages.iter();
        let movable = messages.filter(|(_, message)| match message.stage {
            Stage::Queued => false,
            _ => message.arrives_ms <= self.now_ms,
        });
        movable.map(|(&id, _)| id).collect()
    }

    fn next_waking(&self) -> Option<u64> {
        let wakings = self.clients.iter().filter_map(|waits| match *waits {
            Waits::Until(at_ms) => Some(at_ms),
            _ => None,
        });
        let under_way = self.messages.values();
        let arrivals = under_way.map(|message| message.arrives_ms);
        let later = wakings.chain(arrivals).filter(|&at_ms| at_ms > self.now_ms);
        later.min()
    }

    /// Time, leaders and oracles.
    fn disturb(&mut self) {
        self.now_ms += self.random.below(3);
        let faults = self.faults;
        if self.random.chance(faults.leader_change) {
            self.term += 1;
            // The new leader knows nothing of what was read, and asks the oracle.
            self.in_flight = InFlight::new();
            let now = self.timestamp();
            self.in_flight.saw(now);
            self.counters.count("leader changes");
        }
        if self.random.chance(faults.oracle_failover) {
            // The new one knows the window, and nothing else; its clock is another.
            self.oracle = Oracle::recover(self.window_ms);
            self.clock_error_ms = self.random.below(2000);
            // Until its clock has come to the window, time stands still for it; often the change itself takes that long.
            self.now_ms += self.random.below(2 * WINDOW_MS);
            self.counters.count("oracle failovers");
        }
    }

    /// One step of a message.
    fn move_on(&mut self, id: u64) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let stage = std::mem::replace(&mut message.stage, Stage::Queued);
        match stage {
            Stage::Sent => {
                let latched = message.latched.clone();
                match self.latches.acquire(id, latched) {
                    true => message.stage = Stage::Granted,
                    false => self.counters.count("waits for latches"),
                }
            }
            Stage::Queued => {}
            Stage::Granted => match (message.decide)(id, &self.engine, &mut self.in_flight) {
                Some(changes) => message.stage = Stage::Decided(changes, self.term),
                None => self.finish(id),
            },
            Stage::Decided(changes, term) => {
                if term == self.term {
                    self.engine.write(&changes).unwrap();
                } else {
                    // Bug class P9: what was decided under another leader is not applied.
                    self.thrown_away.insert(id);
                    self.counters.count("decisions thrown away");
                }
                self.finish(id);
            }
        }
    }

    fn finish(&mut self, id: u64) {
        self.messages.remove(&id);
        self.in_flight.done(id);
        for ready in self.latches.release(id) {
            if let Some(message) = self.messages.get_mut(&ready) {
                message.stage = Stage::Granted;
            }
        }
    }

    fn send(&mut self, latched: BTreeSet<Bytes>, decide: Decide) -> u64 {
        let id = self.next_message;
        self.next_message += 1;
        let delay = self.faults.delay;
        let delay_ms = match self.random.chance(delay) {
            true => self.random.below(200),
            false => 0,
        };
        let message = Message {
            latched,
            decide,
            stage: Stage::Sent,
            arrives_ms: self.now_ms + delay_ms,
        };
        self.messages.insert(id, message);
        id
    }

    /// Moves the time to where no lock lives any more, whatever clock the oracle has.
    pub(crate) fn long_after(&mut self) {
        self.now_ms = self.now_ms.max(self.window_ms) + 10_000;
    }

    fn timestamp(&mut self) -> Timestamp {
        let now_ms = self.now_ms - self.clock_error_ms;
        loop {
            match self.oracle.allocate(now_ms, 1) {
                Ok(given) => return given.first,
                Err(OracleError::NeedsWindow { upto_ms }) => {
                    self.window_ms = upto_ms;
                    self.oracle.window_persisted(upto_ms);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// How a client reaches the store, until it crashes: then nothing it does has an effect any more.
pub(crate) struct Link<'a> {
    pub(crate) world: &'a World,
    pub(crate) client: usize,
    crashed: Cell<bool>,
    /// Until then it hears nothing.
    cut_off_until_ms: Cell<u64>,
}

/// How an attempt to send fares.
enum Sending {
    Lost,
    /// It arrives at some time, and the reply does not.
    Unheard,
    Heard(u64),
}

impl<'a> Link<'a> {
    pub(crate) fn new(world: &'a World, client: usize) -> Self {
        Self {
            world,
            client,
            crashed: Cell::new(false),
            cut_off_until_ms: Cell::new(0),
        }
    }

    pub(crate) fn has_crashed(&self) -> bool {
        self.crashed.get()
    }

    /// Stops before a step, and perhaps for ever.
    fn step(&self, waits: Waits) -> Result<(), AskError> {
        if self.crashed.get() {
            return Err(AskError::Lost);
        }
        self.world.wait(self.client, waits);
        let mut state = self.world.state();
        let crash = state.faults.crash;
        if state.random.chance(crash) {
            self.crashed.set(true);
            state.counters.count("crashes");
            return Err(AskError::Lost);
        }
        Ok(())
    }

    fn send(&self, latched: BTreeSet<Bytes>, decide: Decide) -> Sending {
        let mut state = self.world.state();
        let faults = state.faults;
        if state.random.chance(faults.cut_off) {
            let ms = state.random.below(1000);
            self.cut_off_until_ms.set(state.now_ms + ms);
            state.counters.count("clients cut off");
        }
        if state.random.chance(faults.request_lost) {
            state.counters.count("requests lost");
            return Sending::Lost;
        }
        let id = state.send(latched.clone(), Arc::clone(&decide));
        if state.random.chance(faults.duplicate) {
            state.counters.count("requests duplicated");
            state.send(latched, decide);
        }
        let is_cut_off = self.cut_off_until_ms.get() > state.now_ms;
        if is_cut_off || state.random.chance(faults.reply_lost) {
            state.counters.count("replies lost");
            return Sending::Unheard;
        }
        Sending::Heard(id)
    }
}

impl Store for Link<'_> {
    fn ask<R: Request>(&self, request: &R) -> Result<R::Reply, AskError> {
        self.step(Waits::Turn)?;
        let slot = Arc::new(Mutex::new(None));
        let (request, kept) = (request.clone(), Arc::clone(&slot));
        let latched = request.latched();
        let decide = move |ticket: Ticket, engine: &MemoryEngine, in_flight: &mut InFlight| {
            let mut request = request.clone();
            let announced = request.announce(ticket, in_flight).map_err(Error::from);
            let decided = announced.and_then(|()| request.decide(Columns::new(engine)));
            let (reply, changes) = match decided {
                Ok(decided) => (Ok(decided.reply), Some(decided.changes)),
                Err(error) => (Err(AskError::Decision(error)), None),
            };
            *kept.lock().unwrap() = Some(reply);
            changes
        };
        match self.send(latched, Arc::new(decide)) {
            Sending::Lost | Sending::Unheard => Err(AskError::Lost),
            Sending::Heard(id) => {
                self.step(Waits::Message(id))?;
                if self.world.state().thrown_away.contains(&id) {
                    return Err(AskError::Lost);
                }
                let reply = slot.lock().unwrap().take();
                reply.expect("a message that was dealt with has a reply")
            }
        }
    }

    fn timestamp(&self) -> Result<Timestamp, AskError> {
        self.step(Waits::Turn)?;
        let mut state = self.world.state();
        let timestamp = state.timestamp();
        let lost = state.faults.reply_lost;
        match state.random.chance(lost) {
            true => Err(AskError::Lost),
            false => Ok(timestamp),
        }
    }

    fn pause(&self, ms: u64) {
        let mut state = self.world.state();
        let mut ms = ms;
        let long_wait = state.faults.long_wait;
        if state.random.chance(long_wait) {
            ms += 500;
            state.counters.count("clients that stood still");
        }
        let until_ms = state.now_ms + ms;
        drop(state);
        // A crash shows at the next message.
        let _ = self.step(Waits::Until(until_ms));
    }
}
