//! project-4
