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

/// What clients of TiKV ask of a store and its placement driver (`proto/tikv/`), a module for each package.
#[allow(clippy::all, missing_docs)]
pub mod tikv {
    pub mod deadlock {
        tonic::include_proto!("deadlock");
    }
    pub mod errorpb {
        tonic::include_proto!("errorpb");
    }
    pub mod keyspacepb {
        tonic::include_proto!("keyspacepb");
    }
    pub mod kvrpcpb {
        tonic::include_proto!("kvrpcpb");
    }
    pub mod metapb {
        tonic::include_proto!("metapb");
    }
    pub mod pdpb {
        tonic::include_proto!("pdpb");
    }
    pub mod tikvpb {
        tonic::include_proto!("tikvpb");
    }
}
