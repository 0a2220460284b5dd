//! As much of etcd's gRPC interface as is measured: Put and Range of KV, Status of Maintenance.
//!
//! The messages hold the fields that are used, by the numbers of etcd's `rpc.proto` and `kv.proto`; others are skipped when read.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
}

#[derive(Clone, PartialEq, Message)]
struct ResponseHeader {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

/// Without `serializable` (field 7) it is linearizable.
#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
    #[prost(uint64, tag = "4")]
    leader: u64,
    #[prost(uint64, tag = "5")]
    raft_index: u64,
}

/// What a member says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberStatus {
    pub(crate) has_leader: bool,
    pub(crate) leads: bool,
    pub(crate) index: u64,
}

/// A connection to a member; clones share it.
#[derive(Clone)]
pub(crate) struct Etcd(Grpc<Channel>);

impl Etcd {
    /// Connects when it is first used, and again after a failure.
    pub(crate) fn new(addr: SocketAddr, timeout: Duration) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{addr}"))
            .expect("an address and a port make a valid address of the web");
        let channel = endpoint.connect_timeout(timeout).tcp_nodelay(true);
        Self(Grpc::new(channel.connect_lazy()))
    }

    pub(crate) async fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Status> {
        let request = PutRequest {
            key: key.to_vec(),
            value: value.to_vec(),
        };
        let _: PutResponse = self.call("/etcdserverpb.KV/Put", request).await?;
        Ok(())
    }

    /// A linearizable read.
    pub(crate) async fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Status> {
        let request = RangeRequest { key: key.to_vec() };
        let response: RangeResponse = self.call("/etcdserverpb.KV/Range", request).await?;
        Ok(response.kvs.into_iter().next().map(|pair| pair.value))
    }

    pub(crate) async fn status(&mut self) -> Result<MemberStatus, Status> {
        let path = "/etcdserverpb.Maintenance/Status";
        let status: StatusResponse = self.call(path, StatusRequest {}).await?;
        let member = status.header.map(|header| header.member_id);
        Ok(MemberStatus {
            has_leader: status.leader != 0,
            leads: member == Some(status.leader),
            index: status.raft_index,
        })
    }

    async fn call<Q, R>(&mut self, path: &'static str, request: Q) -> Result<R, Status>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(path);
        let codec = ProstCodec::<Q, R>::default();
        let response = self.0.unary(Request::new(request), path, codec).await?;
        Ok(response.into_inner())
    }
}
