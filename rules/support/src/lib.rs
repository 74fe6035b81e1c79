//! Code that several of our rules share. It is not a rule, and other authors do not need it.
//!
//! Everything is linear in its input and allocates nothing; callers limit the length.

#[cfg(feature = "cases")]
pub mod cases;
pub mod find;
pub mod words;
