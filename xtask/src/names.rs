//! Every package, library, program and example name is unique.
//!
//! Two packages with a program of the same name overwrite each other's file in the target folder, and two libraries
//! each other's documentation. A package may give its library and its program one name.

use std::collections::BTreeMap;

use crate::metadata::{Metadata, Target};

/// One line per name used twice.
pub(crate) fn findings(metadata: &Metadata) -> Vec<String> {
    let mut owners: BTreeMap<(&'static str, String), Vec<&str>> = BTreeMap::new();
    for package in &metadata.packages {
        let mut names: Vec<_> = package.targets.iter().filter_map(file_name).collect();
        names.push(("package", package.name.clone()));
        names.sort();
        names.dedup();
        for name in names {
            owners.entry(name).or_default().push(&package.name);
        }
    }
    owners
        .into_iter()
        .filter(|(_, packages)| packages.len() > 1)
        .map(|((what, name), packages)| {
            format!("{what} name `{name}` is used by {}", packages.join(" and "))
        })
        .collect()
}

/// Libraries and programs share the documentation folder, where `-` and `_` are the same.
fn file_name(target: &Target) -> Option<(&'static str, String)> {
    let is = |kind: &str| target.kind.iter().any(|found| found == kind);
    if is("bin") || is("lib") || is("proc-macro") {
        Some(("library or program", target.name.replace('-', "_")))
    } else if is("example") {
        Some(("example", target.name.clone()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Package;

    fn package(name: &str, targets: &[(&str, &str)]) -> Package {
        Package {
            name: name.to_owned(),
            manifest_path: "Cargo.toml".into(),
            dependencies: Vec::new(),
            targets: targets
                .iter()
                .map(|&(kind, name)| Target {
                    name: name.to_owned(),
                    kind: vec![kind.to_owned()],
                })
                .collect(),
        }
    }

    #[test]
    fn two_packages_with_one_program_name_are_reported() {
        let packages = vec![
            package("a", &[("lib", "a"), ("bin", "kvs")]),
            package("b", &[("lib", "b"), ("bin", "kvs")]),
        ];
        let findings = findings(&Metadata { packages });
        assert_eq!(
            findings,
            ["library or program name `kvs` is used by a and b"]
        );
    }

    #[test]
    fn a_program_named_like_the_library_of_another_package_is_reported() {
        let packages = vec![
            package("a", &[("lib", "my_tool")]),
            package("b", &[("bin", "my-tool")]),
        ];
        assert_eq!(findings(&Metadata { packages }).len(), 1);
    }

    #[test]
    fn one_package_may_use_one_name_for_both_and_tests_may_repeat() {
        let packages = vec![
            package("a", &[("lib", "a"), ("bin", "a"), ("test", "cli")]),
            package("b", &[("lib", "b"), ("test", "cli")]),
        ];
        assert!(findings(&Metadata { packages }).is_empty());
    }
}
