//! One planted bug: a patch under a header that says what must notice it.
//!
//! ```text
//! Row: S1
//! Package: storage
//! Test: tests/kvs_crash.rs::a_failed_sync_poisons_the_engine_and_reads_go_on
//!
//! A sync that failed is tried once more, and the success of the second is believed.
//!
//! diff --git ...
//! ```
//!
//! `Row` is the row of `docs/security.md`. Each `Test` (there may be several) is written as there: the file from the
//! package's folder, and the test's function. With a line `Seeds: 2000` the
//! simulation (`raft-sim`) must notice it too, within so many seeds; such a bug need not name a test of its own.

/// A bug to plant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bug {
    /// Name of its file, without the extension.
    pub(crate) name: String,
    pub(crate) row: String,
    pub(crate) package: String,
    /// Each of them must fail.
    pub(crate) tests: Vec<TestName>,
    /// Within so many seeds the simulation must fail.
    pub(crate) seeds: Option<u64>,
}

/// A test function and the file that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestName {
    /// From the package's folder.
    pub(crate) file: String,
    pub(crate) function: String,
}

impl Bug {
    /// Reads the header of a patch.
    ///
    /// # Errors
    /// What is missing in it or not understood, in words.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let (header, rest) = text.split_once("\n\n").unwrap_or((text, ""));
        let (mut row, mut package, mut tests, mut seeds) = (None, None, Vec::new(), None);
        for line in header.lines() {
            match line.split_once(": ") {
                Some(("Row", value)) => row = Some(value.to_owned()),
                Some(("Package", value)) => package = Some(value.to_owned()),
                Some(("Test", value)) => tests.push(TestName::parse(value)?),
                Some(("Seeds", value)) => {
                    let number = value.parse();
                    seeds = Some(number.map_err(|_| format!("`{value}` is no number of seeds"))?);
                }
                _ => return Err(format!("`{line}` is no line of a header")),
            }
        }
        if tests.is_empty() && seeds.is_none() {
            return Err("the header has no line `Test: FILE::FUNCTION`".to_owned());
        }
        if rest.starts_with("diff ") || !rest.contains("\n\ndiff ") {
            return Err("it lacks the sentence that says what the bug is, or the patch".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            row: row.ok_or("the header has no line `Row: ROW`")?,
            package: package.ok_or("the header has no line `Package: NAME`")?,
            tests,
            seeds,
        })
    }

    /// Whether `filter` is a part of its row or of its name.
    pub(crate) fn matches(&self, filter: &str) -> bool {
        self.row.contains(filter) || self.name.contains(filter)
    }
}

impl TestName {
    /// The simulation, a test of package `raft-sim`.
    pub(crate) fn simulation() -> Self {
        Self {
            file: "tests/seeds.rs".to_owned(),
            function: "seeds_hold_every_invariant".to_owned(),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once("::");
        let (file, function) = parts.ok_or_else(|| format!("`{text}` is not `FILE::FUNCTION`"))?;
        let is_known =
            file.ends_with(".rs") && ["src/", "tests/"].iter().any(|f| file.starts_with(f));
        if !is_known {
            return Err(format!("`{file}` is no Rust file in src/ or tests/"));
        }
        Ok(Self {
            file: file.to_owned(),
            function: function.to_owned(),
        })
    }

    /// The arguments of `cargo test` for the one target that the test is in.
    pub(crate) fn target(&self) -> Vec<&str> {
        let name = |rest: &'static str| {
            let inside = self.file.strip_prefix(rest)?;
            inside.split(['/', '.']).next()
        };
        if let Some(name) = name("tests/") {
            return vec!["--test", name];
        }
        if let Some(name) = name("src/bin/") {
            return vec!["--bin", name];
        }
        match self.file.as_str() {
            "src/main.rs" => vec!["--bins"],
            _ => vec!["--lib"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Row: S1\nPackage: storage\nTest: tests/a.rs::it_fails\n";
    const PATCH: &str = "\nWhat it is.\n\ndiff --git a/x b/x\n";

    #[test]
    fn a_header_names_row_package_and_every_test() {
        let text = format!("{HEADER}Test: src/kvs/b.rs::so_does_this\n{PATCH}");
        let bug = Bug::parse("s1-retry", &text).unwrap();
        let test = |file: &str, function: &str| TestName {
            file: file.to_owned(),
            function: function.to_owned(),
        };
        let expected = Bug {
            name: "s1-retry".to_owned(),
            row: "S1".to_owned(),
            package: "storage".to_owned(),
            tests: vec![
                test("tests/a.rs", "it_fails"),
                test("src/kvs/b.rs", "so_does_this"),
            ],
            seeds: None,
        };
        assert_eq!(bug, expected);
        let text = format!("{HEADER}Seeds: 300\n{PATCH}");
        assert_eq!(Bug::parse("x", &text).unwrap().seeds, Some(300));
        assert!(bug.matches("S1") && bug.matches("retry") && !bug.matches("S2"));
    }

    #[test]
    fn what_a_header_lacks_is_said() {
        for (line, said) in [
            ("Row: S1", "`Row: ROW`"),
            ("Package: storage", "`Package: NAME`"),
            ("Test: tests/a.rs::it_fails", "`Test: FILE::FUNCTION`"),
        ] {
            let text = format!("{HEADER}{PATCH}").replace(&format!("{line}\n"), "");
            let error = Bug::parse("x", &text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        for bad in [
            format!("{HEADER}Why: because\n{PATCH}"),
            format!("{HEADER}Seeds: some\n{PATCH}"),
            format!("{HEADER}Test: it_fails\n{PATCH}"),
            format!("{HEADER}Test: docs/a.md::it_fails\n{PATCH}"),
            format!("{HEADER}\ndiff --git a/x b/x\n"),
            format!("{HEADER}\nWhat it is.\n"),
        ] {
            assert!(Bug::parse("x", &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_target_follows_from_the_file() {
        for (file, target) in [
            ("tests/kvs_crash.rs", &["--test", "kvs_crash"][..]),
            ("tests/contract/core.rs", &["--test", "contract"]),
            ("src/kvs/hint.rs", &["--lib"]),
            ("src/bin/kvs-server.rs", &["--bin", "kvs-server"]),
            ("src/main.rs", &["--bins"]),
        ] {
            let test = TestName::parse(&format!("{file}::name")).unwrap();
            assert_eq!(test.target(), target);
        }
    }
}
