//! The placement driver: who is where, who leads, timestamps, safe points, and the one key space.
//!
//! Every node answers, from what is replicated to it. Timestamps only the leader gives, and what changes something is passed on to it.

use std::sync::Arc;
use std::time::Duration;

use percolator::{MAX_BATCH, SafePoints, Timestamp, Timestamps};
use proto::tikv::keyspacepb::keyspace_server::Keyspace;
use proto::tikv::keyspacepb::{self, KeyspaceMeta};
use proto::tikv::metapb;
use proto::tikv::pdpb::pd_client::PdClient;
use proto::tikv::pdpb::pd_server::Pd;
use proto::tikv::pdpb::{self as pb, ErrorType, ResponseHeader};
use raft::NodeId;
use replica::Member;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::forward::{self, Way};
use super::now_ms;
use super::route::{self, REGION_ID, peer};
use super::store::{Failure, PATIENCE, Store};
use crate::view::View;

type Done<T> = Result<Response<T>, Status>;

/// The one key space: its name and number are those of TiKV.
const KEYSPACE: &str = "DEFAULT";
/// The version of the placement driver whose behaviour this is; clients of TiKV look at it.
const VERSION: &str = "8.5.0";
/// Answers to requests for timestamps that wait for the network.
const STREAM_QUEUE: usize = 16;
/// While several requests for timestamps come at a time, a majority is asked no more often than this: each question costs every node something.
const PACE: Duration = Duration::from_millis(1);
/// Requests for timestamps of one stream that are answered together.
const MAX_TOGETHER: usize = 256;
/// The sender of a request that a node passed on to the leader.
const PASSED_ON: u64 = u64::MAX;

/// See the module's page.
#[derive(Clone)]
pub(super) struct PlacementService {
    store: Arc<Store>,
}

impl PlacementService {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    fn header(&self) -> ResponseHeader {
        ResponseHeader {
            cluster_id: cluster_id(&self.store.shared().look()),
            error: None,
        }
    }

    fn header_with(&self, kind: ErrorType, message: String) -> ResponseHeader {
        ResponseHeader {
            error: Some(pb::Error {
                r#type: kind.into(),
                message,
            }),
            ..self.header()
        }
    }

    /// Who leads; waits for an election.
    #[allow(
        clippy::result_large_err,
        reason = "the error type of tonic's services"
    )]
    async fn leader(&self) -> Result<NodeId, Status> {
        let leader = forward::leader(self.store.shared(), Instant::now() + PATIENCE).await;
        if leader == Some(self.store.node()) {
            // With it the region may change, so clients hear of that first. They take a failure here badly: see docs/tikv-client-quirks.md.
            let _ = self.store.api.learn(&self.store).await;
        }
        leader.ok_or_else(|| Status::unavailable("no leader was found in time; try again later"))
    }

    async fn region(&self) -> Result<pb::GetRegionResponse, Status> {
        let leader = self.leader().await?;
        let region = route::region(&self.store.shared().look());
        Ok(pb::GetRegionResponse {
            header: Some(self.header()),
            region: Some(region),
            leader: Some(peer(leader)),
            ..pb::GetRegionResponse::default()
        })
    }

    fn no_region(&self, what: String) -> pb::GetRegionResponse {
        pb::GetRegionResponse {
            header: Some(self.header_with(ErrorType::RegionNotFound, what)),
            ..pb::GetRegionResponse::default()
        }
    }

    /// Where a request is to be carried out that only the leader carries out: there, or here. It is marked as passed on, so that it goes no further.
    async fn leader_of(
        &self,
        header: &mut Option<pb::RequestHeader>,
    ) -> Result<Option<PdClient<Channel>>, Status> {
        let sender = &mut header.get_or_insert_default().sender_id;
        let was_passed_on = std::mem::replace(sender, PASSED_ON) == PASSED_ON;
        match forward::way(self.store.shared(), Instant::now() + PATIENCE).await {
            Way::Here => Ok(None),
            Way::There(channel) if !was_passed_on => Ok(Some(PdClient::new(channel))),
            Way::There(_) | Way::Nowhere => Err(status(Failure::NotLeader)),
        }
    }
}

