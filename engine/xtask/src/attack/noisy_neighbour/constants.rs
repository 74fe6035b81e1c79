//! Who is attacked, who is not, and what an origin is told that it can do.

/// The member who is attacked, and who has twice the share of everybody else.
pub(crate) const ALICE: &str = "alice.example";
/// The other who is attacked.
pub(crate) const BOB: &str = "bob.example";
/// Their neighbour, whom nobody attacks.
pub(crate) const CAROL: &str = "carol.example";
/// What visitors ask for.
pub(crate) const VISIT: &str = "/__visit";
/// Requests that an origin works on at once, which every server is told.
pub(crate) const AT_ONCE: u64 = 32;
