//! The page of metrics: what each is called, and where it comes from.

use raft::Role;

use super::metrics::{BOUNDS, Durations, KINDS, Metrics, OUTCOMES};
use super::text::{Distribution, Labels, Page};
use crate::inbox::{Inbox, Room};
use crate::node::Report;

const ROLES: [(Role, &str); 4] = [
    (Role::Follower, "follower"),
    (Role::PreCandidate, "pre_candidate"),
    (Role::Candidate, "candidate"),
    (Role::Leader, "leader"),
];

/// Name, help, and what it is of a room.
type Figure = (&'static str, &'static str, fn(&Room) -> usize);

/// Everything; without what the node's thread says of itself if it says nothing.
pub(crate) fn render(inbox: &Inbox, report: Option<&Report>) -> String {
    let mut page = Page::default();
    page.gauge("kvs_build_info", "1; the version is a label.")
        .series(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.gauge(
        "kvs_up",
        "Whether the node's thread answers; without it the metrics of Raft and the log are not there.",
    )
    .series(&[], u8::from(report.is_some()));
    if let Some(report) = report {
        raft(&mut page, report);
        peers(&mut page, report);
        log_files(&mut page, report);
    }
    let metrics = inbox.metrics();
    events(&mut page, metrics);
    log(&mut page, metrics);
    requests(&mut page, metrics);
    queues(&mut page, inbox);
    page.into_text()
}

fn raft(page: &mut Page, report: &Report) {
    let status = &report.status;
    page.gauge("kvs_raft_term", "Raft's current term.")
        .series(&[], status.term);
    let mut role = page.gauge(
        "kvs_raft_role",
        "1 for the role that the node has, 0 for the others.",
    );
    for (one, name) in ROLES {
        role = role.series(&[("role", name)], u8::from(one == status.role));
    }
    page.gauge(
        "kvs_raft_leader_id",
        "Number of the node that leads, as far as this one knows; 0 if it knows none.",
    )
    .series(&[], status.leader.unwrap_or(0));
    page.gauge(
        "kvs_raft_leader_silent_seconds",
        "Since this node last heard from a leader; 0 on the leader.",
    )
    .series(&[], report.leader_silent.as_secs_f64());
    page.gauge(
        "kvs_raft_commit_index",
        "Last entry of the log known to be committed.",
    )
    .series(&[], status.committed);
    page.gauge(
        "kvs_raft_applied_index",
        "Last entry of the log that is applied to the state.",
    )
    .series(&[], status.applied);
    page.gauge(
        "kvs_raft_log_first_index",
        "First entry that the log holds.",
    )
    .series(&[], report.first);
    page.gauge("kvs_raft_log_last_index", "Last entry that the log holds.")
        .series(&[], status.last.index);
}

/// Of each peer, on the leader; the families are there on all nodes.
fn peers(page: &mut Page, report: &Report) {
    let own = report.status.id;
    let peers = || report.progress.iter().filter(|(node, _)| **node != own);
    let mut lag = page.gauge(
        "kvs_peer_lag_entries",
        "Entries of the log that a peer is not known to hold; on the leader only.",
    );
    for (node, (matched, _)) in peers() {
        let behind = report.status.last.index.saturating_sub(*matched);
        lag = lag.series(&[("peer", &node.to_string())], behind);
    }
    let mut silent = page.gauge(
        "kvs_peer_silent_seconds",
        "Since a peer was last heard; on the leader only.",
    );
    for (node, (_, since)) in peers() {
        silent = silent.series(&[("peer", &node.to_string())], since.as_secs_f64());
    }
}

fn log_files(page: &mut Page, report: &Report) {
    page.gauge("kvs_log_size_bytes", "Bytes in the files of the Raft log.")
        .series(&[], report.log.bytes);
    page.gauge(
        "kvs_log_live_bytes",
        "About how many of them are entries that are not compacted.",
    )
    .series(&[], report.log.live_bytes);
    page.gauge("kvs_log_segments", "Files of the Raft log.")
        .series(&[], report.log.segments);
}

fn events(page: &mut Page, metrics: &Metrics) {
    page.counter(
        "kvs_elections_started_total",
        "Elections that this node stood for.",
    )
    .series(&[], metrics.elections_started.get());
    page.counter("kvs_elections_won_total", "Elections that this node won.")
        .series(&[], metrics.elections_won.get());
    page.counter(
        "kvs_leader_changes_total",
        "Leaders that this node came to know, itself included, one for each term.",
    )
    .series(&[], metrics.leader_changes.get());
    page.counter(
        "kvs_snapshots_sent_total",
        "Snapshots sent to peers, by what became of them.",
    )
    .series(
        &[("outcome", "delivered")],
        metrics.snapshots_delivered.get(),
    )
    .series(&[("outcome", "failed")], metrics.snapshots_failed.get());
    page.counter(
        "kvs_snapshots_installed_total",
        "Snapshots received from a leader that replaced this node's state.",
    )
    .series(&[], metrics.snapshots_installed.get());
}

fn log(page: &mut Page, metrics: &Metrics) {
    page.counter("kvs_log_appends_total", "Batches appended to the Raft log.")
        .series(&[], metrics.log_appends.get());
    page.counter("kvs_log_entries_total", "Entries in these batches.")
        .series(&[], metrics.log_entries.get());
    durations(
        page,
        "kvs_log_sync_duration_seconds",
        "How long the disk took to make a batch durable.",
        &[(&[], &metrics.log_sync)],
    );
}

fn requests(page: &mut Page, metrics: &Metrics) {
    let mut counts = page.counter(
        "kvs_requests_total",
        "Requests of clients, by kind and outcome; what a client pipelines and is decided together is one.",
    );
    for (kind, kind_name) in KINDS {
        for (outcome, name) in OUTCOMES {
            let labels = [("kind", kind_name), ("outcome", name)];
            counts = counts.series(&labels, metrics.requests(kind).of(outcome).get());
        }
    }
    let kinds = KINDS.map(|(kind, name)| ([("kind", name)], &metrics.requests(kind).seconds));
    durations(
        page,
        "kvs_request_duration_seconds",
        "From the coming of a request to its answer, whatever that was.",
        &kinds
            .each_ref()
            .map(|(labels, seconds)| (&labels[..], *seconds)),
    );
    durations(
        page,
        "kvs_commit_duration_seconds",
        "From the proposal of a client's write until it was committed and applied here.",
        &[(&[], &metrics.commit)],
    );
    page.counter(
        "kvs_requests_no_room_total",
        "Requests told BUSY by this node itself as too many were waiting; counted in kvs_requests_total too.",
    )
    .series(&[], metrics.no_room.get());
    page.gauge("kvs_clients", "Connections of clients.")
        .series(&[], metrics.clients());
}

fn queues(page: &mut Page, inbox: &Inbox) {
    let rooms = [("clients", inbox.clients()), ("peers", inbox.peers())];
    let figures: [Figure; 4] = [
        (
            "kvs_inbox_requests",
            "Requests of clients not yet answered, and messages of peers not yet taken.",
            |room| room.used().count,
        ),
        ("kvs_inbox_bytes", "Bytes that these take.", |room| {
            room.used().bytes
        }),
        (
            "kvs_inbox_limit_requests",
            "How many there may be.",
            |room| room.limit().count,
        ),
        (
            "kvs_inbox_limit_bytes",
            "How many bytes they may take.",
            |room| room.limit().bytes,
        ),
    ];
    for (name, help, figure) in figures {
        let mut family = page.gauge(name, help);
        for (from, room) in rooms {
            family = family.series(&[("from", from)], figure(room));
        }
    }
}

fn durations(page: &mut Page, name: &'static str, help: &str, all: &[(Labels<'_>, &Durations)]) {
    let mut family = page.histogram(name, help);
    for (labels, durations) in all {
        let distribution = Distribution {
            bounds: &BOUNDS,
            counts: &durations.counts(),
            sum: durations.sum_seconds(),
        };
        family = family.distribution(labels, &distribution);
    }
}
