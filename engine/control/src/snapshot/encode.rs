//! The content of a snapshot, before it is encrypted.

use seawall_model::Tick;
use seawall_state::{SNAPSHOT_BYTES_MAX, State};

use super::timestamp::SnapshotTimestamp;

/// Returns the content of a snapshot of `state`, for a child process.
///
/// # Errors
/// It would be too large.
pub(crate) fn content_of(state: &State, now: Tick) -> Result<Vec<u8>, String> {
    content(state, now, &SnapshotTimestamp::now()).map(|(content, _)| content)
}

/// Returns the content of a snapshot of `state`, and the number of omitted entries.
pub(super) fn content(
    state: &State,
    now: Tick,
    made: &SnapshotTimestamp,
) -> Result<(Vec<u8>, usize), String> {
    let snapshot = state.snapshot(now);
    let mut content = snapshot.bytes;
    if content.len() > SNAPSHOT_BYTES_MAX {
        return Err(format!("it would have more than {SNAPSHOT_BYTES_MAX} bytes"));
    }
    made.write(&mut content);
    Ok((content, snapshot.left_out))
}
