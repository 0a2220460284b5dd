//! Clients of the labs' key-value service, and what makes their life hard.

use std::collections::BTreeMap;
use std::time::Duration;

use raft::{NodeId, Time};
use replica::{Answer, Client, Settings};
use wire::Reply;

use super::{Lab, expect, fail, settings};
use crate::Network;
use crate::clients::Clients;
use crate::cluster::{Cluster, Occurrence, Stepped, request};
use crate::node::Stop;
use crate::random::Random;

/// After the last fault every client must have its answer within this time.
const SETTLING: Duration = Duration::from_secs(20);

/// One client that appends to a key of its own, and reads it.
#[derive(Debug)]
struct Appender {
    key: String,
    /// Whether the piece with this number was acknowledged; else it may be there or not, now or later.
    sure: Vec<bool>,
    waits: Option<(Client, NodeId, Asked)>,
    next: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Append,
    Read,
}

impl Appender {
    fn ask(&mut self, cluster: &mut Cluster, random: &mut Random) -> Stepped {
        let running: Vec<_> = cluster
            .ids()
            .filter(|&id| cluster.replica(id).is_some())
            .collect();
        let Some(node) = random.pick(&running) else {
            self.next = cluster.now() + Time::from_millis(50);
            return Ok(());
        };
        let (asked, client) = if random.chance(300) {
            (
                Asked::Read,
                cluster.read(node, request(&["GET", &self.key]))?,
            )
        } else {
            let piece = format!("{};", self.sure.len());
            self.sure.push(false);
            let append = request(&["APPEND", &self.key, &piece]);
            (Asked::Append, cluster.write(node, append)?)
        };
        self.waits = Some((client, node, asked));
        Ok(())
    }

    /// It has an answer, or will never have one.
    fn answered(&mut self, asked: Asked, answer: Option<&Answer>) -> Stepped {
        match (asked, answer) {
            (Asked::Append, Some(Answer::Replies(_))) => {
                if let Some(last) = self.sure.last_mut() {
                    *last = true;
                }
                Ok(())
            }
            (Asked::Read, Some(Answer::Replies(replies))) => self.judge(replies.first()),
            _ => Ok(()),
        }
    }

    /// The value holds each piece at most once, and the acknowledged ones in their order.
    fn judge(&self, value: Option<&Reply>) -> Stepped {
        let text = match value {
            Some(Reply::Bulk(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Some(Reply::Null) => String::new(),
            other => return fail(format!("{} was read as {other:?}", self.key)),
        };
        let pieces: Result<Vec<usize>, _> = text.split_terminator(';').map(str::parse).collect();
        let Ok(pieces) = pieces else {
            return fail(format!("{} holds {text:?}", self.key));
        };
        let mut count = BTreeMap::new();
        for &piece in &pieces {
            *count.entry(piece).or_insert(0) += 1;
        }
        let asked_for = |piece: &usize| *piece < self.sure.len();
        let is_sure = |piece: &usize| self.sure.get(*piece).copied().unwrap_or(false);
        let sure: Vec<_> = pieces.iter().copied().filter(is_sure).collect();
        let wanted: Vec<_> = (0..self.sure.len()).filter(is_sure).collect();
        expect(
            count.values().all(|&times| times == 1)
                && pieces.iter().all(asked_for)
                && sure == wanted,
            || format!("{} holds {text:?}, acknowledged were {wanted:?}", self.key),
        )
    }
}

/// What happens to the servers while clients ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// Messages are lost, late and out of order.
    pub unreliable: bool,
    /// All servers lose power between rounds.
    pub crashes: bool,
    /// Servers are divided at random, again and again.
    pub partitions: bool,
}

impl Plan {
    /// Nothing does.
    pub const QUIET: Self = Self {
        unreliable: false,
        crashes: false,
        partitions: false,
    };
    /// Everything does.
    pub const EVERYTHING: Self = Self {
        unreliable: true,
        crashes: true,
        partitions: true,
    };
}

/// A cluster with clients: some share registers and counters, whose histories must be linearizable; some append to keys of their own.
#[derive(Debug)]
pub struct Service {
    /// The servers.
    pub lab: Lab,
    clients: Clients,
    appenders: Vec<Appender>,
    retired: bool,
}

/// The labs' settings for a service whose clients do not wait for long.
#[must_use]
pub fn impatient() -> Settings {
    let mut settings = settings();
    settings.retry = Duration::from_millis(200);
    settings.give_up = Duration::from_secs(1);
    settings
}

impl Service {
    /// So many servers, and so many clients of each kind.
    ///
    /// # Errors
    /// [`crate::Violation`].
    pub fn new(servers: u64, clients: u64, seed: u64, settings: Settings) -> Stepped<Self> {
        let mut lab = Lab::with(servers, seed, settings)?;
        let appenders = (0..clients).map(|number| Appender {
            key: format!("a{number}"),
            sure: Vec::new(),
            waits: None,
            next: Time::from_millis(200 + number),
        });
        Ok(Self {
            clients: Clients::of(clients, lab.random.fork()),
            appenders: appenders.collect(),
            retired: false,
            lab,
        })
    }

