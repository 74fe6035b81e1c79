//! The policy language: text in, checked flat program out.
//!
//! The language is a value of this crate; what there is to look at in a request is not. Fields,
//! functions and enumerations are data ([`schema::Schema`]) handed to the checker, and a running
//! program reads them through [`eval::Context`], so nothing here knows HTTP, counters or WASM.
//! Nothing here reads a clock or a file, and no input makes it panic.

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
