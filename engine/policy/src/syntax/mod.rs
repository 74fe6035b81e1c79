//! The written form: text to tokens to tree.
//!
//! Nothing here knows what a field or an action means; that is `check`'s work.

pub mod ast;
pub mod lex;
pub mod parse;
pub mod print;
