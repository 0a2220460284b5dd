//! What the tests share.
#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod draw;
pub(crate) mod script;
pub(crate) mod world;
