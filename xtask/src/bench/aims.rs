//! What was aimed at, and what was reached: computed from the samples, nothing is written down here but the aims.

use super::report::{Report, Section, Spread};
use super::server::{COMMANDS, PIPELINES, POLICIES, Server, figure};
use super::stores::Name;
use super::{ENGINE, OPEN, SERVER, WRITERS, engine, open, writers};

/// Which side of a number is good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// The median must not be smaller.
    AtLeast(f64),
    /// The median must not be larger.
    AtMost(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(goal) => value >= goal,
            Self::AtMost(goal) => value <= goal,
        }
    }

    /// As it stands on the page.
    pub(crate) fn text(self, unit: Unit) -> String {
        match self {
            Self::AtLeast(goal) => format!("at least {}", unit.text(goal)),
            Self::AtMost(goal) => format!("at most {}", unit.text(goal)),
        }
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    Times,
    Count,
    Seconds,
    Milliseconds,
    Bytes,
    /// Thousands of something per second.
    ThousandsPerSecond,
}

impl Unit {
    /// `value`, seconds for both units of time, with its unit.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::Times => format!("{value:.2}x"),
            Self::Count => format!("{value:.1}"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Milliseconds => format!("{:.2} ms", value * 1000.0),
            Self::Bytes => format!("{value:.0} B"),
            Self::ThousandsPerSecond => format!("{:.0} k/s", value / 1e3),
        }
    }
}

/// One aim and what was measured.
#[derive(Debug, Clone)]
pub(crate) struct Aim {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) goal: Goal,
    /// What must be reached where the aim is more than that.
    pub(crate) least: Option<Goal>,
    /// `None`: not measured.
    pub(crate) measured: Option<Spread>,
    quick: bool,
}

/// How an aim went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Reached,
    /// Short of the aim, but what must be reached is.
    Short,
    Missed,
    NotMeasured,
    /// Measured with tiny sizes.
    Trial,
}

impl Verdict {
    /// As it stands on the page.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Reached => "yes",
            Self::Short => "**short of the aim**, above what must be",
            Self::Missed => "**no**",
            Self::NotMeasured => "not measured",
            Self::Trial => "trial with tiny sizes",
        }
    }
}

impl Aim {
    /// An aim that may be missed, of what `section` measured.
    pub(super) fn of(
        section: &Section,
        what: &str,
        unit: Unit,
        goal: Goal,
        measured: Option<Spread>,
    ) -> Self {
        Self {
            what: what.to_owned(),
            unit,
            goal,
            least: None,
            measured,
            quick: section.quick,
        }
    }

    /// With what must be reached where the aim is more than that.
    pub(super) fn with_least(self, least: Goal) -> Self {
        Self {
            least: Some(least),
            ..self
        }
    }

    /// How it went.
    pub(crate) fn verdict(&self) -> Verdict {
        let Some(Spread { median, .. }) = self.measured else {
            return Verdict::NotMeasured;
        };
        if self.quick {
            return Verdict::Trial;
        }
        match (self.goal.is_met(median), self.least) {
            (true, _) => Verdict::Reached,
            (false, Some(least)) if least.is_met(median) => Verdict::Short,
            (false, _) => Verdict::Missed,
        }
    }
}

/// All aims, in the order of the page.
pub(crate) fn all(report: &Report) -> Vec<Aim> {
    let empty = Section::default();
    let section = |name| report.sections.get(name).unwrap_or(&empty);
    let mut aims = engine_aims(section(ENGINE));
    aims.extend(writer_aims(section(WRITERS)));
    aims.extend(open_aims(section(OPEN)));
    aims.extend(server_aims(section(SERVER)));
    aims
}

fn engine_aims(section: &Section) -> Vec<Aim> {
    let ours = Name::Kvs.text();
    let against_best = |figure| {
        let peers = [Name::Sled, Name::Redb, Name::Fjall].map(|peer| (peer.text(), figure));
        section.ratio((ours, figure), &peers)
    };
    let aim = |what, goal, measured| Aim::of(section, what, Unit::Times, goal, measured);
    vec![
        aim(
            "put in batches, against the best of sled, redb, fjall",
            Goal::AtLeast(2.0),
            against_best("put_batch_per_s"),
        ),
        aim(
            "put one by one, against the best of them",
            Goal::AtLeast(1.3),
            against_best("put_single_per_s"),
        ),
        aim(
            "random get, against the best of them",
            Goal::AtLeast(1.5),
            against_best("get_per_s"),
        ),
        aim(
            "time for the course's large pairs, against a plain file",
            Goal::AtMost(1.1),
            section.ratio((ours, "large_s"), &[(engine::FILE, "large_s")]),
        ),
    ]
}

