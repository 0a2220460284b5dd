//! What may happen to a message on its way.

use std::collections::BTreeSet;

use raft::{NodeId, Time};

use crate::random::Random;

/// How the network behaves now. A directed link is a pair: from, to.
#[derive(Clone, Debug)]
pub struct Network {
    /// Messages take at least this long, in microseconds,
    pub delay_low_us: u64,
    /// and at most this long: the wider apart, the more they overtake each other.
    pub delay_high_us: u64,
    /// So many in a thousand are lost.
    pub loss: u64,
    /// So many in a thousand arrive twice.
    pub duplicate: u64,
    /// So many in a thousand take up to a quarter of a second.
    pub straggle: u64,
    /// So many in a thousand arrive once more, seconds later.
    pub old: u64,
    blocked: BTreeSet<(NodeId, NodeId)>,
}

/// A network that works.
impl Default for Network {
    fn default() -> Self {
        Self {
            delay_low_us: 300,
            delay_high_us: 1500,
            loss: 0,
            duplicate: 0,
            straggle: 0,
            old: 0,
            blocked: BTreeSet::new(),
        }
    }
}

impl Network {
    /// As bad as the labs' course has it: one message in ten is lost each way, and they take up to 27 ms, some a quarter of a second.
    #[must_use]
    pub fn unreliable() -> Self {
        Self {
            delay_high_us: 27_000,
            loss: 100,
            straggle: 100,
            ..Self::default()
        }
    }

    /// Nothing gets from one to the other; the way back is not concerned.
    pub fn block(&mut self, from: NodeId, to: NodeId) {
        self.blocked.insert((from, to));
    }

    /// Messages get from one to the other again.
    pub fn unblock(&mut self, from: NodeId, to: NodeId) {
        self.blocked.remove(&(from, to));
    }

    /// All links work again.
    pub fn unblock_all(&mut self) {
        self.blocked.clear();
    }

    /// Whether nothing gets from one to the other.
    #[must_use]
    pub fn is_blocked(&self, from: NodeId, to: NodeId) -> bool {
        self.blocked.contains(&(from, to))
    }

    /// Whether any link is blocked.
    #[must_use]
    pub fn is_partitioned(&self) -> bool {
        !self.blocked.is_empty()
    }

    /// After how long a snapshot that arrived does so once more, if it does.
    pub(crate) fn old_snapshot(&self, random: &mut Random) -> Option<Time> {
        let again = self.old > 0 && random.chance(400);
        again.then(|| random.micros(20_000, 3_000_000))
    }

    /// After how long a message arrives: never, once, or several times. The second result says that the last is a very late one.
    pub(crate) fn arrivals(&self, random: &mut Random) -> (Vec<Time>, bool) {
        let mut arrivals = Vec::with_capacity(1);
        if !random.chance(self.loss) {
            arrivals.push(self.delay(random));
        }
        if random.chance(self.duplicate) {
            arrivals.push(self.delay(random));
        }
        let old = random.chance(self.old);
        if old {
            arrivals.push(random.micros(500_000, 10_000_000));
        }
        (arrivals, old)
    }

    fn delay(&self, random: &mut Random) -> Time {
        let usual = random.micros(self.delay_low_us, self.delay_high_us);
        if random.chance(self.straggle) {
            return usual + random.micros(0, 250_000);
        }
        usual
    }
}
