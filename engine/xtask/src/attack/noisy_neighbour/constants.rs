//! The attacked members, the others, and the limits of an origin.

/// The attacked member, which has twice the share of the others.
pub(crate) const ALICE: &str = "alice.example";
/// The second attacked member.
pub(crate) const BOB: &str = "bob.example";
/// A member that is not attacked.
pub(crate) const CAROL: &str = "carol.example";
/// The path of visitors' requests.
pub(crate) const VISIT: &str = "/__visit";
/// Concurrent requests of an origin, as configured in every server.
pub(crate) const AT_ONCE: u64 = 32;
