//! The limit on open files of the process.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit on open files to the hard limit as far as the system allows. Returns the
/// new limit; `u64::MAX` means no limit. The usual soft limit of 1,024 exists for `select` (2),
/// which Seawall does not call.
#[must_use]
pub fn raise_nofile_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    let now = if setrlimit(Resource::Nofile, limit).is_ok() { limit.maximum } else { before };
    now.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_in_force() {
        let said = raise_nofile_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current.unwrap_or(u64::MAX), said);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(raise_nofile_limit(), said, "raising it again changes nothing");
    }
}
