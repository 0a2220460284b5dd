//! What a node's services know of it: who it is, the token, who is where.

use std::collections::BTreeSet;
use std::sync::Arc;

use raft::{NodeId, Term};
use replica::{Region, Registry};
use tokio::sync::watch;

use crate::identity::Identity;
use crate::secret::Token;
use crate::tikv::Api;
use crate::tls::Credentials;

/// See the module's page.
pub(crate) struct View {
    pub(crate) identity: Identity,
    /// [`Identity::cluster_text`] of it.
    pub(crate) cluster: String,
    /// None until the founders have found each other.
    pub(crate) token: Option<Token>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) standing: Standing,
    /// The founders that this node looks for, if it is one.
    pub(crate) founders: BTreeSet<NodeId>,
    /// The token that the node was started with.
    pub(crate) given: Option<Token>,
    /// What it shows to other nodes.
    pub(crate) credentials: Credentials,
    /// The version of TiKV's API that a new cluster gets if this node is its first leader.
    pub(crate) api: Api,
}

/// Who leads, and what the group holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) term: Term,
    pub(crate) leader: Option<NodeId>,
    pub(crate) region: Arc<Region>,
}

/// A view that is looked at and changed from several threads.
#[derive(Clone)]
pub(crate) struct Shared(Arc<watch::Sender<View>>);

impl Shared {
    pub(crate) fn new(view: View) -> Self {
        Self(Arc::new(watch::Sender::new(view)))
    }

    /// Look, and let go at once.
    pub(crate) fn look(&self) -> watch::Ref<'_, View> {
        self.0.borrow()
    }

    /// There is a cluster, and this is its token.
    pub(crate) fn settle(&self, identity: &Identity, token: &Token) {
        self.0.send_modify(|view| {
            view.cluster = identity.cluster_text();
            view.identity = identity.clone();
            view.token = Some(token.clone());
        });
    }

    /// Completes once the view is as asked for.
    pub(crate) async fn until(&self, is_so: impl FnMut(&View) -> bool) {
        // It ends with the node only.
        let _ = self.0.subscribe().wait_for(is_so).await;
    }

    pub(crate) fn stand(&self, standing: Standing) {
        self.0.send_modify(|view| view.standing = standing);
    }

    pub(crate) fn learn(&self, registry: &Arc<Registry>) {
        self.0
            .send_modify(|view| view.registry = Arc::clone(registry));
    }
}
