//! How a node gets into its cluster: it founds it, is let in by it, or knows it from before.

use std::path::Path;
use std::time::{Duration, Instant};

use proto::admin as pb;
use replica::Member;

use crate::client::{AdminError, Operator};
use crate::convert::{number, read_number};
use crate::founding::Founding;
use crate::identity::Identity;
use crate::offline::token_file;
use crate::run::{Config, RunError};
use crate::secret::{Token, write_private};
use crate::view::Shared;

/// A cluster that has no leader for this long does not let anybody in.
const JOIN_PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until it is known which cluster this node belongs to, and keeps that.
///
/// # Errors
/// The cluster refuses the node; the token is missing or cannot be used; I/O errors.
pub(crate) async fn settle(
    config: &Config,
    identity: Identity,
    given: Option<Token>,
    shared: &Shared,
) -> Result<Identity, RunError> {
    let is_new = identity.cluster.is_none();
    let (identity, token) = match (is_new, &config.join) {
        (false, _) => {
            let token = match given {
                Some(token) => token,
                None => Token::read(&token_file(&config.data_dir))?,
            };
            (identity, token)
        }
        (true, Some(addr)) => {
            let token = given.ok_or(RunError::TokenNeeded)?;
            (join(config, identity, &token, addr, shared).await?, token)
        }
        (true, None) => {
            let founding = Founding {
                identity,
                peers: config.peers.clone(),
                token: given,
                credentials: shared.look().credentials.clone(),
            };
            let (mut identity, token) = founding.found().await?;
            identity.places = config.peers.clone();
            (identity, token)
        }
    };
    keep_token(&config.data_dir, &token)?;
    if is_new {
        identity.write(&config.data_dir)?;
        tracing::info!(
            cluster = identity.cluster_text(),
            "this node belongs to a cluster"
        );
    }
    shared.settle(&identity, &token);
    Ok(identity)
}

/// Writes the token, unless it is there.
///
/// # Errors
/// I/O errors.
pub(crate) fn keep_token(dir: &Path, token: &Token) -> Result<(), RunError> {
    let path = token_file(dir);
    if Token::read(&path).is_ok_and(|found| found.matches(token.as_str())) {
        return Ok(());
    }
    let text = format!("{}\n", token.as_str());
    write_private(&path, &text).map_err(|source| RunError::Write { path, source })
}

/// What this node tells the others of itself.
pub(crate) fn member(config: &Config, identity: &Identity) -> Member {
    Member {
        peer_addr: config.peer_addr.to_string(),
        client_addr: config.addr.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        format: replica::FORMAT,
        incarnation: identity.incarnation,
    }
}

/// Asks the cluster to take this node in as a learner.
async fn join(
    config: &Config,
    identity: Identity,
    token: &Token,
    addr: &str,
    shared: &Shared,
) -> Result<Identity, RunError> {
    let member = member(config, &identity);
    let add = pb::order_request::Order::Add(pb::Add {
        name: identity.name.clone(),
        node: identity.node,
        peer_addr: member.peer_addr,
        client_addr: member.client_addr,
        version: member.version,
        format: member.format.into(),
        incarnation: number(member.incarnation),
    });
    let credentials = shared.look().credentials.clone();
    let began = Instant::now();
    let let_in = loop {
        let mut operator = Operator::new(addr.to_owned(), Some(token.clone()), credentials.clone());
        match operator.order(add.clone()).await {
            Ok(let_in) => break let_in,
            Err(AdminError::Unreachable { .. } | AdminError::NotNow(_))
                if began.elapsed() < JOIN_PATIENCE => {}
            Err(error) => return Err(RunError::Join(error)),
        }
        tokio::time::sleep(PAUSE).await;
    };
    let cluster =
        read_number(&let_in.cluster).map_err(|error| RunError::Refused(error.to_string()))?;
    let places = let_in
        .places
        .into_iter()
        .filter(|place| place.node != identity.node)
        .map(|place| (place.node, place.peer_addr));
    Ok(Identity {
        places: places.collect(),
        cluster: Some(cluster),
        ..identity
    })
}
