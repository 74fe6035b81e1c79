//! What a Seawall rule author in Rust needs, and nothing of the engine.
//!
//! A rule is a plain function under [`export`]. It computes: what it is given is all that it sees,
//! and what it answers is all that it does. Counting and acting are the policy's. Because the
//! function stays a plain one, it is tested with `cargo test` like any other:
//!
//! ```
//! use seawall_rule::Headers;
//!
//! /// How many fields the request has.
//! #[seawall_rule::export]
//! fn field_count(all: Headers<'_>) -> i64 {
//!     all.count() as i64
//! }
//!
//! let packed = seawall_rule::pack(&[("host", "a.example"), ("accept", "*/*")]);
//! assert_eq!(field_count(Headers::new(&packed)), 2);
//! ```
//!
//! The rule keeps nothing between calls: instances are replaced without notice, and a rule whose
//! answer depends on what it was asked before is refused when its cases are rehearsed.

mod address;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
mod headers;

pub use address::address;
pub use headers::{Headers, pack};
pub use seawall_rule_macros::export;
pub use std::net::IpAddr;
