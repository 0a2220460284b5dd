//! The page of transactions: a template with tables, and the plots.

use std::path::Path;

use super::{ASKERS, Case, Commit, Contention, SIZES, STORE, TRANSACTIONS};
use crate::bench::aims::{Aim, Goal, Unit};
use crate::bench::error::{Result, doing};
use crate::bench::page::{
    aims_table, fill, measured, milliseconds, shown, table, thousands, with_range,
};
use crate::bench::plots::{self, Bars};
use crate::bench::report::{Report, Section, Spread};

const TEMPLATE: &str = include_str!("page.template");

/// Writes the page and the plots into `out`.
pub(crate) fn write(report: &Report, out: &Path) -> Result<()> {
    let plots = out.join("plots");
    std::fs::create_dir_all(&plots).map_err(doing("create the folder of the plots"))?;
    let empty = Section::default();
    let section = report.sections.get(TRANSACTIONS).unwrap_or(&empty);
    draw_keys(section, &plots.join("txn-keys.svg"))?;
    draw_latencies(section, &plots.join("txn-latency.svg"))?;
    let texts = [
        ("aims", aims_table(&aims(section))),
        ("reads", reads_table(section)),
        ("writes", writes_table(section)),
        ("contention", contention_table(section)),
        ("timestamps", timestamps_table(section)),
        ("measured", measured(report)),
    ];
    fill(out, "benchmarks-txn", TEMPLATE, &texts)
}

fn of(section: &Section, case: Case, what: &str) -> Option<Spread> {
    section.spread(STORE, &case.figure(what))
}

fn ratio(section: &Section, case: Case, to: Case) -> Option<Spread> {
    let [ours, other] = [case, to].map(|case| case.figure("per_s"));
    section.ratio((STORE, &ours), &[(STORE, &other)])
}

fn times(spread: Option<Spread>) -> String {
    with_range(spread, |value| Unit::Times.text(value))
}

fn aims(section: &Section) -> Vec<Aim> {
    let rates = [
        (
            "gets at a timestamp, against raw gets",
            Case::Get,
            Case::RawGet,
            0.90,
        ),
        (
            "keys committed in two phases, against raw puts",
            Case::optimistic(Commit::TwoPhase, 1),
            Case::RawPut(1),
            0.30,
        ),
        (
            "keys committed asynchronously, against raw puts",
            Case::optimistic(Commit::Async, 1),
            Case::RawPut(1),
            0.35,
        ),
        (
            "keys committed in one phase, against raw puts",
            Case::optimistic(Commit::OnePhase, 1),
            Case::RawPut(1),
            0.50,
        ),
    ];
    let rates = rates.map(|(what, case, to, goal)| {
        let measured = ratio(section, case, to);
        Aim::of(section, what, Unit::Times, Goal::AtLeast(goal), measured)
    });
    let timestamps = [
        ("timestamps over one stream", Case::TimestampStream, 1e6),
        ("timestamps through the client", Case::Timestamp, 2e5),
    ];
    let timestamps = timestamps.map(|(what, case, goal)| {
        let unit = Unit::ThousandsPerSecond;
        let measured = of(section, case, "per_s");
        Aim::of(section, what, unit, Goal::AtLeast(goal), measured)
    });
    rates.into_iter().chain(timestamps).collect()
}

fn latencies(section: &Section, case: Case) -> [String; 2] {
    ["p50_s", "p99_s"].map(|what| shown(of(section, case, what), milliseconds))
}

fn reads_table(section: &Section) -> String {
    let rows = [
        ("raw get", Case::RawGet),
        ("get at a timestamp acquired before", Case::Get),
        ("begin, and one get", Case::BeginAndGet),
    ];
    let rows = rows.map(|(what, case)| {
        let [p50, p99] = latencies(section, case);
        [
            what.to_owned(),
            shown(of(section, case, "per_s"), thousands),
            times(ratio(section, case, Case::RawGet)),
            p50,
            p99,
        ]
    });
    table(["", "/s", "against raw gets", "p50", "p99"], rows)
}

/// The case for so many keys at a time.
type BySize = fn(usize) -> Case;

/// What is written: a name, and the case.
const WRITES: [(&str, BySize); 5] = [
    ("raw put", Case::RawPut),
    ("two phases", |size| {
        Case::optimistic(Commit::TwoPhase, size)
    }),
    ("asynchronous", |size| Case::optimistic(Commit::Async, size)),
    ("one phase", |size| Case::optimistic(Commit::OnePhase, size)),
    ("two phases, pessimistic", |size| Case::Write {
        commit: Commit::TwoPhase,
        size,
        pessimistic: true,
        contention: Contention::Low,
    }),
];

fn writes_table(section: &Section) -> String {
    let rows = SIZES.into_iter().flat_map(|size| {
        WRITES.map(|(what, case)| {
            let case = case(size);
            let keys = of(section, case, "per_s").map(|rate| rate.map(|rate| rate * size as f64));
            let [p50, p99] = latencies(section, case);
            [
                format!("{what}, {size}"),
                shown(keys, thousands),
                times(ratio(section, case, Case::RawPut(size))),
                p50,
                p99,
            ]
        })
    });
    table(
        [
            "keys at a time",
            "keys /s",
            "against raw puts of as many",
            "p50",
            "p99",
        ],
        rows,
    )
}

