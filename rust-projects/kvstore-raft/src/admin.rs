//! The operators' service: what a node knows, orders for the leader, backups.

use std::time::Duration;

use proto::admin as pb;
use proto::admin::admin_server::{Admin, AdminServer};
use raft::{NodeId, Refused};
use replica::{Answer, Member, Order, Registry, Snapshot};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::convert::{format, number, read_number};
use crate::node::{Inbox, Kind, Report};
use crate::snapshots::pieces;
use crate::view::Shared;

/// The metadata in which the token comes.
pub(crate) const TOKEN: &str = "token";
/// The metadata in which a node that does not lead names the leader's address.
pub(crate) const LEADER: &str = "leader";
/// A node that does not even say how it is after this long is stuck.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct AdminService {
    pub(crate) shared: Shared,
    pub(crate) inbox: Inbox,
}

#[allow(
    clippy::result_large_err,
    reason = "the error type of tonic's services"
)]
impl AdminService {
    pub(crate) fn server(self) -> AdminServer<Self> {
        AdminServer::new(self)
    }

    /// Who asks must know the token.
    fn check<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let view = self.shared.look();
        let Some(token) = &view.token else {
            return Err(Status::unavailable(
                "this node waits for the other founders of its cluster, or to be let in",
            ));
        };
        let given = request.metadata().get(TOKEN);
        match given.and_then(|given| given.to_str().ok()) {
            Some(given) if token.matches(given) => Ok(()),
            Some(_) => Err(Status::unauthenticated(
                "this is not the cluster's token; it is in the file TOKEN of every node's data directory",
            )),
            None => Err(Status::unauthenticated(
                "the cluster's token is needed: give --token-file, as with the file TOKEN of a node's data directory",
            )),
        }
    }

    fn order_of(&self, request: pb::OrderRequest) -> Result<Order, Status> {
        use pb::order_request::Order as Pb;
        let order = request.order;
        let order = order.ok_or_else(|| Status::invalid_argument("the order is missing"))?;
        Ok(match order {
            Pb::Promote(node) => Order::Promote(node),
            Pb::Remove(node) => Order::Remove(node),
            Pb::Transfer(node) => Order::Transfer((node != 0).then_some(node)),
            Pb::Add(add) => {
                let name = &self.shared.look().identity.name;
                if !add.name.is_empty() && &add.name != name {
                    let message = format!(
                        "this cluster is named {name}, not {}: see --cluster",
                        add.name
                    );
                    return Err(Status::permission_denied(message));
                }
                let broken =
                    |error: crate::convert::Incomplete| Status::invalid_argument(error.to_string());
                let member = Member {
                    peer_addr: add.peer_addr,
                    client_addr: add.client_addr,
                    version: add.version,
                    format: format(add.format).map_err(broken)?,
                    incarnation: read_number(&add.incarnation).map_err(broken)?,
                };
                if add.node == 0 {
                    return Err(Status::invalid_argument("a node needs a number above 0"));
                }
                let reached = self.shared.look().credentials.endpoint(&member.peer_addr);
                reached.map_err(|error| Status::invalid_argument(error.to_string()))?;
                Order::Add(add.node, member)
            }
        })
    }

    fn done(&self) -> pb::OrderReply {
        let view = self.shared.look();
        let members = view.registry.members();
        pb::OrderReply {
            name: view.identity.name.clone(),
            cluster: number(view.identity.cluster.unwrap_or(0)),
            places: members
                .map(|(node, member)| pb::Place {
                    node,
                    peer_addr: member.peer_addr.clone(),
                })
                .collect(),
        }
    }

    /// Who leads is told where the leader is.
    fn refusal(&self, answer: &Answer) -> Status {
        match answer {
            Answer::Refused(Refused::NotLeader(leader)) => self.not_leader(*leader),
            Answer::Refused(Refused::Change(why)) => Status::aborted(why.to_string()),
            Answer::Refused(why) => Status::aborted(format!("{why}; nothing was done")),
            Answer::Declined(why) => Status::failed_precondition(why.to_string()),
            Answer::NoLeader => Status::unavailable("no leader was found in time; try again later"),
            Answer::Unknown
            | Answer::Done(_)
            | Answer::Replies(_)
            | Answer::Leads(_)
            | Answer::Stale => Status::unknown(
                "it may have been done, or may still be: see `kvs-admin cluster status` before you try again",
            ),
        }
    }

    fn not_leader(&self, leader: Option<NodeId>) -> Status {
        let mut status =
            Status::unavailable("this node knows no leader; try again, or ask another node");
        let view = self.shared.look();
        let Some(member) = leader.and_then(|leader| view.registry.get(leader)) else {
            return status;
        };
        if let Ok(address) = member.peer_addr.parse() {
            status = Status::failed_precondition("this node does not lead");
            status.metadata_mut().insert(LEADER, address);
        }
        status
    }
}

