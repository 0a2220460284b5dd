//! How a cluster begins: its founders find each other before any of them votes.
//!
//! Each founder has drawn an incarnation and a share of the token, and tells them the others. The cluster's id is the exclusive or of all
//! incarnations, and the token, unless one was given, that of all shares: random if one founder's is, equal for all without anybody
//! deciding, and unknown to who was not among them.
//!
//! # What it guarantees
//!
//! A directory that is empty votes only after *every* other founder has said that it does not know this number with another
//! incarnation. So a founder that lost its directory is refused by name, and cannot help to elect a leader without the entries that it
//! had acknowledged.
//!
//! # What it does not
//!
//! Without certificates the founders' first words are neither encrypted nor, without a token given, authenticated: who can speak to their
//! ports before they have found each other may learn the token.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::peer as pb;
use proto::peer::peer_client::PeerClient;
use raft::NodeId;
use tonic::{Code, Status};

use crate::convert::{number, read_number};
use crate::handshake::{Throttle, suspicion};
use crate::identity::Identity;
use crate::run::RunError;
use crate::secret::Token;
use crate::tls::Credentials;

/// Between two tries to reach a founder.
const PAUSE: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(2);
/// Tries between two lines in the log.
const TRIES_A_REPORT: u32 = 100;

/// What is to be found.
pub(crate) struct Founding {
    /// This node, before there is a cluster.
    pub(crate) identity: Identity,
    /// The other founders.
    pub(crate) peers: BTreeMap<NodeId, String>,
    /// The token that was given, if one was.
    pub(crate) token: Option<Token>,
    /// How they are spoken to.
    pub(crate) credentials: Credentials,
}

impl Founding {
    /// All founders, this one among them.
    pub(crate) fn founders(&self) -> BTreeSet<NodeId> {
        let own = [self.identity.node];
        self.peers.keys().copied().chain(own).collect()
    }

    fn introduction(&self, to: NodeId) -> pb::Founder {
        introduction(&self.identity, to, self.founders(), self.token.as_ref())
    }

    /// Speaks to every founder, however long that takes, and gives the identity with the cluster, and its token.
    ///
    /// # Errors
    /// [`RunError::Refused`]: a founder does not take this node for one.
    pub(crate) async fn found(self) -> Result<(Identity, Token), RunError> {
        let mut incarnations = BTreeMap::from([(self.identity.node, self.identity.incarnation)]);
        let mut shares = self.identity.share;
        for (&peer, address) in &self.peers {
            let answer = self.ask(peer, address).await?;
            let broken = |error: crate::convert::Incomplete| RunError::Refused(error.to_string());
            let drawn = read_number(&answer.incarnation).map_err(broken)?;
            incarnations.insert(peer, drawn);
            shares ^= read_number(&answer.share).map_err(broken)?;
        }
        let cluster = incarnations.values().fold(0, |all, drawn| all ^ drawn);
        let identity = Identity {
            founders: incarnations,
            cluster: Some(cluster),
            ..self.identity
        };
        Ok((identity, self.token.unwrap_or(Token::of(shares))))
    }

    async fn ask(&self, peer: NodeId, address: &str) -> Result<pb::Founder, RunError> {
        let channel = self
            .credentials
            .endpoint(address)
            .map_err(RunError::PeerAddress)?
            .timeout(TIMEOUT)
            .connect_lazy();
        let mut client = PeerClient::new(channel);
        let lines = Throttle::default();
        for attempt in 1_u32.. {
            match client.found(self.introduction(peer)).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if is_final(&status) => {
                    return Err(RunError::Refused(status.message().to_owned()));
                }
                Err(status) => match suspicion(&status, self.credentials.are_there()) {
                    Some(why) if lines.lets_through(&why) => {
                        tracing::warn!(
                            peer,
                            address,
                            why,
                            "no trust between this node and a founder"
                        );
                    }
                    None if attempt % TRIES_A_REPORT == 0 => {
                        tracing::info!(peer, address, %status, "a new cluster needs all its founders: waiting for one");
                    }
                    _ => {}
                },
            }
            tokio::time::sleep(PAUSE).await;
        }
        unreachable!("the tries are not counted to an end")
    }
}

fn introduction(
    identity: &Identity,
    to: NodeId,
    founders: BTreeSet<NodeId>,
    token: Option<&Token>,
) -> pb::Founder {
    pb::Founder {
        name: identity.name.clone(),
        from: identity.node,
        to,
        founders: founders.into_iter().collect(),
        format: replica::FORMAT.into(),
        incarnation: number(identity.incarnation),
        share: number(identity.share),
        token: token.map_or(String::new(), |token| token.as_str().to_owned()),
    }
}

