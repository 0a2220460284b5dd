//! RESP, the protocol of Redis, versions 2 and 3.

mod reply;

pub use reply::{Protocol, Reply};