fn contention_table(section: &Section) -> String {
    let kinds = [Contention::Low, Contention::High].into_iter();
    let kinds = kinds.flat_map(|contention| [false, true].map(|kind| (contention, kind)));
    let rows = kinds.flat_map(|(contention, pessimistic)| {
        SIZES.map(|size| {
            let case = Case::Write {
                commit: Commit::TwoPhase,
                size,
                pessimistic,
                contention,
            };
            let kind = if pessimistic {
                "pessimistic"
            } else {
                "optimistic"
            };
            let share = of(section, case, "conflicts");
            let [p50, p99] = latencies(section, case);
            [
                format!("{}, {kind}, {size}", contention.text()),
                shown(of(section, case, "per_s"), thousands),
                shown(share, |share| format!("{:.1} %", share * 100.0)),
                p50,
                p99,
            ]
        })
    });
    table(
        [
            "contention, kind, keys",
            "transactions /s",
            "ended in a conflict",
            "p50",
            "p99",
        ],
        rows,
    )
}

fn timestamps_table(section: &Section) -> String {
    let rows = [
        (
            format!("through the client, {ASKERS} tasks"),
            Case::Timestamp,
        ),
        (
            "one stream, 1000 at a time".to_owned(),
            Case::TimestampStream,
        ),
    ];
    let rows = rows.map(|(what, case)| {
        let [p50, p99] = latencies(section, case);
        [what, shown(of(section, case, "per_s"), thousands), p50, p99]
    });
    table(["", "timestamps /s", "p50", "p99"], rows)
}

fn draw_keys(section: &Section, path: &Path) -> Result<()> {
    let title = "Keys written per second by keys at a time";
    draw(path, title, "thousands per second", |case, size| {
        Some(of(section, case, "per_s")?.median * size as f64 / 1e3)
    })
}

fn draw_latencies(section: &Section, path: &Path) -> Result<()> {
    let title = "Median latency of a write by keys at a time";
    draw(path, title, "milliseconds", |case, _| {
        Some(of(section, case, "p50_s")?.median * 1e3)
    })
}

/// Bars for what is written optimistically, by keys at a time.
fn draw(
    path: &Path,
    title: &str,
    unit: &str,
    value: impl Fn(Case, usize) -> Option<f64>,
) -> Result<()> {
    let series = WRITES[..4].iter().map(|(what, case)| {
        let values = SIZES.map(|size| value(case(size), size));
        ((*what).to_owned(), values.to_vec())
    });
    let plot = Bars {
        title,
        unit,
        groups: SIZES.map(|size| size.to_string()).to_vec(),
        series: series.collect(),
        levels: Vec::new(),
        decimals: 1,
    };
    plots::bars(path, &plot)
}

#[cfg(test)]
mod tests {
    use super::super::CLIENTS;
    use super::*;
    use crate::bench::job::Figures;
    use crate::bench::report::Sample;

    #[test]
    fn the_page_holds_ratios_and_no_place_that_is_not_filled() {
        let mut figures = Figures::new();
        for case in Case::all() {
            let rate = match case {
                Case::RawGet | Case::RawPut(_) => 10_000.0,
                Case::Timestamp | Case::TimestampStream => 2e6,
                _ => 4_000.0,
            };
            figures.insert(case.figure("per_s"), rate);
            figures.insert(case.figure("p50_s"), 0.002);
        }
        let mut section = Section::default();
        section.samples.push(Sample::new(0, STORE, figures));
        let verdicts = aims(&section);
        let verdicts: Vec<_> = verdicts.iter().map(|aim| aim.verdict().text()).collect();
        assert_eq!(verdicts, ["**no**", "yes", "yes", "**no**", "yes", "yes"]);
        let mut report = Report::default();
        report.sections.insert(TRANSACTIONS.into(), section);
        let out = tempfile::tempdir().unwrap();
        write(&report, out.path()).unwrap();
        let page = std::fs::read_to_string(out.path().join("benchmarks-txn.md")).unwrap();
        assert!(page.contains("| two phases, 8 | 32 k | 0.40x"), "{page}");
        assert!(page.contains("2000 k/s"), "{page}");
        assert!(!page.contains("{{"), "{page}");
        for plot in ["txn-keys", "txn-latency"] {
            assert!(out.path().join(format!("plots/{plot}.svg")).exists());
        }
    }

    #[test]
    fn every_measurement_has_figures_of_its_own() {
        let all = Case::all();
        let names = all.iter().map(|case| case.figure("per_s"));
        let names: std::collections::BTreeSet<_> = names.collect();
        assert_eq!(names.len(), all.len());
        assert!(names.contains(&format!("raw-get --clients={CLIENTS} per_s")));
    }
}
