//! What the operating system grants: open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files the server needs besides its connections: segments, snapshots, standard streams, the reactor.
const FILES_BESIDE_CONNECTIONS: u64 = 512;

/// Raises the soft limit on open files so that `connections` fit, as far as the hard limit allows. Returns how many
/// connections fit when that is fewer.
pub(crate) fn raise_file_limit(connections: usize) -> Option<usize> {
    let wanted = connections as u64 + FILES_BESIDE_CONNECTIONS;
    let limit = getrlimit(Resource::Nofile);
    // `None` is no limit at all.
    let current = limit.current?;
    if current >= wanted {
        return None;
    }
    let reachable = limit.maximum.map_or(wanted, |hard| hard.min(wanted));
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(reachable),
            maximum: limit.maximum,
        },
    );
    let granted = if raised.is_ok() { reachable } else { current };
    (granted < wanted).then(|| {
        // Of a small limit connections get half.
        let fit = granted
            .saturating_sub(FILES_BESIDE_CONNECTIONS)
            .max(granted / 2);
        usize::try_from(fit).unwrap_or(usize::MAX)
    })
}
