//! What sessions ask of the server: passwords, INFO, CONFIG GET.

use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use commands::{Host, keyspace};
use storage::Durability;

use super::committer::Committer;
use super::config::{Config, sync_name};
use super::decider::wall_clock_ms;
use super::stats::{InfoText, Stats, resident_bytes};

/// The version of Redis whose commands these are; clients choose what to send by it.
const REDIS_VERSION: &str = "7.0.0";

pub(crate) struct ServerHost {
    pub(crate) config: Config,
    pub(crate) port: u16,
    pub(crate) engine: Arc<dyn Durability>,
    pub(crate) engine_stats: Box<dyn Fn() -> Vec<(&'static str, String)> + Send + Sync>,
    pub(crate) committer: Arc<Committer>,
    pub(crate) stats: Arc<Stats>,
}

impl ServerHost {
    fn server(&self) -> Vec<(&'static str, String)> {
        vec![
            ("redis_version", REDIS_VERSION.to_owned()),
            ("redis_mode", "standalone".to_owned()),
            ("kvs_server_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("process_id", process::id().to_string()),
            ("tcp_port", self.port.to_string()),
            ("uptime_in_seconds", self.stats.uptime_s().to_string()),
            ("engine", self.engine.kind().to_string()),
            ("io_threads", self.config.threads.to_string()),
        ]
    }

    fn clients(&self) -> Vec<(&'static str, String)> {
        let connected = self.stats.connected.load(Ordering::Relaxed);
        vec![
            ("connected_clients", connected.to_string()),
            // No command here blocks; `redis-cli --stat` shows nonsense without it.
            ("blocked_clients", "0".to_owned()),
            ("maxclients", self.config.max_connections.to_string()),
        ]
    }

    fn persistence(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("loading", "0".to_owned()),
            ("sync", sync_name(self.config.sync).to_owned()),
            ("applied_seq", self.engine.applied().to_string()),
            ("acknowledged_seq", self.engine.acknowledged().to_string()),
            (
                "writable",
                u8::from(!self.committer.has_failed()).to_string(),
            ),
        ];
        if let Some(cause) = self.engine.poisoned() {
            fields.push(("poisoned", cause.replace(['\r', '\n'], " ")));
        }
        fields.extend((self.engine_stats)());
        fields
    }

    fn counters(&self) -> Vec<(&'static str, String)> {
        let stats = &self.stats;
        [
            ("total_connections_received", &stats.accepted),
            ("total_commands_processed", &stats.requests),
            ("total_net_input_bytes", &stats.bytes_in),
            ("total_net_output_bytes", &stats.bytes_out),
            ("rejected_connections", &stats.rejected),
            ("expired_keys", &stats.expired),
            ("protocol_errors", &stats.protocol_errors),
        ]
        .into_iter()
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed).to_string()))
        .collect()
    }

    /// Counts, so its time grows with the number of keys.
    fn keyspace(&self) -> Vec<(&'static str, String)> {
        match keyspace::count(self.engine.latest(), wall_clock_ms()) {
            Ok(0) => Vec::new(),
            Ok(keys) => vec![("db0", format!("keys={keys}"))],
            Err(error) => vec![("error", error.to_string().replace(['\r', '\n'], " "))],
        }
    }
}

impl Host for ServerHost {
    fn requires_password(&self) -> bool {
        self.config.password.is_some()
    }

    fn authenticate(&self, user: &[u8], password: &[u8]) -> bool {
        match &self.config.password {
            // The password is compared for any user, so that time does not tell whether a user exists.
            Some(expected) => expected.matches(password) & (user == b"default"),
            None => user == b"default",
        }
    }

    fn info(&self, sections: &[String]) -> String {
        let mut text = InfoText::new(sections);
        if text.wants("server", true) {
            text.section("Server", &self.server());
        }
        if text.wants("clients", true) {
            text.section("Clients", &self.clients());
        }
        if text.wants("memory", true) {
            let resident = resident_bytes().to_string();
            text.section(
                "Memory",
                &[
                    ("used_memory", resident.clone()),
                    ("used_memory_rss", resident),
                ],
            );
        }
        if text.wants("persistence", true) {
            text.section("Persistence", &self.persistence());
        }
        if text.wants("stats", true) {
            text.section("Stats", &self.counters());
        }
        if text.wants("keyspace", false) {
            text.section("Keyspace", &self.keyspace());
        }
        text.into_text()
    }

    fn config(&self) -> Vec<(&'static str, String)> {
        // `save` and `appendonly` are what redis-benchmark asks for.
        vec![
            ("appendonly", "yes".to_owned()),
            (
                "appendfsync",
                match sync_name(self.config.sync) {
                    "interval" => "everysec".to_owned(),
                    "never" => "no".to_owned(),
                    other => other.to_owned(),
                },
            ),
            ("databases", "1".to_owned()),
            ("dir", self.config.data_dir.display().to_string()),
            ("maxclients", self.config.max_connections.to_string()),
            ("port", self.port.to_string()),
            (
                "proto-max-bulk-len",
                self.config.max_value_bytes.to_string(),
            ),
            ("save", String::new()),
            (
                "timeout",
                self.config
                    .idle_timeout
                    .map_or(0, |timeout| timeout.as_secs())
                    .to_string(),
            ),
        ]
    }

    fn version(&self) -> &'static str {
        REDIS_VERSION
    }
}
