//! project-5
