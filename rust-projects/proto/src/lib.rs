//! Generated protobuf code. Nothing else: who sends or takes these messages converts them.

/// What the nodes of a replicated store tell each other (`proto/peer.proto`).
#[allow(clippy::all, missing_docs)]
pub mod peer {
    tonic::include_proto!("keyproof.peer.v1");
}

/// What operators ask of the nodes of a replicated store (`proto/admin.proto`).
#[allow(clippy::all, missing_docs)]
pub mod admin {
    tonic::include_proto!("keyproof.admin.v1");
}
