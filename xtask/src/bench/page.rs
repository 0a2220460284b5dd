//! The page: a template of prose with a table in place of each `{{name}}`, and the plots.

use std::fmt::Write;
use std::path::Path;

use super::aims::{self, Aim, Unit, disk_against_allowed};
use super::error::{Result, doing};
use super::plots::{self, Bars, Latencies};
use super::report::{Report, Section, Spread};
use super::server::{COMMANDS, PIPELINES, POLICIES, Server, figure, latency_figure};
use super::stores::Name;
use super::writers::PERCENTILES;
use super::{ENGINE, OPEN, SERVER, WRITERS, engine, open, writers};

const TEMPLATE: &str = include_str!("page.template");
/// Written by hand: what holds back what falls short. It becomes part of the page.
const FINDINGS: &str = "benchmarks-findings.md";
const NOTHING: &str = "-";

/// Writes the page and the plots into `out`.
pub(crate) fn write(report: &Report, out: &Path) -> Result<()> {
    let plots = out.join("plots");
    std::fs::create_dir_all(&plots).map_err(doing("create the folder of the plots"))?;
    draw(report, &plots)?;
    let findings = std::fs::read_to_string(out.join(FINDINGS)).unwrap_or_default();
    std::fs::write(out.join("benchmarks.md"), page(report, &findings))
        .map_err(doing("write the page"))
}

/// Fills a template and writes it to the file `name` of `out`. Findings are written by hand, beside it.
pub(crate) fn fill(out: &Path, name: &str, template: &str, texts: &[(&str, String)]) -> Result<()> {
    let findings = out.join(format!("{name}-findings.md"));
    let findings = std::fs::read_to_string(findings).unwrap_or_default();
    let mut page = template.replace("{{findings}}", noted(&findings));
    for (name, text) in texts {
        page = page.replace(&format!("{{{{{name}}}}}"), text.trim_end());
    }
    let path = out.join(format!("{name}.md"));
    std::fs::write(&path, page).map_err(doing("write the page"))?;
    eprintln!("bench: wrote {}", path.display());
    Ok(())
}

fn noted(findings: &str) -> &str {
    match findings.trim() {
        "" => "Nothing is noted yet.",
        findings => findings,
    }
}

fn page(report: &Report, findings: &str) -> String {
    let empty = Section::default();
    let section = |name| report.sections.get(name).unwrap_or(&empty);
    let findings = noted(findings);
    let parts = [
        ("aims", aims_table(&aims::all(report))),
        ("engine", engine_table(section(ENGINE))),
        ("large", large_table(section(ENGINE))),
        ("writers", writers_table(section(WRITERS))),
        ("open", open_table(section(OPEN))),
        ("disk", disk_table(section(OPEN))),
        ("server", server_table(section(SERVER))),
        ("measured", measured(report)),
        ("findings", findings.to_owned()),
    ];
    let mut page = TEMPLATE.to_owned();
    for (name, text) in parts {
        page = page.replace(&format!("{{{{{name}}}}}"), text.trim_end());
    }
    page
}

/// A Markdown table; all columns but the first to the right.
pub(super) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut text = format!("| {} |\n|---|{}\n", head.join(" | "), "---:|".repeat(N - 1));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

pub(super) fn shown(value: Option<Spread>, text: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |spread| text(spread.median))
}

pub(super) fn with_range(value: Option<Spread>, text: impl Fn(f64) -> String) -> String {
    value.map_or_else(
        || NOTHING.to_owned(),
        |Spread {
             median,
             least,
             most,
         }| { format!("{} ({} to {})", text(median), text(least), text(most)) },
    )
}

pub(super) fn thousands(per_s: f64) -> String {
    match per_s {
        ..1000.0 => format!("{per_s:.0}"),
        ..10_000.0 => format!("{:.1} k", per_s / 1e3),
        _ => format!("{:.0} k", per_s / 1e3),
    }
}

pub(super) fn mebibytes(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / f64::from(1 << 20))
}

pub(super) fn milliseconds(seconds: f64) -> String {
    Unit::Milliseconds.text(seconds)
}

pub(super) fn aims_table(aims: &[Aim]) -> String {
    let rows = aims.iter().map(|aim| {
        let mut goal = aim.goal.text(aim.unit);
        if let Some(least) = aim.least {
            let _ = write!(goal, "; must be {}", least.text(aim.unit));
        }
        let measured = with_range(aim.measured, |value| aim.unit.text(value));
        [
            aim.what.clone(),
            goal,
            measured,
            aim.verdict().text().to_owned(),
        ]
    });
    table(
        ["what", "aim", "measured: median (least to most)", "reached"],
        rows,
    )
}