    /// Clients ask for so long.
    ///
    /// # Errors
    /// [`crate::Violation`].
    pub fn serve(&mut self, millis: u64) -> Stepped {
        let end = self.lab.cluster.now() + Duration::from_millis(millis);
        while self.advance(end)? {}
        Ok(())
    }

    /// Does the next thing that is due by then; whether there was one.
    fn advance(&mut self, end: Time) -> Stepped<bool> {
        let mine = self
            .appenders
            .iter()
            .filter(|a| a.waits.is_none() && !self.retired);
        let asked = mine.map(|a| a.next).chain(self.clients.next_time()).min();
        let asked = asked.filter(|&at| at <= end);
        let cluster = &mut self.lab.cluster;
        match (asked, cluster.next_time().filter(|&at| at <= end)) {
            (Some(at), next) if next.is_none_or(|next| at < next) => {
                cluster.pass_to(at);
                self.clients.ask(cluster)?;
                for appender in &mut self.appenders {
                    if appender.waits.is_none() && appender.next <= cluster.now() && !self.retired {
                        appender.ask(cluster, &mut self.lab.random)?;
                    }
                }
            }
            (_, Some(_)) => {
                cluster.step()?;
            }
            (_, None) => {
                cluster.pass_to(end);
                return Ok(false);
            }
        }
        self.notice()?;
        Ok(true)
    }

    fn notice(&mut self) -> Stepped {
        for occurrence in self.lab.cluster.take_occurrences() {
            self.clients.notice(&occurrence, &mut self.lab.cluster)?;
            for appender in &mut self.appenders {
                let Some((client, node, asked)) = appender.waits else {
                    continue;
                };
                let answer = match &occurrence {
                    Occurrence::Stopped(stopped) if *stopped == node => None,
                    Occurrence::Answered {
                        client: told,
                        answer,
                        ..
                    } if *told == client => Some(answer),
                    _ => continue,
                };
                appender.waits = None;
                let think = self.lab.random.micros(0, 20_000);
                appender.next = self.lab.cluster.now() + think;
                appender.answered(asked, answer)?;
            }
        }
        Ok(())
    }

    /// Rounds of clients and what the plan has in store for them.
    ///
    /// # Errors
    /// [`crate::Violation`].
    pub fn play(&mut self, plan: Plan, rounds: u64) -> Stepped {
        if plan.unreliable {
            self.lab.cluster.network = Network::unreliable();
        }
        for _ in 0..rounds {
            for _ in 0..3 {
                if plan.partitions {
                    self.divide();
                }
                let length = self.lab.random.between(300, 900);
                self.serve(length)?;
            }
            self.lab.cluster.network.unblock_all();
            if plan.crashes {
                self.serve(500)?;
                for id in self.lab.cluster.ids() {
                    self.lab.cluster.stop(id, Stop::PowerLoss);
                }
                self.notice()?;
                self.serve(300)?;
                self.lab.cluster.start_all()?;
            }
            self.serve(500)?;
        }
        Ok(())
    }

