//! Milestone 4: one engine shared by many threads, three thread pools, and a server generic over them.

pub mod thread_pool;
