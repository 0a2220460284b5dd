//! Servers, messages and logs in words. `5@2` is the entry at index 5 of term 2.

use raft::{
    Appended, Configuration, Core, Entry, Envelope, Index, LogId, Message, NodeId, Outgoing,
    Outputs, Payload, Role, SnapshotMeta, Term, Write,
};

fn id(id: LogId) -> String {
    format!("{}@{}", id.index, id.term)
}

fn set(nodes: impl IntoIterator<Item = NodeId>) -> String {
    let nodes: Vec<_> = nodes.into_iter().map(|node| node.to_string()).collect();
    nodes.join(" ")
}

pub(crate) fn configuration(configuration: &Configuration) -> String {
    let Configuration {
        voters,
        outgoing,
        learners,
        incoming_learners,
    } = configuration.clone();
    let mut text = format!("{{{}}}", set(voters));
    if !outgoing.is_empty() {
        text += &format!("&{{{}}}", set(outgoing));
    }
    if !learners.is_empty() {
        text += &format!("+{}", set(learners));
    }
    if !incoming_learners.is_empty() {
        text += &format!(", later +{}", set(incoming_learners));
    }
    text
}

fn payload(payload: &Payload) -> String {
    match payload {
        Payload::Noop => "-".to_owned(),
        Payload::Command(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Payload::Configuration(members) => configuration(members),
    }
}

fn entries(entries: &[Entry]) -> String {
    let all = entries.iter();
    let all: Vec<_> = all
        .map(|entry| format!("{} {}", id(entry.id), payload(&entry.payload)))
        .collect();
    all.join(", ")
}

fn snapshot(snapshot: &SnapshotMeta) -> String {
    format!(
        "snapshot up to {} with {}",
        id(snapshot.last),
        configuration(&snapshot.configuration)
    )
}

pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

pub(crate) fn message(message: &Message) -> String {
    let yes = |granted: &bool| if *granted { "granted" } else { "refused" };
    match message {
        Message::PreVote { last } => format!("pre-vote? last {}", id(*last)),
        Message::PreVoteReply { granted } => format!("pre-vote {}", yes(granted)),
        Message::Vote { last, forced } => {
            let forced = if *forced { ", asked by the leader" } else { "" };
            format!("vote? last {}{forced}", id(*last))
        }
        Message::VoteReply { granted } => format!("vote {}", yes(granted)),
        Message::Append {
            previous,
            entries: sent,
            committed,
            session,
        } => format!(
            "append behind {}: {}; committed {committed} (session {session})",
            id(*previous),
            if sent.is_empty() {
                "nothing".to_owned()
            } else {
                entries(sent)
            },
        ),
        Message::AppendReply { outcome, session } => match outcome {
            Appended::Matched(index) => format!("matched {index} (session {session})"),
            Appended::Conflict { previous, hint } => {
                format!("conflict at {previous}, perhaps {}", id(*hint))
            }
        },
        Message::Heartbeat {
            committed, round, ..
        } => format!("heartbeat {round}, committed {committed}"),
        Message::HeartbeatReply { round, .. } => format!("heard {round}"),
        Message::InstallSnapshot { snapshot: sent, .. } => snapshot(sent),
        Message::StaleTerm => "your term is over".to_owned(),
        Message::TimeoutNow => "stand for election now".to_owned(),
        Message::ReadIndex { id } => format!("read {id}?"),
        Message::ReadIndexReply { id, index } => format!("read {id} at {index}"),
    }
}

pub(crate) fn envelope(envelope: &Envelope) -> String {
    let Envelope {
        from,
        to,
        term,
        message: said,
    } = envelope;
    format!("{from} -> {to}, term {term}: {}", message(said))
}

fn outgoing(outgoing: &Outgoing) -> String {
    let held = outgoing.after.map_or_else(String::new, |number| {
        format!("  [once write {number} is durable]")
    });
    envelope(&outgoing.envelope) + &held
}

fn write(write: &Write) -> String {
    let hard_state = write.hard_state.map(|state| {
        let vote = state.voted_for.map(|node| format!(", vote for {node}"));
        format!("term {}{}", state.term, vote.unwrap_or_default())
    });
    let snapshot = write.snapshot.as_ref().map(snapshot);
    let entries = (!write.entries.is_empty()).then(|| entries(&write.entries));
    let parts: Vec<_> = [hard_state, snapshot, entries]
        .into_iter()
        .flatten()
        .collect();
    format!("write {}: {}", write.number, parts.join("; "))
}

/// What a server did, a line each.
pub(crate) fn outputs(server: NodeId, became: Option<(Role, Term)>, out: &Outputs) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(became.map(|(now, term)| format!("{server} is {} in term {term}", role(now))));
    lines.extend(out.proposed.map(|proposed| match proposed {
        Ok(last) => format!("{server} accepts, last {}", id(last)),
        Err(refused) => format!("{server} refuses: {refused}"),
    }));
    lines.extend(
        out.write
            .as_ref()
            .map(|begun| format!("{server} {}", write(begun))),
    );
    lines.extend(
        out.install
            .as_ref()
            .map(|meta| format!("{server} installs {}", snapshot(meta))),
    );
    lines.extend(out.messages.iter().map(outgoing));
    if !out.apply.is_empty() {
        lines.push(format!("{server} applies {}", entries(&out.apply)));
    }
    lines.extend(out.reads.iter().map(|read| match read.index {
        Some(index) => format!("{server} may read {} at {index}", read.id),
        None => format!("{server} cannot read {}: ask again", read.id),
    }));
    if out.snapshot_wanted {
        lines.push(format!("{server} wants a snapshot to send"));
    }
    lines
}

/// The logs of servers, one below the other: `term:what`, `|` behind what is known to be committed, `~` for what is not durable, `...` for what is
/// compacted.
pub(crate) fn logs<'a>(cores: impl IntoIterator<Item = &'a Core>) -> Vec<String> {
    let cores: Vec<_> = cores.into_iter().collect();
    let ends = cores.iter().map(|core| core.last().index);
    let end = ends.max().unwrap_or(0);
    let columns: Vec<Vec<String>> = (1..=end)
        .map(|index| cores.iter().map(|core| cell(core, index)).collect())
        .collect();
    let widths = columns
        .iter()
        .map(|cells| cells.iter().map(String::len).max().unwrap_or(0));
    let widths: Vec<_> = widths.collect();
    let lines = cores.iter().enumerate().map(|(row, core)| {
        let state = core.hard_state();
        let mut line = format!(
            "{} {:<13} term {} ",
            core.id(),
            role(core.role()),
            state.term
        );
        line += if core.committed() == 0 { "|" } else { " " };
        for ((cells, width), index) in columns.iter().zip(&widths).zip(1..) {
            let mark = if core.committed() == index { "|" } else { " " };
            line += &format!(" {:<width$} {mark}", cells[row]);
        }
        line.trim_end().to_owned()
    });
    lines.collect()
}

fn cell(core: &Core, index: Index) -> String {
    if index <= core.compacted().index {
        return "...".to_owned();
    }
    let mut entries = core.entries();
    let Some(entry) = entries.find(|entry| entry.id.index == index) else {
        return String::new();
    };
    let pending = if index > core.durable() { "~" } else { "" };
    format!("{}:{}{pending}", entry.id.term, payload(&entry.payload))
}
