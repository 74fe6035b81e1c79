//! The syntax: from text to tokens to a tree.
//!
//! This module does not know the meaning of fields or actions; `check` does.

pub mod ast;
pub mod lex;
pub mod parse;
pub mod print;