    /// Each server is on one of two sides that do not hear of each other.
    pub fn divide(&mut self) {
        let ids: Vec<_> = self.lab.cluster.ids().collect();
        let (here, there): (Vec<_>, Vec<_>) = ids.iter().partition(|_| self.lab.random.chance(500));
        self.lab.cluster.partition(&[&here, &there]);
    }

    /// Requests that were answered with what they asked for.
    #[must_use]
    pub fn served(&self) -> u64 {
        let appended = self.appenders.iter().flat_map(|a| &a.sure);
        self.clients.served + appended.filter(|&&sure| sure).count() as u64
    }

    /// Everything is mended, clients get their last answers, and what they saw is judged.
    ///
    /// # Errors
    /// [`crate::Violation`].
    pub fn end(mut self) -> Stepped<Lab> {
        self.lab.cluster.network = Network::default();
        self.lab.cluster.start_all()?;
        self.clients.retire();
        self.retired = true;
        let limit = self.lab.cluster.now() + SETTLING;
        let waits = |service: &Self| {
            let appends = service.appenders.iter().any(|a| a.waits.is_some());
            appends || !service.clients.nobody_waits()
        };
        while waits(&self) {
            expect(self.lab.cluster.now() < limit, || {
                format!("clients still wait {SETTLING:?} after the last fault")
            })?;
            self.advance(limit)?;
        }
        self.clients.judge_all()?;
        expect(self.clients.judged.0 > 0, || {
            "no history was judged".to_owned()
        })?;
        let leader = self.lab.leader()?;
        for position in 0..self.appenders.len() {
            let key = self.appenders[position].key.clone();
            let value = self.value(leader, &key)?;
            self.appenders[position].judge(value.as_ref())?;
        }
        let counters: Vec<_> = self.clients.counters().map(str::to_owned).collect();
        for counter in counters {
            let value = self.value(leader, &counter)?;
            self.clients.counter_ended(&counter, value.as_ref())?;
        }
        self.lab.end()
    }

    fn value(&mut self, leader: NodeId, key: &str) -> Stepped<Option<Reply>> {
        let client = self.lab.cluster.read(leader, request(&["GET", key]))?;
        match self.lab.cluster.wait(client, SETTLING)? {
            Some(Answer::Replies(replies)) => Ok(replies.into_iter().next()),
            other => fail(format!("reading {key} came to {other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn holds(value: &'static str, sure: &[bool]) -> bool {
        let appender = Appender {
            key: "a".to_owned(),
            sure: sure.to_vec(),
            waits: None,
            next: Time::ZERO,
        };
        let value = Reply::Bulk(Bytes::from_static(value.as_bytes()));
        appender.judge(Some(&value)).is_ok()
    }

    #[test]
    fn a_value_holds_what_was_acknowledged_once_and_in_order_and_perhaps_what_was_not() {
        assert!(holds("0;1;2;", &[true, true, true]));
        assert!(holds("0;2;", &[true, false, true]));
        assert!(holds("0;1;2;", &[true, false, true]));
        // It may have come late.
        assert!(holds("0;2;1;", &[true, false, true]));
        assert!(!holds("0;2;", &[true, true, true]), "lost");
        assert!(!holds("0;1;1;", &[true, true]), "applied twice");
        assert!(!holds("0;1;1;", &[true, false]), "applied twice");
        assert!(!holds("1;0;", &[true, true]), "out of order");
        assert!(!holds("0;7;", &[true]), "never asked for");
    }
}
