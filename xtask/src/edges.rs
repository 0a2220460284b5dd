//! Which crate may depend on which.
//!
//! [`TABLE`] is the architecture from the bottom up: a row may name only rows above it, so nothing points up and there
//! is no cycle. A crate without a row fails the check, as does a row without a crate. Dev-dependencies count too,
//! except on `storage` and `wire`: tests may use an engine or a client anywhere.

use std::collections::BTreeSet;

use crate::metadata::{Dependency, Metadata, Package};
use crate::run::{Error, report};

struct Row {
    name: &'static str,
    may_use: &'static [&'static str],
    reason: &'static str,
}

const TABLE: &[Row] = &[
    Row {
        name: "storage",
        may_use: &[],
        reason: "engines know neither protocol nor commands",
    },
    Row {
        name: "wire",
        may_use: &[],
        reason: "the protocol knows neither commands nor engines",
    },
    Row {
        name: "secrets",
        may_use: &[],
        reason: "reads and compares secrets, whatever they open",
    },
    Row {
        name: "commands",
        may_use: &["storage", "wire"],
        reason: "commands read through storage's traits and answer with wire's Reply; no server, no runtime",
    },
    Row {
        name: "raft",
        may_use: &[],
        reason: "the core decides over values; whoever drives it brings clock, network and disk",
    },
    Row {
        name: "raft-log",
        may_use: &["raft", "storage"],
        reason: "writes raft's types through storage's file and log layers; knows no engine and no commands",
    },
    Row {
        name: "project-1",
        may_use: &[],
        reason: "a map in memory needs nothing of ours",
    },
    Row {
        name: "project-2",
        may_use: &["storage", "commands"],
        reason: "a facade over the log engine in the key layout of the servers; no network yet",
    },
    Row {
        name: "project-3",
        may_use: &["storage", "wire", "commands"],
        reason: "a milestone imports what it does not teach, and never another milestone",
    },
    Row {
        name: "project-4",
        may_use: &["storage", "wire", "commands"],
        reason: "a milestone imports what it does not teach, and never another milestone",
    },
    Row {
        name: "project-5",
        may_use: &["storage", "wire", "secrets", "commands"],
        reason: "a milestone imports what it does not teach, and never another milestone",
    },
    Row {
        name: "replica",
        may_use: &["storage", "wire", "commands", "raft"],
        reason: "decides what a replica does; sockets, clocks and the log's file are its driver's",
    },
    Row {
        name: "history",
        may_use: &[],
        reason: "judges what clients saw, of whatever store",
    },
    Row {
        name: "percolator",
        may_use: &["storage", "history"],
        reason: "decides over storage's readers and gives back batches; who serves it brings clock, network and consensus",
    },
    Row {
        name: "proto",
        may_use: &[],
        reason: "generated code and nothing else",
    },
    Row {
        name: "kvstore-raft",
        may_use: &[
            "storage",
            "wire",
            "secrets",
            "commands",
            "raft",
            "raft-log",
            "replica",
            "percolator",
            "proto",
        ],
        reason: "the shell around a replica; milestones are not its parts",
    },
    Row {
        name: "raft-sim",
        may_use: &[
            "storage", "wire", "commands", "raft", "raft-log", "replica", "history",
        ],
        reason: "simulates what is around a replica: clock, network, disks, clients",
    },
    Row {
        name: "raft-model",
        may_use: &["raft"],
        reason: "checks the core alone, with nothing between",
    },
    Row {
        name: "kvs-admin",
        may_use: &["storage", "commands", "kvstore-raft"],
        reason: "works on data directories; of a replicated store also on running nodes, through the crate that knows both",
    },
    Row {
        name: "gadgets",
        may_use: &[],
        reason: "hashes, trees and ranges know no statement and no file",
    },
    Row {
        name: "proof",
        may_use: &[],
        reason: "proves what it is given; statements bring their circuits",
    },
    Row {
        name: "zk-store",
        may_use: &["storage", "gadgets", "proof"],
        reason: "the only crate that knows how trees and sets of numbers lie in an engine",
    },
    Row {
        name: "smart-contracts",
        may_use: &["gadgets", "proof"],
        reason: "verifies proofs and hashes as circuits do; knows no application",
    },
    Row {
        name: "statement-suite",
        may_use: &["proof", "smart-contracts"],
        reason: "one test suite for every statement and its contract; a dev-dependency only",
    },
    Row {
        name: "mixer",
        may_use: &[
            "storage",
            "zk-store",
            "gadgets",
            "proof",
            "statement-suite",
            "smart-contracts",
        ],
        reason: "an application imports what it does not teach, and never another application",
    },
    Row {
        name: "token-transfer",
        may_use: &[
            "storage",
            "zk-store",
            "gadgets",
            "proof",
            "statement-suite",
            "smart-contracts",
        ],
        reason: "an application imports what it does not teach, and never another application",
    },
    Row {
        name: "merkle-proof",
        may_use: &[
            "storage",
            "zk-store",
            "gadgets",
            "proof",
            "statement-suite",
            "smart-contracts",
        ],
        reason: "an application imports what it does not teach, and never another application",
    },
    Row {
        name: "password-verifier",
        may_use: &[
            "storage",
            "zk-store",
            "gadgets",
            "proof",
            "statement-suite",
            "smart-contracts",
        ],
        reason: "an application imports what it does not teach, and never another application",
    },
    Row {
        name: "zk-prove",
        may_use: &[
            "storage",
            "zk-store",
            "gadgets",
            "proof",
            "smart-contracts",
            "mixer",
            "token-transfer",
            "merkle-proof",
            "password-verifier",
        ],
        reason: "the command line over all applications",
    },
    Row {
        name: "tikv-compat",
        may_use: &["storage", "kvstore-raft", "proto", "history", "zk-prove"],
        reason: "another's client, storage's engine on it and an application on that, against nodes as processes: tests that need both halves",
    },
    Row {
        name: "xtask",
        may_use: &[
            "storage", "wire", "commands", "history", "raft-sim", "gadgets", "proof", "mixer",
        ],
        reason: "measures engines and the prover in-process, the latter on the mixer's circuit, and servers, clusters and zk-prove as the programs that users run",
    },
];

