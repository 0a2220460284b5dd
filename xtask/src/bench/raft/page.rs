//! The page of the replicated store: a template with tables, and the plots.

use std::path::Path;

use super::cluster::Side;
use super::failover::subject;
use super::load::{Work, latency_figure, rate_figure};
use super::{FAILOVER, FAILOVERS, LOAD, READERS, WRITERS};
use crate::bench::aims::{Aim, Goal, Unit};
use crate::bench::error::{Result, doing};
use crate::bench::page::{
    aims_table, fill, measured, milliseconds, shown, table, thousands, with_range,
};
use crate::bench::plots::{self, Bars};
use crate::bench::report::{Report, Section, percentile};

const TEMPLATE: &str = include_str!("page.template");

/// Writes the page and the plots into `out`.
pub(crate) fn write(report: &Report, out: &Path) -> Result<()> {
    let plots = out.join("plots");
    std::fs::create_dir_all(&plots).map_err(doing("create the folder of the plots"))?;
    let empty = Section::default();
    let section = |name| report.sections.get(name).unwrap_or(&empty);
    draw_rates(section(LOAD), &plots.join("raft-put.svg"))?;
    draw_latencies(section(LOAD), &plots.join("raft-latency.svg"))?;
    draw_failover(section(FAILOVER), &plots.join("raft-failover.svg"))?;
    let texts = [
        ("aims", aims_table(&aims(section(LOAD)))),
        ("load", load_table(section(LOAD))),
        ("failover", failover_table(section(FAILOVER))),
        ("measured", measured(report)),
    ];
    fill(out, "benchmarks-raft", TEMPLATE, &texts)
}

fn cases() -> impl Iterator<Item = (Work, usize)> {
    let writes = WRITERS.into_iter().map(|clients| (Work::Put, clients));
    writes.chain([(Work::Get, READERS)])
}

/// Ours against etcd's.
fn ratio(section: &Section, figure: &str) -> Option<crate::bench::report::Spread> {
    let [etcd, ours] = [Side::Etcd, Side::Kvs].map(Side::text);
    section.ratio((ours, figure), &[(etcd, figure)])
}

fn aims(section: &Section) -> Vec<Aim> {
    let rates = [
        (Work::Put, 1, 1.5),
        (Work::Put, 64, 3.0),
        (Work::Put, 256, 4.0),
        (Work::Get, READERS, 5.0),
    ];
    let rates = rates.map(|(work, clients, goal)| {
        let what = format!("{} with {clients} client(s), against etcd", work.text());
        let measured = ratio(section, &rate_figure(work, clients));
        Aim::of(section, &what, Unit::Times, Goal::AtLeast(goal), measured)
    });
    let tails = WRITERS.map(|clients| {
        let what = format!("99th percentile of a put with {clients} client(s), against etcd");
        let measured = ratio(section, &latency_figure(Work::Put, clients, "p99"));
        Aim::of(section, &what, Unit::Times, Goal::AtMost(0.5), measured)
    });
    rates.into_iter().chain(tails).collect()
}

fn load_table(section: &Section) -> String {
    let [etcd, ours] = [Side::Etcd, Side::Kvs].map(Side::text);
    let rows = cases().map(|(work, clients)| {
        let rate = rate_figure(work, clients);
        let time = |side, percentile| {
            let figure = latency_figure(work, clients, percentile);
            shown(section.spread(side, &figure), milliseconds)
        };
        [
            format!("{}, {clients}", work.text()),
            shown(section.spread(ours, &rate), thousands),
            shown(section.spread(etcd, &rate), thousands),
            with_range(ratio(section, &rate), |value| Unit::Times.text(value)),
            time(ours, "p50"),
            time(etcd, "p50"),
            time(ours, "p99"),
            time(etcd, "p99"),
        ]
    });
    table(
        [
            "clients",
            "kvs-node /s",
            "etcd /s",
            "ratio",
            "p50 of kvs-node",
            "p50 of etcd",
            "p99 of kvs-node",
            "p99 of etcd",
        ],
        rows,
    )
}

