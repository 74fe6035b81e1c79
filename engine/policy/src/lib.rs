//! The policy language: from text to a checked flat program.
//!
//! This crate defines the language, but not the facts of a request. Fields, functions and
//! enumerations are data ([`schema::Schema`]) that the checker gets. A running program reads them
//! through [`eval::Context`]. The crate therefore does not depend on HTTP, counters or WASM. It
//! reads no clock and no file, and no input causes a panic.

pub mod check;
pub mod code;
pub mod diagnostic;
pub mod eval;
pub mod expression;
pub mod fuel;
pub mod functions;
mod ids;
pub mod index;
pub mod outline;
pub mod part;
pub mod policy_test;
pub mod program;
pub mod quantity;
pub mod schema;
pub mod set;
pub mod span;
pub mod syntax;
pub mod text;
pub mod texts;
