//! Membership in a tree without showing which leaf.
