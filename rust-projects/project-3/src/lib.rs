//! project-3
