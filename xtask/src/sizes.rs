//! How long files and functions may be, before their tests.
//!
//! Works on lines, which is enough for code that rustfmt has laid out: a function ends at the first line that closes a
//! brace at the indentation of its `fn`. Tests, benchmarks and fuzz targets are free. A file that says
//! `tidy: generated` in its first lines is skipped, and a comment with `tidy: table` right above a function says that
//! it is a table, where length is not complexity.

use std::path::Path;

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 70;

/// One line per file or function of `source` that is too long.
pub(crate) fn findings(path: &Path, source: &str) -> Vec<String> {
    if is_exempt(path, source) {
        return Vec::new();
    }
    let lines: Vec<_> = source.lines().collect();
    let end = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests"))
        .unwrap_or(lines.len());
    let code = &lines[..end];
    let mut findings = Vec::new();
    if code.len() > LONGEST_FILE {
        findings.push(format!(
            "{}: {} lines before its tests, the limit is {LONGEST_FILE}",
            path.display(),
            code.len()
        ));
    }
    findings.extend(
        functions(code)
            .filter(|f| f.len > LONGEST_FUNCTION)
            .map(|f| {
                format!(
                    "{}:{}: `{}` has {} lines, the limit is {LONGEST_FUNCTION}",
                    path.display(),
                    f.first_line,
                    f.name,
                    f.len
                )
            }),
    );
    findings
}

fn is_exempt(path: &Path, source: &str) -> bool {
    path.components().any(|part| {
        ["tests", "benches", "fuzz"]
            .iter()
            .any(|free| part.as_os_str() == *free)
    }) || path.file_name().is_some_and(|name| name == "tests.rs")
        || source
            .lines()
            .take(5)
            .any(|line| line.contains("tidy: generated"))
}

struct Function<'a> {
    name: &'a str,
    /// Counted from 1.
    first_line: usize,
    /// Lines from the signature to the closing brace, both included.
    len: usize,
}

fn functions<'a>(code: &'a [&'a str]) -> impl Iterator<Item = Function<'a>> {
    code.iter().enumerate().filter_map(|(index, line)| {
        let name = function_name(line)?;
        if is_table(&code[..index]) {
            return None;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let len = 1 + code[index..].iter().position(|line| {
            // A declaration without a body, or with a body of one line, ends where it stands.
            line.strip_prefix(indent).is_some_and(|rest| {
                rest == "}" || (!rest.starts_with(' ') && rest.ends_with(['}', ';']))
            })
        })?;
        Some(Function {
            name,
            first_line: index + 1,
            len,
        })
    })
}

/// The name of the function that `line` begins, if it begins one.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    loop {
        match words.next()? {
            "fn" => break,
            "pub" | "pub(crate)" | "pub(super)" | "const" | "async" | "unsafe" | "extern"
            | "\"C\"" => {}
            _ => return None,
        }
    }
    words.next()?.split(['(', '<']).next()
}

/// Whether the comments and attributes right above say `tidy: table`.
fn is_table(above: &[&str]) -> bool {
    above
        .iter()
        .rev()
        .map(|line| line.trim_start())
        .take_while(|line| line.starts_with("//") || line.starts_with('#'))
        .any(|line| line.contains("tidy: table"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize, indent: &str) -> String {
        let body = format!("{indent}    work();\n").repeat(lines - 2);
        format!("{indent}pub(crate) fn long(of: usize) {{\n{body}{indent}}}\n")
    }

    fn check(source: &str) -> Vec<String> {
        findings(Path::new("crate/src/lib.rs"), source)
    }

    #[test]
    fn a_function_of_71_lines_is_too_long_and_one_of_70_is_not() {
        assert!(check(&function(70, "")).is_empty());
        let findings = check(&format!("//! A module.\n\n{}", function(71, "")));
        assert_eq!(
            findings,
            ["crate/src/lib.rs:3: `long` has 71 lines, the limit is 70"]
        );
    }

    #[test]
    fn methods_are_measured_each_for_itself() {
        let two_short = format!(
            "impl A {{\n{}\n{}}}\n",
            function(60, "    "),
            function(60, "    ")
        );
        assert!(check(&two_short).is_empty());
        assert_eq!(
            check(&format!("impl A {{\n{}}}\n", function(80, "    "))).len(),
            1
        );
    }

    #[test]
    fn a_declaration_without_a_body_does_not_swallow_the_next_function() {
        let source = format!(
            "trait A {{\n    fn declared(&self);\n    fn one_line() {{}}\n{}}}\n",
            function(69, "    ")
        );
        assert!(check(&source).is_empty());
    }

    #[test]
    fn a_signature_over_several_lines_counts() {
        let body = "    work();\n".repeat(70);
        let source =
            format!("fn long(\n    of: usize,\n) -> Result<()>\nwhere\n    A: B,\n{{\n{body}}}\n");
        assert_eq!(check(&source).len(), 1);
    }

    #[test]
    fn a_file_is_measured_up_to_its_tests() {
        let code = "const A: u8 = 0;\n".repeat(500);
        let tests = format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            "    fn a() {}\n".repeat(300)
        );
        assert!(check(&format!("{code}{tests}")).is_empty());
        assert_eq!(check(&format!("{code}\n{tests}")).len(), 1);
    }

    #[test]
    fn tests_tables_and_generated_files_are_free() {
        let long = function(100, "");
        assert!(findings(Path::new("crate/tests/all.rs"), &long).is_empty());
        assert!(check(&format!("// tidy: table\n#[rustfmt::skip]\n{long}")).is_empty());
        assert!(check(&format!("// tidy: generated by x\n{long}")).is_empty());
        assert_eq!(
            check(&format!("// tidy: table\nfn a() {{}}\n{long}")).len(),
            1
        );
    }
}