fn engine_table(section: &Section) -> String {
    let rows = Name::ALL.map(|name| {
        let rate = |figure| shown(section.spread(name.text(), figure), thousands);
        let buffered = match name.has_choice_of_buffering() {
            true => rate("put_buffered_per_s"),
            false => rate("put_single_per_s"),
        };
        let single = rate("put_single_per_s");
        let bytes = |figure| shown(section.spread(name.text(), figure), mebibytes);
        [
            name.text().to_owned(),
            rate("put_batch_per_s"),
            single,
            buffered,
            rate("get_per_s"),
            bytes("rss_after_get_bytes"),
            bytes("disk_bytes"),
        ]
    });
    table(
        [
            "engine",
            "puts in batches /s",
            "single puts /s",
            "single puts, buffered /s",
            "random gets /s",
            "memory",
            "disk",
        ],
        rows,
    )
}

fn large_table(section: &Section) -> String {
    let engines = Name::ALL.into_iter().filter(|name| name.takes_long_keys());
    let subjects = std::iter::once(engine::FILE).chain(engines.map(Name::text));
    let rows = subjects.map(|subject| {
        let speed = section.spread(subject, "large_bytes_per_s");
        [
            subject.to_owned(),
            shown(section.spread(subject, "large_s"), milliseconds),
            shown(speed, |value| format!("{:.0} MB/s", value / 1e6)),
            with_range(
                section.ratio((subject, "large_s"), &[(engine::FILE, "large_s")]),
                |value| Unit::Times.text(value),
            ),
            shown(section.spread(subject, "large_get_per_s"), thousands),
        ]
    });
    table(
        [
            "",
            "write and sync",
            "speed",
            "time against the plain file",
            "random gets /s",
        ],
        rows,
    )
}

fn writers_table(section: &Section) -> String {
    let rows = [writers::SYNCS, writers::WRITERS, writers::COMPACTING].map(|subject| {
        let time = |figure| shown(section.spread(subject, figure), milliseconds);
        let [p50, p90, p99, p999] = PERCENTILES.map(|(figure, _)| time(figure));
        let per_sync = section.spread(subject, "writes_per_sync");
        [
            subject.to_owned(),
            shown(section.spread(subject, "writes_per_s"), thousands),
            shown(per_sync, |value| Unit::Count.text(value)),
            p50,
            p90,
            p99,
            p999,
            time("max_s"),
        ]
    });
    let mut text = table(
        [
            "",
            "writes /s",
            "writes per fdatasync",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "longest",
        ],
        rows,
    );
    let compacting = |figure| section.spread(writers::COMPACTING, figure);
    if let (Some(segments), Some(bytes), Some(share)) = (
        compacting("compacted_segments"),
        compacting("compacted_bytes"),
        compacting("compacting_share"),
    ) {
        let _ = writeln!(
            text,
            "\nIn the last row compaction replaced {:.0} segments by {} and ran {:.0} % of the time; only writes under way \
             while it ran count.",
            segments.median,
            mebibytes(bytes.median),
            share.median * 100.0
        );
    }
    text
}

fn open_table(section: &Section) -> String {
    let rows = [open::CLEAN, open::CRASH].map(|subject| {
        let whole = |figure| {
            shown(section.spread(subject, figure), |value| {
                format!("{value:.0}")
            })
        };
        [
            subject.to_owned(),
            with_range(section.spread(subject, "open_s"), |value| {
                Unit::Seconds.text(value)
            }),
            shown(section.spread(subject, "rss_bytes"), mebibytes),
            shown(section.spread(subject, "rss_most_bytes"), mebibytes),
            with_range(section.spread(subject, "bytes_per_key"), |value| {
                Unit::Bytes.text(value)
            }),
            whole("segments_hinted"),
            whole("segments_scanned"),
        ]
    });
    table(
        [
            "",
            "open",
            "memory",
            "most memory while opening",
            "per key beyond the key",
            "segments by hint",
            "segments read in full",
        ],
        rows,
    )
}

