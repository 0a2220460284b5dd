//! The page of the prover: a template with tables, and the plots.

use std::path::Path;

use super::{CIRCOM, Circuit, HASHED, HASHES, PROVE, PROVED, Side, WITNESS, figure};
use crate::bench::aims::{Aim, Goal, Unit};
use crate::bench::error::{Result, doing};
use crate::bench::page::{aims_table, fill, measured, mebibytes, shown, table, with_range};
use crate::bench::plots::{self, Bars};
use crate::bench::report::{Report, Section, Spread};

const TEMPLATE: &str = include_str!("page.template");

/// Writes the page and the plots into `out`.
pub(crate) fn write(report: &Report, out: &Path) -> Result<()> {
    let plots = out.join("plots");
    std::fs::create_dir_all(&plots).map_err(doing("create the folder of the plots"))?;
    let empty = Section::default();
    let section = |name| report.sections.get(name).unwrap_or(&empty);
    let prove = section(PROVE);
    draw_ratios(prove, &plots.join("zk-ratio.svg"))?;
    draw_memory(prove, &plots.join("zk-memory.svg"))?;
    let texts = [
        ("aims", aims_table(&aims(prove))),
        ("circuits", circuits_table(prove)),
        ("prove", prove_table(prove)),
        ("process", process_table(prove)),
        ("memory", memory_table(prove)),
        ("verify", verify_table(prove)),
        ("witness", witness_table(section(WITNESS))),
        ("hashes", hashes_table(section(HASHES))),
        ("measured", measured(report)),
    ];
    fill(out, "benchmarks-zk", TEMPLATE, &texts)
}

/// The figure `what` of a circuit by a side.
fn of(section: &Section, side: Side, circuit: Circuit, what: &str) -> Option<Spread> {
    section.spread(side.text(), &figure(circuit.name(), what))
}

/// The figure of `side` against ours: how many times faster or smaller ours is.
fn against(section: &Section, side: Side, circuit: Circuit, what: &str) -> Option<Spread> {
    let figure = figure(circuit.name(), what);
    section.ratio((side.text(), &figure), &[(Side::Ours.text(), &figure)])
}

fn times(ratio: Option<Spread>) -> String {
    with_range(ratio, |value| Unit::Times.text(value))
}

