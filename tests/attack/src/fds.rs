//! File descriptors: as many as the system permits, and a clear error if that is too few.

use anyhow::{Context as _, Result};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors beside the connections: runtimes, `/proc`, output.
const RESERVE: u64 = 200;

/// Raises the soft limit to the hard one.
///
/// # Errors
/// The system refuses, or the hard limit is too low for `connections`.
pub(crate) fn raise(connections: u64) -> Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")?;
    let have = limit.maximum.unwrap_or(u64::MAX);
    enough(have, connections)?;
    Ok(have)
}

fn enough(have: u64, connections: u64) -> Result<()> {
    let need = connections.saturating_add(RESERVE);
    if have < need {
        anyhow::bail!(
            "{connections} connections need {need} open files and the hard limit is {have}: raise \
             it (`ulimit -Hn`, as root) or ask for fewer"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_descriptors_are_said_plainly() {
        enough(1_000, 800).unwrap();
        let said = enough(1_000, 801).unwrap_err().to_string();
        assert!(said.contains("1001 open files"), "{said}");
    }
}
