//! Linearizable reads: one question to the leader at a time, for all reads that came before it was asked.
//!
//! ```text
//!   waiting --ask--> asked --index--> ready --applied--> answered
//! ```
//!
//! A read that comes while a question is out waits for the next one: the answer to a question asked before it began
//! would not do. [`Replica::read_stale`] is for those who do not want to wait.

use std::sync::Arc;

use raft::{Index, Input, ReadState, Refused, Term, Time};
use wire::Reply;

use crate::changes::Lead;
use crate::event::{Answer, Client};
use crate::machine::MachineError;
use crate::record::Request;
use crate::replica::Replica;

/// What somebody wants to know.
#[derive(Debug)]
enum Question {
    /// The replies to commands.
    Request(Request),
    /// Whether this server leads still, in this term.
    Lead(Term),
}

#[derive(Debug)]
struct Waiting {
    client: Client,
    question: Question,
    given_up: Time,
}

#[derive(Debug)]
struct Asked {
    id: u64,
    again: Time,
}

/// Reads that wait.
#[derive(Debug)]
pub(crate) struct Reads {
    last_id: u64,
    waiting: Vec<Waiting>,
    asked: Option<Asked>,
    /// Those that the question is for.
    asking: Vec<Waiting>,
    /// To be answered once this is applied.
    ready: Vec<(Index, Waiting)>,
    /// No question before this.
    not_before: Time,
}

impl Reads {
    pub(crate) fn new(boot: u64) -> Self {
        Self {
            // A question of an earlier start must not be answered as one of this.
            last_id: boot << 40,
            waiting: Vec::new(),
            asked: None,
            asking: Vec::new(),
            ready: Vec::new(),
            not_before: Time::ZERO,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Waiting> {
        let ready = self.ready.iter().map(|(_, waiting)| waiting);
        self.waiting.iter().chain(&self.asking).chain(ready)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let given_up = self.all().map(|waiting| waiting.given_up).min();
        let again = match &self.asked {
            Some(asked) => Some(asked.again),
            None if self.waiting.is_empty() => None,
            None => Some(self.not_before),
        };
        given_up.into_iter().chain(again).min()
    }

    pub(crate) fn try_again(&mut self, now: Time) {
        self.not_before = now;
        if let Some(asked) = &mut self.asked {
            asked.again = now;
        }
    }

    /// The question failed: its reads wait for another.
    fn withdraw(&mut self) {
        self.asked = None;
        self.asking.append(&mut self.waiting);
        std::mem::swap(&mut self.asking, &mut self.waiting);
    }
}

impl Replica {
    pub(crate) fn take_read(&mut self, client: Client, request: Request) {
        self.wait(client, Question::Request(request));
    }

    /// Somebody wants to know whether this server leads.
    pub(crate) fn take_lead(&mut self, client: Client) {
        self.wait(client, Question::Lead(self.core.hard_state().term));
    }

    fn wait(&mut self, client: Client, question: Question) {
        self.reads.waiting.push(Waiting {
            client,
            question,
            given_up: self.now.time + self.settings.give_up,
        });
    }

    /// Answers a request that only reads from what is applied here, at once and whoever leads: as of some moment in the past, and nobody can say
    /// how long ago that is. Later calls do not see less, and a client of this server sees its own writes once they are answered. What has
    /// expired is gone by the time of the state, which stands still while nothing is applied.
    ///
    /// # Errors
    /// [`MachineError`]: this server must stop.
    pub fn read_stale(&self, request: &Request) -> Result<Vec<Reply>, MachineError> {
        self.machine.read(request)
    }

    pub(crate) fn question_answered(&mut self, read: ReadState) {
        let reads = &mut self.reads;
        if reads.asked.take_if(|asked| asked.id == read.id).is_none() {
            return;
        }
        match read.index {
            Some(index) => {
                let asking = std::mem::take(&mut reads.asking);
                reads
                    .ready
                    .extend(asking.into_iter().map(|waiting| (index, waiting)));
            }
            None => {
                reads.withdraw();
                reads.not_before = self.now.time + self.settings.retry;
            }
        }
    }

    /// Asks, answers, and gives up.
    pub(crate) fn keep_reads(&mut self) -> Result<(), MachineError> {
        let now = self.now.time;
        self.refuse_to_lead();
        if self
            .reads
            .asked
            .as_ref()
            .is_some_and(|asked| asked.again <= now)
        {
            self.reads.withdraw();
        }
        let may_ask = self.reads.asked.is_none() && self.reads.not_before <= now;
        if may_ask && !self.reads.waiting.is_empty() {
            self.reads.last_id += 1;
            let id = self.reads.last_id;
            let again = now + self.settings.retry;
            self.reads.asked = Some(Asked { id, again });
            self.reads.asking = std::mem::take(&mut self.reads.waiting);
            self.drive(Input::Read { id })?;
        }
        self.answer_ready()?;
        self.give_up_reads(now);
        Ok(())
    }

    /// Who asks whether this server leads need not wait for another leader.
    fn refuse_to_lead(&mut self) {
        let term = self.core.hard_state().term;
        let leads = self.is_leader().then_some(term);
        let refusal = Answer::Refused(Refused::NotLeader(self.core.leader()));
        let answers = &mut self.actions.answers;
        let mut is_kept = |waiting: &Waiting| match waiting.question {
            Question::Lead(term) if leads != Some(term) => {
                answers.push((waiting.client, refusal.clone()));
                false
            }
            Question::Lead(_) | Question::Request(_) => true,
        };
        let reads = &mut self.reads;
        reads.waiting.retain(&mut is_kept);
        reads.asking.retain(&mut is_kept);
        reads.ready.retain(|(_, waiting)| is_kept(waiting));
    }

    fn answer_ready(&mut self) -> Result<(), MachineError> {
        let applied = self.machine.applied().index;
        let mut ready = std::mem::take(&mut self.reads.ready);
        for (_, waiting) in ready.extract_if(.., |(index, _)| *index <= applied) {
            let answer = match waiting.question {
                Question::Request(request) => Answer::Replies(self.machine.read(&request)?),
                // Those of another term were refused.
                Question::Lead(term) => Answer::Leads(Lead {
                    term,
                    engine: Arc::clone(self.machine.engine()),
                }),
            };
            self.actions.answers.push((waiting.client, answer));
        }
        self.reads.ready = ready;
        Ok(())
    }

    fn give_up_reads(&mut self, now: Time) {
        let answers = &mut self.actions.answers;
        let mut give_up = |waiting: &Waiting| {
            let is_old = waiting.given_up <= now;
            if is_old {
                answers.push((waiting.client, Answer::NoLeader));
            }
            !is_old
        };
        let reads = &mut self.reads;
        reads.waiting.retain(&mut give_up);
        reads.asking.retain(&mut give_up);
        reads.ready.retain(|(_, waiting)| give_up(waiting));
    }
}
