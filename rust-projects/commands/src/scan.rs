//! Walking over the keys: SCAN and its cursors, KEYS.

/// Where the SCANs under way have got to.
#[derive(Debug, Default)]
pub struct ScanCursors {}

impl ScanCursors {
    /// An empty table whose first cursor will be `first_id`. A server passes one that it did not use before it was
    /// restarted, such as the time, so that a cursor of then is not taken for one of now.
    pub fn new(_first_id: u64) -> Self {
        Self {}
    }
}
