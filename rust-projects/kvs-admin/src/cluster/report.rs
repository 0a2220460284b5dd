//! What the verbs print.

use std::fmt;
use std::path::Path;

use kvstore_raft::messages as pb;
use serde::Serialize;

/// An order was carried out.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    pub(crate) done: String,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.done)
    }
}

/// The result of `unsafe-recover`.
#[derive(Debug, Serialize)]
pub(crate) struct Forced {
    data_dir: String,
    node: u64,
    members_before: Vec<u64>,
    last_index: u64,
}

impl Forced {
    pub(crate) fn new(dir: &Path, forced: &kvstore_raft::Forced) -> Self {
        Self {
            data_dir: dir.display().to_string(),
            node: forced.node,
            members_before: forced.members.clone(),
            last_index: forced.last,
        }
    }
}

impl fmt::Display for Forced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            members_before,
            last_index,
            ..
        } = self;
        write!(
            f,
            "node {node} is the only voter now (before: {members_before:?}) and holds the log up to entry {last_index}; \
             start it, delete the directories of the others, and let new nodes join"
        )
    }
}

/// One member, as the leader and itself have it.
#[derive(Debug, Serialize)]
pub(crate) struct Member {
    node: u64,
    /// leader, follower, candidate, pre-candidate, learner; none if it did not answer.
    role: Option<String>,
    votes: bool,
    reachable: bool,
    peer_addr: String,
    client_addr: String,
    version: String,
    applied: Option<u64>,
    /// Entries of the leader's log that it is not known to hold; none if no leader says.
    behind: Option<u64>,
    silent_ms: Option<u64>,
}

impl Member {
    /// `view` is whose word on `member` counts, `own` what the member says of itself.
    pub(crate) fn new(
        view: &pb::StatusReply,
        member: &pb::Member,
        own: Option<&pb::StatusReply>,
    ) -> Self {
        let leads = view.node == view.leader;
        Self {
            node: member.node,
            role: own.map(|own| own.role.clone()),
            votes: member.votes,
            reachable: own.is_some(),
            peer_addr: member.peer_addr.clone(),
            client_addr: member.client_addr.clone(),
            version: member.version.clone(),
            applied: own.map(|own| own.applied),
            behind: leads.then(|| view.last.saturating_sub(member.matched)),
            silent_ms: leads.then_some(member.silent_ms),
        }
    }
}

/// The result of `status`.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    name: String,
    cluster: String,
    /// Whose view this is.
    asked: String,
    node: u64,
    leader: Option<u64>,
    term: u64,
    last_index: u64,
    committed_index: u64,
    members: Vec<Member>,
}

impl Status {
    pub(crate) fn new(view: &pb::StatusReply, asked: &str, members: Vec<Member>) -> Self {
        let hex: String = view
            .cluster
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            name: view.name.clone(),
            cluster: hex,
            asked: asked.to_owned(),
            node: view.node,
            leader: (view.leader != 0).then_some(view.leader),
            term: view.term,
            last_index: view.last,
            committed_index: view.committed,
            members,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leader = match self.leader {
            Some(leader) => format!("node {leader} leads"),
            None => "no leader is known".to_owned(),
        };
        writeln!(
            f,
            "cluster {} ({}): {leader} in term {}, last entry {}, committed {}",
            self.name, self.cluster, self.term, self.last_index, self.committed_index
        )?;
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |n| n.to_string());
        let mut rows = vec![
            [
                "node",
                "role",
                "votes",
                "applied",
                "behind",
                "silent ms",
                "peer address",
                "client address",
                "version",
            ]
            .map(str::to_owned),
        ];
        rows.extend(self.members.iter().map(|member| {
            let or_dash = |text: &str| match text {
                "" => "-".to_owned(),
                text => text.to_owned(),
            };
            [
                member.node.to_string(),
                member.role.clone().unwrap_or("unreachable".to_owned()),
                if member.votes { "yes" } else { "no" }.to_owned(),
                number(member.applied),
                number(member.behind),
                number(member.silent_ms),
                or_dash(&member.peer_addr),
                or_dash(&member.client_addr),
                or_dash(&member.version),
            ]
        }));
        table(f, &rows)
    }
}

/// Columns as wide as what is in them.
fn table<const N: usize>(f: &mut fmt::Formatter<'_>, rows: &[[String; N]]) -> fmt::Result {
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            format!("{cell:width$}")
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The result of `backup` and of `restore`.
#[derive(Debug, Serialize)]
pub(crate) struct Kept {
    pub(crate) to: String,
    pub(crate) bytes: u64,
    pub(crate) index: u64,
    pub(crate) cluster: String,
    #[serde(skip)]
    pub(crate) then: String,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            to,
            bytes,
            index,
            cluster,
            then,
        } = self;
        write!(
            f,
            "{to}: {bytes} bytes, the state of cluster {cluster} after entry {index}{then}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_a_table_whose_columns_stand_under_their_names() {
        let member = |node, matched| pb::Member {
            node,
            votes: true,
            peer_addr: "127.0.0.1:2379".to_owned(),
            matched,
            ..pb::Member::default()
        };
        let view = pb::StatusReply {
            name: "c".to_owned(),
            node: 1,
            leader: 1,
            role: "leader".to_owned(),
            last: 12,
            members: vec![member(1, 12), member(10, 2)],
            ..pb::StatusReply::default()
        };
        let members = vec![
            Member::new(&view, &view.members[0], Some(&view)),
            Member::new(&view, &view.members[1], None),
        ];
        let text = Status::new(&view, "", members).to_string();
        let rows: Vec<_> = text.lines().skip(1).collect();
        let column = rows[0].find("behind").unwrap();
        assert_eq!(&rows[1][column..=column], "0");
        assert_eq!(&rows[2][column..column + 2], "10");
        assert!(rows[2].contains("unreachable"));
    }
}