/// What there is to say about a failure, outside of the store's replies.
fn status(failure: Failure) -> Status {
    match failure {
        Failure::NotLeader | Failure::Stale => Status::unavailable("this node does not lead"),
        Failure::Busy => Status::unavailable("this node has too much to do; try again later"),
        Failure::Unknown => Status::unknown("it may have been done, or may still be"),
        Failure::Refused(refusal) => Status::failed_precondition(refusal.to_string()),
        Failure::Deadlock(deadlock) => Status::aborted(deadlock.to_string()),
        Failure::NeverGiven(ts) => Status::failed_precondition(super::refusal::never_given(ts)),
        Failure::Broken(why) => Status::internal(why),
    }
}

/// A part of the number that the founders drew.
fn cluster_id(view: &View) -> u64 {
    let drawn = view.identity.cluster.unwrap_or_default();
    // As other clients read it as a signed number: 63 bits, and 0 stands for none.
    (drawn as u64 & i64::MAX as u64).max(1)
}

fn member(view: &View, node: NodeId, known: &Member) -> pb::Member {
    let url = view.credentials.url(&known.peer_addr);
    pb::Member {
        name: format!("node-{node}"),
        member_id: node,
        peer_urls: vec![url.clone()],
        client_urls: vec![url],
        binary_version: VERSION.into(),
        ..pb::Member::default()
    }
}

fn store_of(node: NodeId, known: &Member) -> metapb::Store {
    metapb::Store {
        id: node,
        address: known.peer_addr.clone(),
        state: metapb::StoreState::Up.into(),
        version: VERSION.into(),
        peer_address: known.peer_addr.clone(),
        status_address: known.peer_addr.clone(),
    }
}

#[tonic::async_trait]
impl Pd for PlacementService {
    type TsoStream = ReceiverStream<Result<pb::TsoResponse, Status>>;

    async fn get_members(&self, _: Request<pb::GetMembersRequest>) -> Done<pb::GetMembersResponse> {
        let leader = self.leader().await?;
        let view = self.store.shared().look();
        let members = view.registry.members();
        let members = members.map(|(node, known)| member(&view, node, known));
        let known = view.registry.get(leader);
        let leader = known.map(|known| member(&view, leader, known));
        Ok(Response::new(pb::GetMembersResponse {
            members: members.collect(),
            etcd_leader: leader.clone(),
            leader,
            header: Some(ResponseHeader {
                cluster_id: cluster_id(&view),
                error: None,
            }),
        }))
    }

