//! What more than one of our rules needs. No rule itself, and nothing that an author outside needs.
//!
//! Everything here is linear in what it is given and allocates nothing: callers bound the length.

#[cfg(feature = "cases")]
pub mod cases;
pub mod find;
pub mod words;
