//! Whether a request is for this node, its region, and the key space that its kind of keys has.
//!
//! Keys of clients begin with their mode and key space (API version 2 of TiKV): `r` or `x`, and three bytes of the key space's number; or they are all of one
//! kind (version 1). Regions are ranges of memory-comparable keys, as the placement driver tells them to clients; of raw keys as they are with version 1.

use bytes::Bytes;
use proto::tikv::errorpb::{
    self, EpochNotMatch, KeyNotInRegion, NotLeader, RegionNotFound, StoreNotMatch,
};
use proto::tikv::kvrpcpb::{ApiVersion, Context};
use proto::tikv::metapb;
use raft::NodeId;
use replica::{Epoch, Region};
use storage::{Direction, KeyRange};

use super::api::Api;
use super::convert::range;
use crate::view::View;

/// The one region.
pub(super) const REGION_ID: u64 = 1;

/// Which keys a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Raw,
    Transactional,
}

/// A request cannot be taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Misrouted {
    /// The client asks elsewhere, or again.
    Region(Box<errorpb::Error>),
    /// It is wrong, and stays so.
    Wrong(String),
}

/// The peer of a node: they have the same number, as there is one region.
pub(super) fn peer(node: NodeId) -> metapb::Peer {
    metapb::Peer {
        id: node,
        store_id: node,
        ..metapb::Peer::default()
    }
}

/// The region as clients know it.
pub(super) fn region(view: &View) -> metapb::Region {
    let region = &view.standing.region;
    metapb::Region {
        id: REGION_ID,
        start_key: region.start.clone(),
        end_key: region.end.clone(),
        region_epoch: Some(epoch(region.epoch)),
        peers: view
            .registry
            .members()
            .map(|(node, _)| peer(node))
            .collect(),
    }
}

fn epoch(epoch: Epoch) -> metapb::RegionEpoch {
    metapb::RegionEpoch {
        conf_ver: epoch.configuration,
        version: epoch.version,
    }
}

/// This node does not lead; who does, as far as it knows.
pub(super) fn not_leader(view: &View) -> errorpb::Error {
    let leader = view.standing.leader;
    let other = leader.filter(|leader| *leader != view.identity.node);
    errorpb::Error {
        message: "this node does not lead the region".into(),
        not_leader: Some(NotLeader {
            region_id: REGION_ID,
            leader: other.map(peer),
        }),
        ..errorpb::Error::default()
    }
}

/// The region is another one by now.
pub(super) fn epoch_not_match(view: &View) -> errorpb::Error {
    errorpb::Error {
        message: "the region has changed".into(),
        epoch_not_match: Some(EpochNotMatch {
            current_regions: vec![region(view)],
        }),
        ..errorpb::Error::default()
    }
}

/// Whether the context of a request fits this node, and if so the version of the API and the epoch that the request rests on.
///
/// # Errors
/// [`Misrouted`].
pub(super) fn check_context(
    view: &View,
    api: Option<Api>,
    context: Option<&Context>,
) -> Result<(Api, Epoch), Misrouted> {
    let Some(context) = context else {
        return Err(Misrouted::Wrong("the request has no context".into()));
    };
    let refuse = |error: errorpb::Error| Err(Misrouted::Region(Box::new(error)));
    let (own, standing) = (view.identity.node, &view.standing);
    let asked = context.peer.as_ref().map_or(0, |peer| peer.store_id);
    if asked != own {
        return refuse(errorpb::Error {
            message: "the request is for another store".into(),
            store_not_match: Some(StoreNotMatch {
                request_store_id: asked,
                actual_store_id: own,
            }),
            ..errorpb::Error::default()
        });
    }
    if context.region_id != REGION_ID {
        return refuse(errorpb::Error {
            message: "this store has no such region".into(),
            region_not_found: Some(RegionNotFound {
                region_id: context.region_id,
            }),
            ..errorpb::Error::default()
        });
    }
    if standing.leader != Some(own) {
        return refuse(not_leader(view));
    }
    let Some(api) = api else {
        // It has just come to lead.
        return refuse(not_leader(view));
    };
    check_version(api, context)?;
    if context.region_epoch != Some(epoch(standing.region.epoch)) {
        return refuse(epoch_not_match(view));
    }
    Ok((api, standing.region.epoch))
}