/// In the unit that leaves few digits.
fn duration(seconds: f64) -> String {
    match seconds {
        ..1e-3 => format!("{:.2} µs", seconds * 1e6),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

fn aims(section: &Section) -> Vec<Aim> {
    let aim = |what: &str, unit, goal, measured| Aim::of(section, what, unit, goal, measured);
    let mixer = |what| of(section, Side::Ours, Circuit::Mixer, what);
    let snarkjs = |what| against(section, Side::Snarkjs, Circuit::Mixer, what);
    let mut aims = vec![
        aim(
            "proving the mixer in process",
            Unit::Milliseconds,
            Goal::AtMost(0.030),
            mixer("prove_s"),
        )
        .with_least(Goal::AtMost(0.060)),
        aim(
            "the mixer in process, snarkjs' time against keyproof's",
            Unit::Times,
            Goal::AtLeast(12.0),
            snarkjs("prove_s"),
        ),
        aim(
            "the mixer as a whole process, snarkjs' time against keyproof's",
            Unit::Times,
            Goal::AtLeast(12.0),
            snarkjs("process_s"),
        ),
    ];
    aims.extend(PROVED.map(|circuit| {
        let what = format!(
            "{} in process, ark-groth16's time against keyproof's",
            circuit.title()
        );
        let ratio = against(section, Side::Arkworks, circuit, "prove_s");
        aim(&what, Unit::Times, Goal::AtLeast(1.0), ratio)
    }));
    aims.push(aim(
        "loading the mixer's key with all checks",
        Unit::Milliseconds,
        Goal::AtMost(0.047),
        mixer("load_s"),
    ));
    aims
}

/// A recorded size, if it was.
fn size(section: &Section, circuit: Circuit, what: &str, text: impl Fn(f64) -> String) -> String {
    match section.size(&figure(circuit.name(), what)) {
        0.0 => "-".to_owned(),
        value => text(value),
    }
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn circuits_table(section: &Section) -> String {
    let rows = PROVED.map(|circuit| {
        [
            circuit.title().to_owned(),
            size(section, circuit, "constraints", whole),
            size(section, circuit, "wires", whole),
            size(section, circuit, "zkey_bytes", |bytes| {
                format!("{:.1} MiB", bytes / f64::from(1 << 20))
            }),
        ]
    });
    table(["circuit", "constraints", "wires", "key"], rows)
}

fn prove_table(section: &Section) -> String {
    let rows = PROVED.map(|circuit| {
        let time = |side| shown(of(section, side, circuit, "prove_s"), duration);
        let ratio = |side| times(against(section, side, circuit, "prove_s"));
        [
            circuit.title().to_owned(),
            time(Side::Ours),
            time(Side::Arkworks),
            time(Side::Snarkjs),
            ratio(Side::Arkworks),
            ratio(Side::Snarkjs),
        ]
    });
    table(
        [
            "circuit",
            "keyproof",
            "ark-groth16",
            "snarkjs",
            "ark-groth16 / keyproof",
            "snarkjs / keyproof",
        ],
        rows,
    )
}

fn process_table(section: &Section) -> String {
    let rows = PROVED.map(|circuit| {
        let time = |side, what| shown(of(section, side, circuit, what), duration);
        [
            circuit.title().to_owned(),
            time(Side::Ours, "process_s"),
            time(Side::Ours, "first_process_s"),
            time(Side::Snarkjs, "process_s"),
            times(against(section, Side::Snarkjs, circuit, "process_s")),
        ]
    });
    table(
        [
            "circuit",
            "zk-prove",
            "zk-prove, first time",
            "snarkjs",
            "snarkjs / zk-prove",
        ],
        rows,
    )
}

/// What has memory: a heading, a side and a figure.
const MEMORY: [(&str, Side, &str); 4] = [
    ("keyproof, in process", Side::Ours, "peak_bytes"),
    ("ark-groth16, in process", Side::Arkworks, "peak_bytes"),
    ("zk-prove", Side::Ours, "process_peak_bytes"),
    ("snarkjs", Side::Snarkjs, "process_peak_bytes"),
];

fn memory_table(section: &Section) -> String {
    let rows = PROVED.map(|circuit| {
        let [ours, arkworks, zk_prove, snarkjs] =
            MEMORY.map(|(_, side, what)| shown(of(section, side, circuit, what), mebibytes));
        [
            circuit.title().to_owned(),
            ours,
            arkworks,
            zk_prove,
            snarkjs,
        ]
    });
    let [ours, arkworks, zk_prove, snarkjs] = MEMORY.map(|(heading, _, _)| heading);
    table(["circuit", ours, arkworks, zk_prove, snarkjs], rows)
}

fn verify_table(section: &Section) -> String {
    let rows = PROVED.map(|circuit| {
        let time = |side, what| shown(of(section, side, circuit, what), duration);
        [
            circuit.title().to_owned(),
            with_range(of(section, Side::Ours, circuit, "load_s"), duration),
            time(Side::Ours, "verify_s"),
            time(Side::Arkworks, "verify_s"),
            time(Side::Snarkjs, "verify_s"),
        ]
    });
    table(
        [
            "circuit",
            "loading, keyproof",
            "verifying, keyproof",
            "ark-groth16",
            "snarkjs",
        ],
        rows,
    )
}

fn witness_table(section: &Section) -> String {
    let time = |side: Side, circuit: &str| {
        shown(
            section.spread(side.text(), &figure(circuit, "witness_s")),
            duration,
        )
    };
    let ours = PROVED.map(|circuit| {
        [
            format!("{}, circuit in Rust", circuit.title()),
            time(Side::Ours, circuit.name()),
            "-".to_owned(),
        ]
    });
    let circom = [
        "mixer, circuit in Circom".to_owned(),
        time(Side::Ours, CIRCOM),
        time(Side::Snarkjs, CIRCOM),
    ];
    table(
        ["witness", "keyproof", "snarkjs"],
        ours.into_iter().chain([circom]),
    )
}

fn hashes_table(section: &Section) -> String {
    let rows = HASHED.map(|circuit| {
        let time = |what| shown(of(section, Side::Ours, circuit, what), duration);
        [
            circuit.title().to_owned(),
            size(section, circuit, "constraints", whole),
            time("witness_s"),
            time("prove_s"),
            time("native_s"),
        ]
    });
    table(["hash", "constraints", "witness", "proof", "native"], rows)
}

fn draw_ratios(section: &Section, path: &Path) -> Result<()> {
    let sides = [Side::Arkworks, Side::Snarkjs];
    let series = sides.map(|side| {
        let ratios = PROVED.map(|circuit| Some(against(section, side, circuit, "prove_s")?.median));
        (format!("against {}", side.text()), ratios.to_vec())
    });
    let plot = Bars {
        title: "Proving in process: how many times faster keyproof is",
        unit: "times",
        groups: PROVED.map(|circuit| circuit.title().to_owned()).to_vec(),
        series: series.to_vec(),
        levels: vec![1.0, 12.0],
        decimals: 1,
    };
    plots::bars(path, &plot)
}

fn draw_memory(section: &Section, path: &Path) -> Result<()> {
    let series = MEMORY.map(|(heading, side, what)| {
        let values = PROVED.map(|circuit| {
            let bytes = of(section, side, circuit, what)?.median;
            Some(bytes / f64::from(1 << 20))
        });
        (heading.to_owned(), values.to_vec())
    });
    let plot = Bars {
        title: "Most memory while proving",
        unit: "MiB",
        groups: PROVED.map(|circuit| circuit.title().to_owned()).to_vec(),
        series: series.to_vec(),
        levels: Vec::new(),
        decimals: 0,
    };
    plots::bars(path, &plot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::aims::Verdict;
    use crate::bench::job::Figures;
    use crate::bench::report::Sample;

    /// Everybody proves everything in so many seconds.
    fn section(ours: f64, arkworks: f64, snarkjs: f64) -> Section {
        let mut section = Section::default();
        let sides = [
            (Side::Ours, ours),
            (Side::Arkworks, arkworks),
            (Side::Snarkjs, snarkjs),
        ];
        for (side, seconds) in sides {
            for circuit in PROVED {
                let figures = [
                    "prove_s",
                    "process_s",
                    "first_process_s",
                    "load_s",
                    "verify_s",
                ];
                let figures = figures.map(|what| (figure(circuit.name(), what), seconds));
                let sample = Sample::new(0, side.text(), Figures::from(figures));
                section.samples.push(sample);
            }
        }
        section
    }

    fn verdict(section: &Section, start: &str) -> Verdict {
        let aims = aims(section);
        let aim = aims.iter().find(|aim| aim.what.starts_with(start));
        aim.unwrap().verdict()
    }

    #[test]
    fn the_mixer_must_take_60_ms_and_is_wished_to_take_30() {
        let of = |seconds| verdict(&section(seconds, 1.0, 1.0), "proving the mixer");
        assert_eq!(of(0.030), Verdict::Reached);
        assert_eq!(of(0.045), Verdict::Short);
        assert_eq!(of(0.061), Verdict::Missed);
    }

    #[test]
    fn slower_than_a_peer_is_a_miss() {
        let arkworks = |seconds| verdict(&section(0.1, seconds, 1.0), "synthetic in process");
        assert_eq!(arkworks(0.11), Verdict::Reached);
        assert_eq!(arkworks(0.09), Verdict::Missed);
        let snarkjs = |seconds| verdict(&section(0.1, 1.0, seconds), "the mixer as a whole");
        assert_eq!(snarkjs(1.3), Verdict::Reached);
        assert_eq!(snarkjs(1.1), Verdict::Missed);
        let loading = |seconds| verdict(&section(seconds, 1.0, 1.0), "loading");
        assert_eq!(loading(0.040), Verdict::Reached);
        assert_eq!(loading(0.050), Verdict::Missed);
    }

    #[test]
    fn without_results_nothing_is_reached() {
        let aims = aims(&Section::default());
        assert!(aims.iter().all(|aim| aim.verdict() == Verdict::NotMeasured));
    }

    #[test]
    fn durations_have_the_unit_that_suits_them() {
        assert_eq!(duration(1.5e-6), "1.50 µs");
        assert_eq!(duration(0.0457), "45.7 ms");
        assert_eq!(duration(12.5), "12.50 s");
    }

    #[test]
    fn the_page_holds_times_ratios_and_no_place_that_is_not_filled() {
        let mut prove = section(0.05, 0.15, 0.75);
        prove.set(&figure("mixer", "constraints"), 3476.0);
        let mut report = Report::default();
        report.sections.insert(PROVE.into(), prove);
        let out = tempfile::tempdir().unwrap();
        write(&report, out.path()).unwrap();
        let page = std::fs::read_to_string(out.path().join("benchmarks-zk.md")).unwrap();
        let row = "| mixer | 50.0 ms | 150.0 ms | 750.0 ms | 3.00x (3.00x to 3.00x) | 15.00x";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("| mixer | 3476 | - | - |"), "{page}");
        assert!(!page.contains("{{"), "{page}");
        for plot in ["zk-ratio", "zk-memory"] {
            assert!(out.path().join(format!("plots/{plot}.svg")).exists());
        }
    }
}
