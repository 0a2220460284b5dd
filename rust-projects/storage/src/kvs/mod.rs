//! The log-structured engine.
