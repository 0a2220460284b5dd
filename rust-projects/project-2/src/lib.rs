//! project-2
