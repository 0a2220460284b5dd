//! Election Safety: at most one leader can be elected in a given term (Raft paper, Figure 3; section 5.2). And what it rests on: a
//! server's term never goes back and it gives one vote a term, across crashes (Figure 2).

use std::collections::BTreeMap;

use raft::{Message, NodeId, Term};
use replica::{PeerMessage, Replica};

use super::{Checked, Seen, broken};

const NAME: &str = "election safety";

#[derive(Debug, Default)]
pub(super) struct ElectionSafety {
    leaders: BTreeMap<Term, NodeId>,
    /// Votes that left: voter and term, and for whom.
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// The greatest term that each server was seen to promise in, by a vote or an acknowledgement.
    promised: BTreeMap<NodeId, Term>,
}

impl ElectionSafety {
    pub(super) fn check(&mut self, seen: &Seen<'_>) -> Checked {
        let (node, term) = (seen.node, seen.after.term);
        if seen.newly_leads() {
            let leader = *self.leaders.entry(term).or_insert(node);
            if leader != node {
                return broken(
                    NAME,
                    format!("servers {leader} and {node} both lead term {term}"),
                );
            }
        }
        if term < seen.before.term {
            return broken(NAME, format!("server {node} went back to term {term}"));
        }
        for (to, message) in &seen.actions.messages {
            if let PeerMessage::Raft(envelope) = message {
                self.promise(node, *to, envelope.term, &envelope.message)?;
            }
        }
        Ok(())
    }

    fn promise(&mut self, node: NodeId, to: NodeId, term: Term, message: &Message) -> Checked {
        match message {
            Message::VoteReply { granted: true } => {
                let voted = *self.votes.entry((node, term)).or_insert(to);
                if voted != to {
                    return broken(
                        NAME,
                        format!("server {node} voted for {voted} and {to} in term {term}"),
                    );
                }
            }
            Message::AppendReply { .. } | Message::HeartbeatReply { .. } => {}
            _ => return Ok(()),
        }
        let promised = self.promised.entry(node).or_default();
        *promised = term.max(*promised);
        Ok(())
    }

    pub(super) fn check_started(&mut self, node: NodeId, replica: &Replica) -> Checked {
        let term = replica.core().hard_state().term;
        let promised = self.promised.get(&node).copied().unwrap_or(0);
        if term < promised {
            return broken(
                NAME,
                format!("server {node} starts in term {term} after it answered in {promised}"),
            );
        }
        Ok(())
    }
}
