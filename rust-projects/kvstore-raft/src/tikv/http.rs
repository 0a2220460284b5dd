//! What tools ask of a placement driver over HTTP, on the port of the services.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::route;
use super::store::Store;

/// The pages of a store.
pub(super) fn pages(store: Arc<Store>) -> axum::Router {
    axum::Router::new()
        .route("/pd/api/v1/regions", get(regions))
        .with_state(store)
}

async fn regions(State(store): State<Arc<Store>>) -> Response {
    let (region, leader) = {
        let view = store.shared().look();
        (route::region(&view), view.standing.leader)
    };
    let peers: Vec<_> = region
        .peers
        .iter()
        .map(|peer| format!("{{\"id\":{},\"store_id\":{}}}", peer.id, peer.store_id))
        .collect();
    let epoch = region.region_epoch.unwrap_or_default();
    let leader = leader.map_or_else(
        || "null".to_owned(),
        |leader| format!("{{\"id\":{leader},\"store_id\":{leader}}}"),
    );
    let page = format!(
        "{{\"count\":1,\"regions\":[{{\"id\":{},\"start_key\":\"{}\",\"end_key\":\"{}\",\
         \"epoch\":{{\"conf_ver\":{},\"version\":{}}},\"peers\":[{}],\"leader\":{leader}}}]}}\n",
        region.id,
        hex(&region.start_key),
        hex(&region.end_key),
        epoch.conf_ver,
        epoch.version,
        peers.join(","),
    );
    ([(CONTENT_TYPE, "application/json")], page).into_response()
}

/// Keys as the placement driver shows them: in capitals.
fn hex(key: &[u8]) -> String {
    key.iter().fold(String::new(), |mut text, byte| {
        // A string takes everything.
        let _ = write!(text, "{byte:02X}");
        text
    })
}
