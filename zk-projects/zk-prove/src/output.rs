//! What a verb prints: text for people, or one JSON document.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Prints results in the form that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a result that is both.
    pub(crate) fn print(self, result: &(impl Serialize + Display)) -> Result<(), Failure> {
        if self.json {
            self.document(result)
        } else {
            text(&result.to_string())
        }
    }

    /// Tells people on a terminal what is being done.
    pub(crate) fn note(self, what: &str) {
        if !self.json && io::stderr().is_terminal() {
            eprintln!("{what}");
        }
    }

    /// Prints a document, which is JSON either way.
    pub(crate) fn document(self, document: &impl Serialize) -> Result<(), Failure> {
        let bytes =
            serde_json::to_string_pretty(document).expect("our types have string keys only");
        text(&bytes)
    }
}

/// Prints text and ends its last line.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| match text.ends_with('\n') {
            true => Ok(()),
            false => out.write_all(b"\n"),
        })
        .and_then(|()| out.flush())
        .map_err(Failure::Output)
}