/// The downtimes of a side in seconds, sorted.
fn downtimes(section: &Section, subject: &str) -> Vec<f64> {
    let samples = section.samples.iter();
    let samples = samples.filter(|sample| sample.subject == subject);
    let mut times: Vec<_> = samples
        .filter_map(|sample| sample.figures.get("downtime_s").copied())
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn failover_table(section: &Section) -> String {
    let rows = FAILOVERS.map(|setup| {
        let subject = subject(setup.side, setup.election_timeout_ms);
        let times = downtimes(section, &subject);
        let at = |share| {
            let value = percentile(&times, share);
            value.map_or_else(|| "-".to_owned(), |value| format!("{:.0} ms", value * 1e3))
        };
        [
            subject,
            times.len().to_string(),
            at(0.0),
            at(0.5),
            at(0.9),
            at(1.0),
        ]
    });
    table(["", "trials", "shortest", "median", "p90", "longest"], rows)
}

fn draw_rates(section: &Section, path: &Path) -> Result<()> {
    draw_cases(
        section,
        path,
        "Three nodes: puts of 100 bytes and linearizable gets by number of clients",
        "thousands per second",
        |work, clients| (rate_figure(work, clients), 1e-3),
    )
}

fn draw_latencies(section: &Section, path: &Path) -> Result<()> {
    draw_cases(
        section,
        path,
        "99th percentile of the latency by number of clients",
        "milliseconds",
        |work, clients| (latency_figure(work, clients, "p99"), 1e3),
    )
}

/// Bars for every case and both sides: the median of a figure, times a factor.
fn draw_cases(
    section: &Section,
    path: &Path,
    title: &'static str,
    unit: &'static str,
    figure: impl Fn(Work, usize) -> (String, f64),
) -> Result<()> {
    let series = [Side::Kvs, Side::Etcd].map(|side| {
        let values = cases().map(|(work, clients)| {
            let (name, factor) = figure(work, clients);
            Some(section.spread(side.text(), &name)?.median * factor)
        });
        (side.text().to_owned(), values.collect())
    });
    let plot = Bars {
        title,
        unit,
        groups: cases()
            .map(|(work, clients)| format!("{}, {clients}", work.text()))
            .collect(),
        series: series.to_vec(),
        levels: Vec::new(),
        decimals: 1,
    };
    plots::bars(path, &plot)
}

fn draw_failover(section: &Section, path: &Path) -> Result<()> {
    let shares = [("median", 0.5), ("p90", 0.9), ("longest", 1.0)];
    let series = FAILOVERS.map(|setup| {
        let subject = subject(setup.side, setup.election_timeout_ms);
        let times = downtimes(section, &subject);
        let values = shares.map(|(_, share)| Some(percentile(&times, share)? * 1e3));
        (subject, values.to_vec())
    });
    let plot = Bars {
        title: "From SIGKILL of the leader to the next acknowledged write",
        unit: "milliseconds",
        groups: shares.map(|(name, _)| name.to_owned()).to_vec(),
        series: series.to_vec(),
        levels: Vec::new(),
        decimals: 0,
    };
    plots::bars(path, &plot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::job::Figures;
    use crate::bench::report::Sample;

    #[test]
    fn the_page_holds_ratios_downtimes_and_no_place_that_is_not_filled() {
        let mut load = Section::default();
        for (side, rate) in [(Side::Kvs, 3000.0), (Side::Etcd, 1000.0)] {
            let figures = cases().map(|(work, clients)| (rate_figure(work, clients), rate));
            let figures: Figures = figures.collect();
            load.samples.push(Sample::new(0, side.text(), figures));
        }
        let mut failover = Section::default();
        for trial in 0..10_u8 {
            let seconds = f64::from(trial + 1) / 10.0;
            let figures = Figures::from([("downtime_s".to_owned(), seconds)]);
            let sample = Sample::new(trial.into(), &subject(Side::Kvs, 150), figures);
            failover.samples.push(sample);
        }
        let mut report = Report::default();
        report.sections.insert(LOAD.into(), load);
        report.sections.insert(FAILOVER.into(), failover);
        let out = tempfile::tempdir().unwrap();
        write(&report, out.path()).unwrap();
        let page = std::fs::read_to_string(out.path().join("benchmarks-raft.md")).unwrap();
        assert!(page.contains("| put, 64 | 3.0 k | 1.0 k | 3.00x"), "{page}");
        assert!(page.contains("| kvs-node, 150 ms | 10 | 100 ms | 500 ms | 900 ms | 1000 ms |"));
        assert!(!page.contains("{{"), "{page}");
        for plot in ["raft-put", "raft-latency", "raft-failover"] {
            assert!(out.path().join(format!("plots/{plot}.svg")).exists());
        }
    }
}