fn disk_table(section: &Section) -> String {
    let rows = [
        ("most, while writing", "most_bytes"),
        ("after the last write", "end_bytes"),
        ("after compaction came to rest", "settled_bytes"),
    ]
    .map(|(what, figure)| {
        let bytes = section.spread(open::OVERWRITE, figure);
        let live = section.spread(open::OVERWRITE, "live_bytes");
        let against_live = bytes
            .zip(live)
            .map(|(bytes, live)| bytes.map(|bytes| bytes / live.median));
        let times = |value| Unit::Times.text(value);
        [
            what.to_owned(),
            shown(bytes, mebibytes),
            shown(against_live, times),
            shown(disk_against_allowed(section, figure), times),
        ]
    });
    table(
        [
            "disk",
            "size",
            "against live data",
            "against 2 x live data + 2 segments",
        ],
        rows,
    )
}

fn server_table(section: &Section) -> String {
    let mut rows = Vec::new();
    let [ours, redis] = [Server::Kvs, Server::Redis].map(Server::text);
    for (policy, pipeline, command) in server_cases() {
        let rate = figure(policy, pipeline, command);
        let p99 = latency_figure(policy, pipeline, command);
        let ratio = section.ratio((ours, &rate), &[(redis, &rate)]);
        rows.push([
            format!(
                "{command}, {} / {}, -P {pipeline}",
                policy.kvs, policy.redis
            ),
            shown(section.spread(ours, &rate), thousands),
            shown(section.spread(redis, &rate), thousands),
            with_range(ratio, |value| Unit::Times.text(value)),
            shown(section.spread(ours, &p99), milliseconds),
            shown(section.spread(redis, &p99), milliseconds),
        ]);
    }
    table(
        [
            "",
            "kvs-server /s",
            "redis-server /s",
            "ratio",
            "p99 of kvs-server",
            "p99 of redis-server",
        ],
        rows,
    )
}

fn server_cases() -> impl Iterator<Item = (super::server::Policy, usize, &'static str)> {
    POLICIES.into_iter().flat_map(|policy| {
        PIPELINES
            .into_iter()
            .flat_map(move |pipeline| COMMANDS.map(|command| (policy, pipeline, command)))
    })
}

/// Where, when and how each section was measured.
pub(super) fn measured(report: &Report) -> String {
    let mut text = String::new();
    for (name, section) in &report.sections {
        let machine = &section.machine;
        let peers: Vec<_> = machine
            .peers
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let sizes: Vec<_> = section
            .sizes
            .iter()
            .map(|(name, value)| format!("{} {value}", name.replace('_', " ")))
            .collect();
        let trial = if section.quick {
            " **A trial with tiny sizes: the figures mean nothing.**"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "- **{name}**: `{}`, {}, {} runs, commit {}.{trial} {} cores of {}, {}, Linux {}, {}; load at the start {}; {}; \
             {}. Sizes: {}.",
            section.command,
            machine.date,
            section.runs,
            machine.commit,
            machine.cores,
            machine.processor,
            machine.memory,
            machine.kernel,
            machine.file_system,
            machine.load,
            machine.rustc,
            peers.join(", "),
            sizes.join(", "),
        );
        for note in &section.notes {
            let _ = writeln!(text, "  - {note}");
        }
    }
    if text.is_empty() {
        text.push_str("Nothing was measured yet.\n");
    }
    text
}

fn draw(report: &Report, plots: &Path) -> Result<()> {
    let empty = Section::default();
    let section = |name| report.sections.get(name).unwrap_or(&empty);
    draw_engine(section(ENGINE), &plots.join("engine.svg"))?;
    draw_writers(section(WRITERS), &plots.join("writers.svg"))?;
    draw_server(section(SERVER), &plots.join("server.svg"))
}

fn draw_engine(section: &Section, path: &Path) -> Result<()> {
    let measures = [
        ("puts in batches", "put_batch_per_s"),
        ("single puts", "put_single_per_s"),
        ("random gets", "get_per_s"),
    ];
    let series = Name::ALL.map(|name| {
        let values = measures.map(|(_, figure)| {
            let spread = section.spread(name.text(), figure)?;
            Some(spread.median / 1e3)
        });
        (name.text().to_owned(), values.to_vec())
    });
    let plot = Bars {
        title: "Engines: pairs of 24 + 100 bytes, thousands per second",
        unit: "thousands per second",
        groups: measures.map(|(name, _)| name.to_owned()).to_vec(),
        series: series.to_vec(),
        levels: Vec::new(),
        decimals: 0,
    };
    plots::bars(path, &plot)
}