/// Whether the client speaks the version of the API that the cluster was created with.
pub(super) fn check_version(api: Api, context: &Context) -> Result<(), Misrouted> {
    let asked = context.api_version();
    if api.serves(asked) {
        return Ok(());
    }
    let (version, advice) = match api {
        Api::V2 => (
            "2",
            "give the client a keyspace, as with `Config::with_default_keyspace()`",
        ),
        Api::V1Raw | Api::V1Transactional => ("1", "give the client no keyspace"),
    };
    let asked = match asked {
        ApiVersion::V1 => "1",
        ApiVersion::V1ttl => "1 with time to live",
        ApiVersion::V2 => "2",
    };
    Err(Misrouted::Wrong(format!(
        "the cluster has API version {version} and the request version {asked}: {advice}"
    )))
}

/// Whether a key is of the mode, and in the region.
///
/// # Errors
/// [`Misrouted`].
pub(super) fn check_key(
    api: Api,
    region: &Region,
    mode: Mode,
    key: &[u8],
) -> Result<(), Misrouted> {
    check_mode(api, mode, key)?;
    match region.contains(&api.in_region(key)) {
        true => Ok(()),
        false => Err(not_in_region(region, key)),
    }
}

fn not_in_region(region: &Region, key: &[u8]) -> Misrouted {
    Misrouted::Region(Box::new(errorpb::Error {
        message: "the key is not in the region".into(),
        key_not_in_region: Some(KeyNotInRegion {
            key: Bytes::copy_from_slice(key),
            region_id: REGION_ID,
            start_key: region.start.clone(),
            end_key: region.end.clone(),
        }),
        ..errorpb::Error::default()
    }))
}

/// Whether a range ends where the region does, or before: an empty end is behind all keys.
fn ends_in(region: &Region, api: Api, end: &[u8]) -> bool {
    region.end.is_empty() || (!end.is_empty() && api.in_region(end) <= region.end)
}

/// The part of `[start, end)` that the region has: the end at which reading begins must be in it.
///
/// # Errors
/// [`Misrouted`].
pub(super) fn check_scan(
    api: Api,
    region: &Region,
    mode: Mode,
    (mut start, mut end): (Bytes, Bytes),
    direction: Direction,
) -> Result<KeyRange, Misrouted> {
    match direction {
        Direction::Forward => {
            check_key(api, region, mode, &start)?;
            if !ends_in(region, api, &end) {
                end = api.of_region(&region.end);
            }
        }
        Direction::Reverse => {
            check_mode(api, mode, &start)?;
            if !ends_in(region, api, &end) {
                match api {
                    // Behind the region's end there are no keys of this version, and clients without an end mean the last ones.
                    Api::V1Raw => end = region.end.clone(),
                    Api::V2 | Api::V1Transactional => return Err(not_in_region(region, &end)),
                }
            }
            start = start.max(api.of_region(&region.start));
        }
    }
    Ok(range(start, end))
}

/// `[start, end)`, if the region has all of it.
///
/// # Errors
/// [`Misrouted`].
pub(super) fn check_range(
    api: Api,
    region: &Region,
    mode: Mode,
    (start, end): (Bytes, Bytes),
) -> Result<KeyRange, Misrouted> {
    check_key(api, region, mode, &start)?;
    match ends_in(region, api, &end) {
        true => Ok(range(start, end)),
        false => Err(not_in_region(region, &end)),
    }
}

/// Whether a key is of the mode.
fn check_mode(api: Api, mode: Mode, key: &[u8]) -> Result<(), Misrouted> {
    if api.mode_of(key) == Some(mode) {
        return Ok(());
    }
    let (kind, other, prefix) = match mode {
        Mode::Raw => ("raw", "transactional", 'r'),
        Mode::Transactional => ("transactional", "raw", 'x'),
    };
    Err(Misrouted::Wrong(match api {
        Api::V2 => format!(
            "a key of {kind} requests begins with `{prefix}`, and this one does not: raw and transactional keys are apart"
        ),
        Api::V1Raw | Api::V1Transactional => format!(
            "the cluster was created for {other} keys of API version 1, and this is a {kind} request: create one for {kind} keys, or with version 2 for both"
        ),
    }))
}
