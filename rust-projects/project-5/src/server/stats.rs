//! Counters, and the text of INFO.

use std::fmt::Write;
use std::fs;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// What has happened since the start. Updated once per burst of requests.
#[derive(Debug)]
pub(crate) struct Stats {
    started: Instant,
    /// Connections open now.
    pub(crate) connected: AtomicUsize,
    /// Connections accepted.
    pub(crate) accepted: AtomicU64,
    /// Connections turned away because there were too many.
    pub(crate) rejected: AtomicU64,
    /// Requests decided.
    pub(crate) requests: AtomicU64,
    /// Bytes read from clients.
    pub(crate) bytes_in: AtomicU64,
    /// Bytes written to clients.
    pub(crate) bytes_out: AtomicU64,
    /// Keys removed in the background because their time had passed.
    pub(crate) expired: AtomicU64,
    /// Connections closed for requests that are not RESP or exceed a limit.
    pub(crate) protocol_errors: AtomicU64,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            connected: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            protocol_errors: AtomicU64::new(0),
        }
    }

    pub(crate) fn uptime_s(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// The text of INFO, section by section, in Redis' form.
pub(crate) struct InfoText {
    wanted: Vec<String>,
    text: String,
}

impl InfoText {
    /// For the sections named, lower case; none named means all that are cheap.
    pub(crate) fn new(sections: &[String]) -> Self {
        Self {
            wanted: sections.to_vec(),
            text: String::new(),
        }
    }

    /// Whether `section` is to be shown; `is_cheap` ones are part of the default.
    pub(crate) fn wants(&self, section: &str, is_cheap: bool) -> bool {
        let is_default = self.wanted.is_empty() || self.wanted.iter().any(|name| name == "default");
        (is_default && is_cheap)
            || self
                .wanted
                .iter()
                .any(|name| name == section || name == "all" || name == "everything")
    }

    /// Appends a section.
    pub(crate) fn section(&mut self, title: &str, fields: &[(&str, String)]) {
        if !self.text.is_empty() {
            self.text.push_str("\r\n");
        }
        let _ = write!(self.text, "# {title}\r\n");
        for (name, value) in fields {
            let _ = write!(self.text, "{name}:{value}\r\n");
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Memory the process has in use, in bytes; 0 where the system does not say.
pub(crate) fn resident_bytes() -> u64 {
    let Ok(statm) = fs::read_to_string("/proc/self/statm") else {
        return 0;
    };
    let pages: Option<u64> = statm
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|field| field.parse().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_chosen_by_name_and_costly_ones_only_when_named() {
        let default = InfoText::new(&[]);
        assert!(default.wants("server", true) && !default.wants("keyspace", false));
        let named = InfoText::new(&["keyspace".to_owned()]);
        assert!(named.wants("keyspace", false) && !named.wants("server", true));
        let all = InfoText::new(&["all".to_owned()]);
        assert!(all.wants("keyspace", false) && all.wants("server", true));
    }

    #[test]
    fn resident_memory_is_known_on_linux() {
        assert!(resident_bytes() > 100_000);
    }
}
