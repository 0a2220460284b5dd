//! TiKV's services, for clients written for it: transactions, raw keys, and the placement driver.
//!
//! # What it is
//!
//! [`kv`] and [`raw`] take the requests of the store's service, [`placement`] those of the placement driver; [`values`] is how raw values are stored, [`convert`] and [`refusal`] turn messages into
//! values of `percolator` and back. [`store`] is what carries a request out, [`work`] how it runs beside others, [`upkeep`] removes what is old, [`oracle`] gives timestamps, [`http`] shows pages, [`api`] is the version that a cluster was created with, [`route`] and [`admission`] see to it that a request
//! is for this node, its region and its key space.
//!
//! # What it guarantees
//!
//! What `percolator` guarantees, over the replicated log: its page of what a server must do is [`store`]'s. Only the leader decides, on a view of
//! which a majority says that it is the newest; what it decides is applied under the same leader or not at all.
//!
//! # What it does not
//!
//! One region, on one group. Key spaces cannot be made: there is `DEFAULT`. Coprocessor, change streams, imports and backups
//! are answered UNIMPLEMENTED.
//!
//! # How it works
//!
//! ```text
//!   client --> kv --> route --> store: latch, ask whether this node leads, decide --> node: log --> applied --> reply
//!                                 |                                                        '--> another leader: NotLeader
//!          --> placement --> oracle: window in the log, timestamps below it
//! ```

mod admission;
mod api;
mod convert;
#[cfg(test)]
mod fake;
mod forward;
mod http;
mod kv;
mod oracle;
mod placement;
mod points;
mod raw;
mod refusal;
mod resolving;
mod route;
mod store;
mod transactional;
mod upkeep;
mod values;
mod waiters;
mod work;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use proto::tikv::keyspacepb::keyspace_server::KeyspaceServer;
use proto::tikv::pdpb::pd_server::PdServer;
use proto::tikv::tikvpb::tikv_server::TikvServer;
use tonic::service::Routes;

pub use api::Api;

use crate::node::Inbox;
use crate::view::Shared;
use kv::KvService;
use placement::PlacementService;
use store::Store;

/// The largest request taken, a little more than TiKV's own bound.
const MAX_REQUEST_BYTES: usize = 16 << 20;
/// Pairs of one reply take no more: clients take messages of up to 4 MiB.
const MAX_REPLY_BYTES: usize = (4 << 20) - (64 << 10);

/// Adds the services of a node to those that it has.
pub(crate) fn add_services(routes: Routes, shared: &Shared, inbox: &Inbox) -> Routes {
    let store = Arc::new(Store::new(shared.clone(), inbox.clone()));
    let placement = PlacementService::new(Arc::clone(&store));
    let kv = TikvServer::new(KvService::new(Arc::clone(&store)))
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_REQUEST_BYTES);
    tokio::spawn(upkeep::learn_api(Arc::clone(&store)));
    tokio::spawn(upkeep::keep_up(Arc::clone(&store)));
    let routes = routes
        .add_service(kv)
        .add_service(PdServer::new(placement.clone()))
        .add_service(KeyspaceServer::new(placement));
    Routes::from(routes.into_axum_router().merge(http::pages(store)))
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