    async fn tso(&self, request: Request<Streaming<pb::TsoRequest>>) -> Done<Self::TsoStream> {
        let (sender, receiver) = mpsc::channel(STREAM_QUEUE);
        tokio::spawn(give_timestamps(self.clone(), request.into_inner(), sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_region(
        &self,
        request: Request<pb::GetRegionRequest>,
    ) -> Done<pb::GetRegionResponse> {
        self.leader().await?;
        let key = request.into_inner().region_key;
        let holds = self.store.standing().region.contains(&key);
        Ok(Response::new(match holds {
            true => self.region().await?,
            false => self.no_region(format!("no region holds key {key:?}")),
        }))
    }

    async fn get_prev_region(
        &self,
        request: Request<pb::GetRegionRequest>,
    ) -> Done<pb::GetRegionResponse> {
        self.leader().await?;
        let key = request.into_inner().region_key;
        let region = self.store.standing().region;
        let is_before = !region.end.is_empty() && region.end <= key;
        Ok(Response::new(match is_before {
            true => self.region().await?,
            false => self.no_region(format!("no region is before that of key {key:?}")),
        }))
    }

    async fn get_region_by_id(
        &self,
        request: Request<pb::GetRegionByIdRequest>,
    ) -> Done<pb::GetRegionResponse> {
        let id = request.into_inner().region_id;
        Ok(Response::new(match id {
            REGION_ID => self.region().await?,
            _ => self.no_region(format!("there is no region {id}")),
        }))
    }

    async fn scan_regions(
        &self,
        request: Request<pb::ScanRegionsRequest>,
    ) -> Done<pb::ScanRegionsResponse> {
        self.leader().await?;
        let request = request.into_inner();
        let region = self.store.standing().region;
        let begins_in_time = request.end_key.is_empty() || region.start < request.end_key;
        let ends_in_time = region.end.is_empty() || region.end > request.start_key;
        let mut response = pb::ScanRegionsResponse {
            header: Some(self.header()),
            ..pb::ScanRegionsResponse::default()
        };
        if begins_in_time && ends_in_time {
            let found = self.region().await?;
            response.regions = vec![pb::Region {
                region: found.region.clone(),
                leader: found.leader,
                ..pb::Region::default()
            }];
            response.region_metas.extend(found.region);
            response.leaders.extend(found.leader);
        }
        Ok(Response::new(response))
    }

    async fn get_store(&self, request: Request<pb::GetStoreRequest>) -> Done<pb::GetStoreResponse> {
        let id = request.into_inner().store_id;
        let found = {
            let view = self.store.shared().look();
            view.registry.get(id).map(|known| store_of(id, known))
        };
        let header = match found {
            Some(_) => self.header(),
            None => self.header_with(ErrorType::Unknown, format!("there is no store {id}")),
        };
        Ok(Response::new(pb::GetStoreResponse {
            header: Some(header),
            store: found,
        }))
    }

    async fn get_all_stores(
        &self,
        _: Request<pb::GetAllStoresRequest>,
    ) -> Done<pb::GetAllStoresResponse> {
        let header = self.header();
        let view = self.store.shared().look();
        let members = view.registry.members();
        Ok(Response::new(pb::GetAllStoresResponse {
            header: Some(header),
            stores: members.map(|(node, known)| store_of(node, known)).collect(),
        }))
    }

    async fn get_gc_safe_point(
        &self,
        request: Request<pb::GetGcSafePointRequest>,
    ) -> Done<pb::GetGcSafePointResponse> {
        let mut request = request.into_inner();
        if let Some(mut leader) = self.leader_of(&mut request.header).await? {
            return leader.get_gc_safe_point(request).await;
        }
        let points = self.store.safe_points().await.map_err(status)?;
        Ok(Response::new(pb::GetGcSafePointResponse {
            header: Some(self.header()),
            safe_point: points.safe_point().0,
        }))
    }

    async fn update_gc_safe_point(
        &self,
        request: Request<pb::UpdateGcSafePointRequest>,
    ) -> Done<pb::UpdateGcSafePointResponse> {
        let mut request = request.into_inner();
        if let Some(mut leader) = self.leader_of(&mut request.header).await? {
            return leader.update_gc_safe_point(request).await;
        }
        let wanted = Timestamp(request.safe_point);
        let change = |points: &mut SafePoints| points.advance(wanted, now_ms());
        let advanced = self.store.change_safe_points(change).await;
        Ok(Response::new(pb::UpdateGcSafePointResponse {
            header: Some(self.header()),
            new_safe_point: advanced.map_err(status)?.0,
        }))
    }

    async fn update_service_gc_safe_point(
        &self,
        request: Request<pb::UpdateServiceGcSafePointRequest>,
    ) -> Done<pb::UpdateServiceGcSafePointResponse> {
        let mut request = request.into_inner();
        if let Some(mut leader) = self.leader_of(&mut request.header).await? {
            return leader.update_service_gc_safe_point(request).await;
        }
        let service = String::from_utf8_lossy(&request.service_id).into_owned();
        let ttl_ms = u64::try_from(request.ttl).unwrap_or(0).saturating_mul(1000);
        let (wanted, now_ms) = (Timestamp(request.safe_point), now_ms());
        let change = |points: &mut SafePoints| {
            // One that comes too late is told so by the lowest that is held.
            let _ = points.hold(&service, wanted, ttl_ms, now_ms);
            points.lowest(now_ms)
        };
        let lowest = self.store.change_safe_points(change).await;
        Ok(Response::new(pb::UpdateServiceGcSafePointResponse {
            header: Some(self.header()),
            service_id: request.service_id,
            ttl: request.ttl,
            min_safe_point: lowest.map_err(status)?.0,
        }))
    }
}

/// Answers each request for timestamps, in order, until this node leads no more. What has come by now is answered together: a majority is
/// asked once for all.
async fn give_timestamps(
    service: PlacementService,
    mut requests: Streaming<pb::TsoRequest>,
    sender: mpsc::Sender<Result<pb::TsoResponse, Status>>,
) {
    let shared = service.store.shared();
    let node = shared.look().identity.node;
    let ended = || Status::unavailable("this node does not lead: ask another one for the members");
    let mut pause_until = None;
    loop {
        if let Some(until) = pause_until.take() {
            tokio::time::sleep_until(until).await;
        }
        let together = tokio::select! {
            requests = come_by_now(&mut requests) => requests,
            () = shared.until(|view| view.standing.leader != Some(node)) => {
                let _ = sender.send(Err(ended())).await;
                return;
            }
        };
        if together.is_empty() {
            return;
        }
        // Whoever is alone does not wait.
        pause_until = (together.len() > 1).then(|| Instant::now() + PACE);
        let counts = together.iter();
        let counts = counts.map(|request| u64::from(request.count).clamp(1, MAX_BATCH));
        let counts: Vec<_> = counts.collect();
        let responses = match service.store.timestamps(&counts).await {
            Ok(given) => given
                .into_iter()
                .map(|given| Ok(timestamps(&service, given)))
                .collect(),
            Err(Failure::Busy) => vec![Err(status(Failure::Busy))],
            Err(_) => vec![Err(ended())],
        };
        for response in responses {
            let is_last = response.is_err();
            if sender.send(response).await.is_err() || is_last {
                return;
            }
        }
    }
}

/// Waits for a request, and takes those that are there as well; none if the client has ended.
async fn come_by_now(requests: &mut Streaming<pb::TsoRequest>) -> Vec<pb::TsoRequest> {
    let mut together = Vec::new();
    while together.len() < MAX_TOGETHER {
        let next = tokio::select! {
            biased;
            next = requests.message() => next,
            () = std::future::ready(()), if !together.is_empty() => break,
        };
        match next {
            Ok(Some(request)) => together.push(request),
            // What came before is still answered, and then nothing more comes.
            Ok(None) | Err(_) => break,
        }
    }
    together
}

fn timestamps(service: &PlacementService, given: Timestamps) -> pb::TsoResponse {
    pb::TsoResponse {
        header: Some(service.header()),
        count: u32::try_from(given.count).unwrap_or(u32::MAX),
        timestamp: Some(pb::Timestamp {
            physical: given.last().physical_ms().cast_signed(),
            logical: given.last().logical().cast_signed(),
            ..pb::Timestamp::default()
        }),
    }
}

#[tonic::async_trait]
impl Keyspace for PlacementService {
    async fn load_keyspace(
        &self,
        request: Request<keyspacepb::LoadKeyspaceRequest>,
    ) -> Done<keyspacepb::LoadKeyspaceResponse> {
        let name = request.into_inner().name;
        let found = name == KEYSPACE;
        let header = match found {
            true => self.header(),
            false => {
                let message = format!("there is no keyspace `{name}`: there is `{KEYSPACE}`");
                self.header_with(ErrorType::EntryNotFound, message)
            }
        };
        Ok(Response::new(keyspacepb::LoadKeyspaceResponse {
            header: Some(header),
            keyspace: found.then(|| KeyspaceMeta {
                id: 0,
                name,
                state: keyspacepb::KeyspaceState::Enabled.into(),
                ..KeyspaceMeta::default()
            }),
        }))
    }
}