/// Whether asking again would give the same.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Unauthenticated
            | Code::InvalidArgument
    )
}

/// What a founder answers to another that asks. `given` is the token that it was started with, `founders` those that it looks for.
///
/// # Errors
/// Why the other is none.
#[allow(
    clippy::result_large_err,
    reason = "the error type of tonic's services"
)]
pub(crate) fn answer(
    own: &Identity,
    founders: &BTreeSet<NodeId>,
    given: Option<&Token>,
    asked: &pb::Founder,
) -> Result<pb::Founder, Status> {
    let from = asked.from;
    if asked.to != own.node {
        let message = format!("this is node {}, not {}", own.node, asked.to);
        return Err(Status::invalid_argument(message));
    }
    if asked.name != own.name {
        let message = format!(
            "node {} belongs to the cluster named {}",
            own.node, own.name
        );
        return Err(Status::permission_denied(message));
    }
    if given.is_some_and(|token| !token.matches(&asked.token)) {
        return Err(Status::unauthenticated(
            "all founders must be started with the same --token-file",
        ));
    }
    if asked.format != u32::from(replica::FORMAT) {
        let message = format!(
            "node {} runs another version of kvs-node; run one version on all founders",
            own.node
        );
        return Err(Status::failed_precondition(message));
    }
    let drawn = read_number(&asked.incarnation)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    if own.cluster.is_some() {
        if own.founders.get(&from) != Some(&drawn) {
            return Err(Status::failed_precondition(format!(
                "the cluster exists and node {} knows no node {from} with this data directory; if node {from} lost its own, \
                 remove it and start a node with a new number and --join",
                own.node
            )));
        }
    } else if !asked.founders.iter().eq(founders) {
        return Err(Status::failed_precondition(format!(
            "node {} is founding a cluster of nodes {founders:?}, node {from} one of {:?}: name the same in --id and --peer",
            own.node, asked.founders
        )));
    }
    let mut answer = introduction(own, from, founders.clone(), None);
    answer.founders.clear();
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn founding(node: NodeId) -> Founding {
        let others = (1..=3).filter(|&peer| peer != node);
        Founding {
            identity: Identity::new("c", node).unwrap(),
            peers: others.map(|peer| (peer, String::new())).collect(),
            token: None,
            credentials: Credentials::default(),
        }
    }

    fn ask(of: &Founding, by: &Founding) -> Result<pb::Founder, Code> {
        let asked = by.introduction(of.identity.node);
        let answered = answer(&of.identity, &of.founders(), of.token.as_ref(), &asked);
        answered.map_err(|status| status.code())
    }

    #[test]
    fn founders_answer_each_other_before_and_after_the_cluster_exists() {
        let (mut one, two) = (founding(1), founding(2));
        let answered = ask(&one, &two).unwrap();
        assert_eq!(
            read_number(&answered.incarnation).unwrap(),
            one.identity.incarnation
        );
        one.identity.cluster = Some(9);
        one.identity.founders = [(2, two.identity.incarnation)].into();
        assert!(ask(&one, &two).is_ok());
    }

    #[test]
    fn a_founder_whose_directory_is_new_is_refused_once_the_cluster_exists() {
        let (mut one, two) = (founding(1), founding(2));
        one.identity.cluster = Some(9);
        one.identity.founders = [(2, two.identity.incarnation)].into();
        assert_eq!(ask(&one, &founding(2)), Err(Code::FailedPrecondition));
    }

    #[test]
    fn who_has_another_name_number_group_token_or_version_is_refused() {
        let one = founding(1);
        let mut other = founding(2);
        other.identity.name = "d".to_owned();
        assert_eq!(ask(&one, &other), Err(Code::PermissionDenied));
        let mut fewer = founding(2);
        fewer.peers.remove(&3);
        assert_eq!(ask(&one, &fewer), Err(Code::FailedPrecondition));
        let guarded = Founding {
            token: Some(Token::of(4)),
            ..founding(1)
        };
        assert_eq!(ask(&guarded, &founding(2)), Err(Code::Unauthenticated));
        let mut asked = founding(2).introduction(1);
        asked.format += 1;
        let answered = answer(&one.identity, &one.founders(), None, &asked);
        assert_eq!(answered.unwrap_err().code(), Code::FailedPrecondition);
        let asked = founding(2).introduction(3);
        let answered = answer(&one.identity, &one.founders(), None, &asked);
        assert_eq!(answered.unwrap_err().code(), Code::InvalidArgument);
    }
}
