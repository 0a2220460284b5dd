//! What happened in a run: a hash of it always, and the whole of it when asked for.

use raft::{NodeId, Time};
use serde::Serialize;

use crate::random::mix;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Which event of the run.
    pub event: u64,
    /// True time in microseconds.
    pub time_us: u64,
    /// Where; 0 for the world outside the servers.
    pub node: NodeId,
    /// What.
    pub what: String,
    /// How the server stood after it, if it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// See the module's page.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hash: u64,
    lines: Option<Vec<Line>>,
}

impl Trace {
    /// A trace that keeps every line.
    #[must_use]
    pub fn recording() -> Self {
        Self {
            hash: 0,
            lines: Some(Vec::new()),
        }
    }

    /// Of everything that happened so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// What was recorded.
    #[must_use]
    pub fn into_lines(self) -> Vec<Line> {
        self.lines.unwrap_or_default()
    }

    pub(crate) fn mix(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.hash = mix(self.hash.rotate_left(7) ^ number);
        }
    }

    pub(crate) fn is_recording(&self) -> bool {
        self.lines.is_some()
    }

    /// Adds a line, if it is kept: so its text is only made then.
    pub(crate) fn line(
        &mut self,
        event: u64,
        time: Time,
        node: NodeId,
        text: impl FnOnce() -> (String, Option<String>),
    ) {
        if let Some(lines) = &mut self.lines {
            let (what, state) = text();
            let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            lines.push(Line {
                event,
                time_us,
                node,
                what,
                state,
            });
        }
    }
}
