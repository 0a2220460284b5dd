//! The way to whoever leads.

use tokio::time::{Instant, timeout_at};
use tonic::transport::Channel;

use crate::view::{Shared, View};

/// Where a request of the whole cluster is to be carried out.
pub(super) enum Way {
    /// This node leads.
    Here,
    /// Another one does.
    There(Channel),
    /// Nobody did in time, or nothing is known of it.
    Nowhere,
}

/// Where the leader is, once there is one.
pub(super) async fn way(shared: &Shared, deadline: Instant) -> Way {
    if leader(shared, deadline).await.is_none() {
        return Way::Nowhere;
    }
    let view = shared.look();
    let leader = view.standing.leader;
    if leader == Some(view.identity.node) {
        return Way::Here;
    }
    let member = leader.and_then(|leader| view.registry.get(leader));
    let endpoint = member.and_then(|member| view.credentials.endpoint(&member.peer_addr).ok());
    endpoint.map_or(Way::Nowhere, |endpoint| Way::There(endpoint.connect_lazy()))
}

/// Who leads, as soon as it is known; it must have announced itself.
pub(super) async fn leader(shared: &Shared, deadline: Instant) -> Option<raft::NodeId> {
    let known = |view: &View| {
        let leader = view.standing.leader;
        leader.filter(|leader| view.registry.get(*leader).is_some())
    };
    let _ = timeout_at(deadline, shared.until(|view| known(view).is_some())).await;
    known(&shared.look())
}
