//! The faulty twin of the disk.