fn draw_writers(section: &Section, path: &Path) -> Result<()> {
    let figures = PERCENTILES.iter().map(|(name, _)| *name).chain(["max_s"]);
    let figures: Vec<_> = figures.collect();
    let subjects = [writers::WRITERS, writers::COMPACTING, writers::SYNCS];
    let series = subjects.map(|subject| {
        let medians = figures.iter().filter_map(|figure| {
            let spread = section.spread(subject, figure)?;
            Some(spread.median * 1e3)
        });
        (subject.to_owned(), medians.collect())
    });
    let plot = Latencies {
        title: "Latency of a write, 64 writers, sync always",
        percentiles: vec!["p50", "p90", "p99", "p99.9", "longest"],
        series: series.to_vec(),
    };
    plots::latencies(path, &plot)
}

fn draw_server(section: &Section, path: &Path) -> Result<()> {
    let [ours, redis] = [Server::Kvs, Server::Redis].map(Server::text);
    let ratio = |(policy, pipeline, command)| {
        let rate = figure(policy, pipeline, command);
        let spread = section.ratio((ours, &rate), &[(redis, &rate)])?;
        Some(spread.median)
    };
    let name = |(policy, pipeline, command): (super::server::Policy, usize, &str)| {
        format!("{command} {} P{pipeline}", policy.kvs)
    };
    let plot = Bars {
        title: "kvs-server against redis-server, requests per second",
        unit: "ratio",
        groups: server_cases().map(name).collect(),
        series: vec![(
            "kvs-server / redis-server".to_owned(),
            server_cases().map(ratio).collect(),
        )],
        levels: vec![1.0, 0.8],
        decimals: 2,
    };
    plots::bars(path, &plot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::job::Figures;
    use crate::bench::report::Sample;

    fn report(ours: f64, redis: f64, quick: bool) -> Report {
        let mut section = Section {
            quick,
            runs: 1,
            ..Section::default()
        };
        for (server, value) in [(Server::Kvs, ours), (Server::Redis, redis)] {
            let figures: Figures = server_cases()
                .map(|(policy, pipeline, command)| (figure(policy, pipeline, command), value))
                .collect();
            section.samples.push(Sample::new(0, server.text(), figures));
        }
        section.note("something was skipped");
        let mut report = Report::default();
        report.sections.insert(SERVER.to_owned(), section);
        report
    }

    fn row<'a>(page: &'a str, start: &str) -> &'a str {
        page.lines().find(|line| line.starts_with(start)).unwrap()
    }

    #[test]
    fn a_shortfall_is_on_the_page_as_it_is() {
        let get = |ours| {
            let page = page(&report(ours, 100.0, false), "");
            row(&page, "| GET, always against always |").to_owned()
        };
        assert!(get(123.0).contains("1.23x") && get(123.0).ends_with("| yes |"));
        assert!(get(91.0).contains("0.91x") && get(91.0).contains("**short of the aim**"));
        assert!(get(50.0).contains("0.50x") && get(50.0).ends_with("| **no** |"));
    }

    #[test]
    fn a_trial_is_called_a_trial() {
        let page = page(&report(200.0, 100.0, true), "");
        assert!(!row(&page, "| SET, always against always |").contains("yes"));
        assert!(page.contains("the figures mean nothing"));
    }

    #[test]
    fn what_was_not_measured_or_skipped_is_said_and_no_placeholder_is_left() {
        let page = page(&report(1.0, 1.0, false), "It is the disk.");
        assert!(row(&page, "| open after a crash |").ends_with("| not measured |"));
        assert!(page.contains("something was skipped"));
        assert!(page.contains("It is the disk."));
        assert!(!page.contains("{{"));
    }

    #[test]
    fn page_and_plots_are_the_same_each_time_also_without_results() {
        let dir = tempfile::tempdir().unwrap();
        let report = report(3.0, 2.0, false);
        for report in [&Report::default(), &report] {
            let read = |file: &str| std::fs::read_to_string(dir.path().join(file)).unwrap();
            let files = [
                "benchmarks.md",
                "plots/engine.svg",
                "plots/writers.svg",
                "plots/server.svg",
            ];
            write(report, dir.path()).unwrap();
            let first = files.map(read);
            write(report, dir.path()).unwrap();
            assert_eq!(first, files.map(read));
        }
    }
}
