//! The SDK for rules in Rust, without any part of the engine.
//!
//! A rule is a plain function with [`export`]. It computes its result only from its arguments;
//! counting and acting belong to the policy. Because the function stays plain, `cargo test` can
//! test it:
//!
//! ```
//! use seawall_rule::Headers;
//!
//! /// Returns the number of header fields of the request.
//! #[seawall_rule::export]
//! fn field_count(all: Headers<'_>) -> i64 {
//!     all.count() as i64
//! }
//!
//! let packed = seawall_rule::pack(&[("host", "a.example"), ("accept", "*/*")]);
//! assert_eq!(field_count(Headers::new(&packed)), 2);
//! ```
//!
//! A rule keeps no state between calls: instances are replaced at any time, and a rule whose result
//! depends on earlier calls fails its component tests.

mod address;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
mod headers;

pub use address::address;
pub use headers::{Headers, pack};
pub use seawall_rule_macros::export;
pub use std::net::IpAddr;
