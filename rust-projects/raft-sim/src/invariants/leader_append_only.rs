//! Leader Append-Only: a leader never overwrites or deletes entries in its log; it only appends new entries (Raft paper, Figure 3;
//! section 5.3).

use raft::Role;

use super::{Checked, Seen, broken};

pub(super) fn check(seen: &Seen<'_>) -> Checked {
    let (before, after) = (&seen.before, &seen.after);
    let leads_on = before.role == Role::Leader && after.role == Role::Leader;
    if !leads_on || before.term != after.term {
        return Ok(());
    }
    let overwrites = seen.actions.write.as_ref().is_some_and(|write| {
        let first = write.entries.first();
        write.snapshot.is_some() || first.is_some_and(|first| first.id.index <= before.last.index)
    });
    if overwrites || after.last.index < before.last.index {
        return broken(
            "leader append-only",
            format!(
                "server {} overwrote its log in term {}",
                seen.node, after.term
            ),
        );
    }
    Ok(())
}