/// Crates that any crate's tests may use.
const FREE_FOR_TESTS: &[&str] = &["storage", "wire"];

/// `cargo xtask edges`.
pub(crate) fn run() -> Result<(), Error> {
    report(findings(&Metadata::read()?, TABLE))
}

/// One line per edge that the table does not have, per crate without a row and per row without a crate.
fn findings(metadata: &Metadata, table: &[Row]) -> Vec<String> {
    let members: BTreeSet<_> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    let mut findings: Vec<_> = table
        .iter()
        .filter(|row| !members.contains(row.name))
        .map(|row| format!("the table has a row for `{}`, which is no crate", row.name))
        .collect();
    for package in &metadata.packages {
        match table.iter().find(|row| row.name == package.name) {
            Some(row) => findings.extend(row_findings(package, row)),
            None => findings.push(format!(
                "crate `{}` has no row: add one to xtask/src/edges.rs with what it may use and why",
                package.name
            )),
        }
    }
    findings
}

fn row_findings(package: &Package, row: &Row) -> Vec<String> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.path.is_some() && !allowed(dependency, row))
        .map(|dependency| {
            format!(
                "`{}` must not depend on `{}`{}: {}",
                package.name,
                dependency.name,
                match dependency.kind.as_deref() {
                    Some(kind) => format!(" ({kind}-dependency)"),
                    None => String::new(),
                },
                row.reason
            )
        })
        .collect()
}

fn allowed(dependency: &Dependency, row: &Row) -> bool {
    let name = dependency.name.as_str();
    let for_tests = dependency.kind.as_deref() == Some("dev");
    row.may_use.contains(&name) || (for_tests && FREE_FOR_TESTS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        Package {
            name: name.to_owned(),
            manifest_path: "Cargo.toml".into(),
            dependencies: dependencies
                .iter()
                .map(|&(name, kind)| Dependency {
                    name: name.to_owned(),
                    kind: kind.map(str::to_owned),
                    path: Some(format!("/somewhere/{name}")),
                })
                .collect(),
            targets: Vec::new(),
        }
    }

    fn three_rows() -> Vec<Row> {
        let row = |name, may_use| Row {
            name,
            may_use,
            reason: "because",
        };
        vec![
            row("storage", &[]),
            row("project-3", &["storage"]),
            row("project-4", &["storage"]),
        ]
    }

    fn check(packages: Vec<Package>) -> Vec<String> {
        findings(&Metadata { packages }, &three_rows())
    }

    #[test]
    fn a_row_of_the_table_names_only_rows_above_it() {
        for (index, row) in TABLE.iter().enumerate() {
            for used in row.may_use {
                assert!(
                    TABLE[..index].iter().any(|above| above.name == *used),
                    "row `{}` names `{used}`, which is not above it",
                    row.name
                );
            }
        }
    }

    #[test]
    fn no_row_of_the_table_lets_a_crate_use_a_milestone() {
        for row in TABLE {
            assert!(
                !row.may_use.iter().any(|used| used.starts_with("project-")),
                "row `{}` names a milestone",
                row.name
            );
        }
    }

    #[test]
    fn edges_of_the_table_pass() {
        let packages = vec![
            package("storage", &[]),
            package("project-3", &[("storage", None)]),
            package("project-4", &[("storage", Some("dev"))]),
        ];
        assert!(check(packages).is_empty());
    }

    #[test]
    fn a_milestone_that_depends_on_another_fails_even_for_its_tests_only() {
        for kind in [None, Some("dev"), Some("build")] {
            let packages = vec![
                package("storage", &[]),
                package("project-3", &[]),
                package("project-4", &[("project-3", kind)]),
            ];
            let findings = check(packages);
            assert_eq!(findings.len(), 1, "{kind:?}");
            assert!(findings[0].contains("`project-4` must not depend on `project-3`"));
        }
    }

    #[test]
    fn a_dependency_that_points_up_fails() {
        let packages = vec![
            package("storage", &[("project-3", None)]),
            package("project-3", &[]),
            package("project-4", &[]),
        ];
        assert_eq!(check(packages).len(), 1);
    }

    #[test]
    fn tests_may_use_wire_anywhere_but_programs_may_not() {
        let with_wire = |kind| {
            check(vec![
                package("storage", &[]),
                package("project-3", &[("wire", kind)]),
                package("project-4", &[]),
            ])
        };
        assert!(with_wire(Some("dev")).is_empty());
        assert_eq!(with_wire(None).len(), 1);
    }

    #[test]
    fn a_new_crate_is_asked_for_a_row_and_a_row_for_its_crate() {
        let packages = vec![package("storage", &[]), package("replica", &[])];
        let findings = check(packages);
        assert!(findings.iter().any(|f| f.contains("`replica` has no row")));
        assert!(findings.iter().any(|f| f.contains("row for `project-3`")));
    }

    #[test]
    fn crates_from_elsewhere_are_not_edges() {
        let mut storage = package("storage", &[("serde", None)]);
        storage.dependencies[0].path = None;
        let packages = vec![
            storage,
            package("project-3", &[]),
            package("project-4", &[]),
        ];
        assert!(check(packages).is_empty());
    }
}
