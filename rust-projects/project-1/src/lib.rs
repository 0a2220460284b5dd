//! project-1
