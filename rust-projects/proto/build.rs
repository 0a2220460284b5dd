//! Generates the code of `proto/*.proto` with a compiler in Rust, so that no `protoc` has to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let sources = [
        "proto/peer.proto",
        "proto/admin.proto",
        "proto/tikv/keyspacepb.proto",
        "proto/tikv/pdpb.proto",
        "proto/tikv/tikvpb.proto",
    ];
    let descriptors = protox::compile(sources, ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