fn writer_aims(section: &Section) -> Vec<Aim> {
    let aim = |what: &str, unit, goal, measured| Aim::of(section, what, unit, goal, measured);
    vec![
        aim(
            "acknowledged writes per fdatasync, 64 writers",
            Unit::Count,
            Goal::AtLeast(20.0),
            section.spread(writers::WRITERS, "writes_per_sync"),
        ),
        aim(
            "99th percentile of a write during compaction, 64 writers",
            Unit::Milliseconds,
            Goal::AtMost(0.020),
            section.spread(writers::COMPACTING, "p99_s"),
        ),
    ]
}

fn open_aims(section: &Section) -> Vec<Aim> {
    let aim = |what: &str, unit, goal, measured| Aim::of(section, what, unit, goal, measured);
    let memory = |subject: &str| {
        aim(
            &format!("memory per key beyond the key, opened {subject}"),
            Unit::Bytes,
            Goal::AtMost(64.0),
            section.spread(subject, "bytes_per_key"),
        )
        .with_least(Goal::AtMost(96.0))
    };
    vec![
        aim(
            "open after a clean close",
            Unit::Seconds,
            Goal::AtMost(1.0),
            section.spread(open::CLEAN, "open_s"),
        ),
        aim(
            "open after a crash",
            Unit::Seconds,
            Goal::AtMost(2.0),
            section.spread(open::CRASH, "open_s"),
        ),
        memory(open::CLEAN),
        memory(open::CRASH),
        aim(
            "disk after overwriting everything, against 2 x live data + 2 segments",
            Unit::Times,
            Goal::AtMost(1.0),
            disk_against_allowed(section, "settled_bytes"),
        ),
    ]
}

/// Bytes on disk divided by twice the live data and two segments.
pub(crate) fn disk_against_allowed(section: &Section, figure: &str) -> Option<Spread> {
    let live = section.spread(open::OVERWRITE, "live_bytes")?.median;
    let allowed = 2.0 * live + 2.0 * section.size("segment_bytes");
    let disk = section.spread(open::OVERWRITE, figure)?;
    Some(disk.map(|bytes| bytes / allowed))
}

fn server_aims(section: &Section) -> Vec<Aim> {
    let mut aims = Vec::new();
    for policy in POLICIES {
        for pipeline in PIPELINES {
            for command in COMMANDS {
                let figure = figure(policy, pipeline, command);
                let [ours, redis] = [Server::Kvs, Server::Redis].map(Server::text);
                let depth = match pipeline {
                    1 => String::new(),
                    depth => format!(" with -P {depth}"),
                };
                let what = format!("{command}{depth}, {} against {}", policy.kvs, policy.redis);
                let measured = section.ratio((ours, &figure), &[(redis, &figure)]);
                let goal = Goal::AtLeast(1.0);
                let aim = Aim::of(section, &what, Unit::Times, goal, measured);
                aims.push(aim.with_least(Goal::AtLeast(0.8)));
            }
        }
    }
    aims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aim(goal: Goal, least: Option<Goal>, median: Option<f64>) -> Aim {
        Aim {
            what: "something".into(),
            unit: Unit::Times,
            goal,
            least,
            measured: median.and_then(|value| Spread::of(vec![value])),
            quick: false,
        }
    }

    #[test]
    fn a_verdict_follows_from_the_median() {
        let verdict = |goal, median| aim(goal, None, median).verdict();
        assert_eq!(verdict(Goal::AtLeast(2.0), Some(2.0)), Verdict::Reached);
        assert_eq!(verdict(Goal::AtLeast(2.0), Some(1.99)), Verdict::Missed);
        assert_eq!(verdict(Goal::AtMost(1.1), Some(1.1)), Verdict::Reached);
        assert_eq!(verdict(Goal::AtMost(1.1), Some(1.11)), Verdict::Missed);
        assert_eq!(verdict(Goal::AtMost(1.1), None), Verdict::NotMeasured);
    }

    #[test]
    fn between_the_aim_and_what_must_be_is_short() {
        let verdict = |median| {
            let least = Some(Goal::AtLeast(0.8));
            aim(Goal::AtLeast(1.0), least, Some(median)).verdict()
        };
        assert_eq!(verdict(1.0), Verdict::Reached);
        assert_eq!(verdict(0.9), Verdict::Short);
        assert_eq!(verdict(0.79), Verdict::Missed);
    }

    #[test]
    fn a_trial_reaches_nothing() {
        let mut aim = aim(Goal::AtLeast(1.0), None, Some(100.0));
        aim.quick = true;
        assert_eq!(aim.verdict(), Verdict::Trial);
    }

    #[test]
    fn without_results_nothing_is_reached() {
        let aims = all(&Report::default());
        assert!(aims.iter().all(|aim| aim.verdict() == Verdict::NotMeasured));
        let servers = aims.iter().filter(|aim| aim.what.contains(" against "));
        assert!(servers.count() >= 8);
    }
}