fn role(report: &Report) -> String {
    let node = report.status.id;
    match report.configuration.is_voter(node) {
        true => format!("{:?}", report.status.role).to_lowercase(),
        false => "learner".to_owned(),
    }
}

fn members(report: &Report, registry: &Registry) -> Vec<pb::Member> {
    let configuration = &report.configuration;
    configuration
        .members()
        .map(|node| {
            let known = registry.get(node).cloned().unwrap_or_default();
            let progress = report.progress.get(&node);
            pb::Member {
                node,
                votes: configuration.is_voter(node),
                peer_addr: known.peer_addr,
                client_addr: known.client_addr,
                version: known.version,
                matched: progress.map_or(0, |(matched, _)| *matched),
                silent_ms: progress.map_or(0, |(_, silent)| {
                    u64::try_from(silent.as_millis()).unwrap_or(u64::MAX)
                }),
            }
        })
        .collect()
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn status(
        &self,
        request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusReply>, Status> {
        self.check(&request)?;
        let report = tokio::time::timeout(PATIENCE, self.inbox.report()).await;
        let Ok(Some(report)) = report else {
            return Err(Status::unavailable(
                "the node has stopped, or its disk is stuck",
            ));
        };
        let view = self.shared.look();
        let status = report.status;
        Ok(Response::new(pb::StatusReply {
            name: view.identity.name.clone(),
            cluster: number(view.identity.cluster.unwrap_or(0)),
            node: status.id,
            role: role(&report),
            term: status.term,
            leader: status.leader.unwrap_or(0),
            last: status.last.index,
            committed: status.committed,
            applied: status.applied,
            hash: status.hash,
            members: members(&report, &view.registry),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            format: replica::FORMAT.into(),
        }))
    }

    async fn order(
        &self,
        request: Request<pb::OrderRequest>,
    ) -> Result<Response<pb::OrderReply>, Status> {
        self.check(&request)?;
        let order = self.order_of(request.into_inner())?;
        match self.inbox.order(order).await {
            Answer::Done(_) => Ok(Response::new(self.done())),
            other => Err(self.refusal(&other)),
        }
    }

    type BackupStream = ReceiverStream<Result<pb::BackupPart, Status>>;

    async fn backup(
        &self,
        request: Request<pb::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        self.check(&request)?;
        // What was acknowledged before is applied here once an empty read is answered.
        match self.inbox.ask(Vec::new(), Kind::Read).await {
            Answer::Replies(_) => {}
            other => return Err(self.refusal(&other)),
        }
        let snapshot = match self.inbox.export().await {
            Some(snapshot) => snapshot.map_err(|error| Status::internal(error.to_string()))?,
            None => return Err(Status::unavailable("this node has stopped")),
        };
        let last = snapshot.meta.last;
        let head = pb::BackupHead {
            name: self.shared.look().identity.name.clone(),
            cluster: number(self.shared.look().identity.cluster.unwrap_or(0)),
            term: last.term,
            index: last.index,
            format: replica::FORMAT.into(),
        };
        let (parts, receiver) = mpsc::channel(2);
        tokio::spawn(feed(parts, head, snapshot));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Sends a backup, until it is through or nobody listens.
async fn feed(
    parts: mpsc::Sender<Result<pb::BackupPart, Status>>,
    head: pb::BackupHead,
    snapshot: Snapshot,
) {
    use pb::backup_part::Part;
    let part = |part| pb::BackupPart { part: Some(part) };
    let mut pieces = pieces(snapshot);
    let mut next = Some(Ok(part(Part::Head(head))));
    while let Some(sending) = next {
        if parts.send(sending).await.is_err() {
            return;
        }
        let piece = pieces.recv().await;
        next = piece.map(|piece| piece.map(|data| part(Part::Data(data))));
    }
}
