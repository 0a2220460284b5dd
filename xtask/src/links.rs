//! Relative links in Markdown lead somewhere: the file is there, and the heading if the link names one.
//!
//! Links to the web are not followed; text in code is not a link.

use std::path::{Component, Path, PathBuf};

/// One line per link of `text`, the content of `file`, that leads nowhere. `read` gives the content of a path of the
/// workspace: `None` if there is nothing, an empty string if it is not text.
pub(crate) fn findings(
    file: &Path,
    text: &str,
    read: impl Fn(&Path) -> Option<String>,
) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, link) in links(text) {
        if let Some(problem) = problem(file, text, link, &read) {
            findings.push(format!("{}:{number}: {link}: {problem}", file.display()));
        }
    }
    findings
}

fn problem(
    file: &Path,
    text: &str,
    link: &str,
    read: impl Fn(&Path) -> Option<String>,
) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = match link.split_once('#') {
        Some((path, heading)) => (path, Some(heading)),
        None => (link, None),
    };
    let content = if path.is_empty() {
        text.to_owned()
    } else {
        let Some(target) = resolve(file, path) else {
            return Some("leads out of the repository");
        };
        let Some(content) = read(&target) else {
            return Some("no such file");
        };
        content
    };
    match heading {
        Some(heading) if !headings(&content).any(|found| found == heading) => {
            Some("no such heading")
        }
        _ => None,
    }
}

/// `link` as seen from `file`, from the root of the workspace; `None` if it is not below it.
fn resolve(file: &Path, link: &str) -> Option<PathBuf> {
    let mut resolved = file.parent()?.to_owned();
    for part in Path::new(link).components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

/// Lines outside fenced code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            return None;
        }
        (!in_code).then_some((index + 1, line))
    })
}

/// Targets of `[text](target)` and `[text]: target` with the number of their line.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        if let Some((_, target)) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
        {
            links.push((number, target.trim()));
        }
        // Every second piece between backticks is code; a link's text may hold code, its target not.
        for piece in line.split('`').step_by(2) {
            for after in piece.split("](").skip(1) {
                if let Some((target, _)) = after.split_once([')', ' ']) {
                    links.push((number, target));
                }
            }
        }
    }
    links
}

/// Anchors of the headings, made as GitHub makes them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len() && title.starts_with(' ')).then(|| {
            title
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<String> {
        findings(Path::new("docs/page.md"), text, |path| {
            match path.to_str()? {
                "docs/other.md" => Some("# Other page\n\n## What `it` is, in short\n".to_owned()),
                "docs" | "src/lib.rs" => Some(String::new()),
                _ => None,
            }
        })
    }

    #[test]
    fn links_to_files_folders_and_headings_that_exist_pass() {
        let text = "# Own heading\n[a](other.md) and [b](../src/lib.rs), [c](../docs), [d](#own-heading)\n\
                    [`e`](other.md#what-it-is-in-short) [f](https://example.org/x) [g](other.md \"title\")\n\n[h]: other.md\n";
        assert_eq!(check(text), Vec::<String>::new());
    }

    #[test]
    fn a_link_to_a_missing_file_or_heading_is_reported_with_its_line() {
        let findings =
            check("\n[a](missing.md)\n[b](other.md#nowhere)\n[c](#nowhere)\n\n[d]: gone.md\n");
        assert_eq!(
            findings,
            [
                "docs/page.md:2: missing.md: no such file",
                "docs/page.md:3: other.md#nowhere: no such heading",
                "docs/page.md:4: #nowhere: no such heading",
                "docs/page.md:6: gone.md: no such file",
            ]
        );
    }

    #[test]
    fn a_link_out_of_the_repository_or_from_the_root_of_the_machine_is_reported() {
        assert_eq!(check("[a](../../elsewhere.md) [b](/etc/hosts)").len(), 2);
    }

    #[test]
    fn code_is_not_searched_for_links() {
        assert!(
            check("`[a](missing.md)`\n```\n[b](missing.md)\n# not a heading\n```\n").is_empty()
        );
    }
}
