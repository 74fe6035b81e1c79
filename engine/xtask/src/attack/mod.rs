//! What `cargo xtask attack` is made of: the promises as data, the servers that they are made
//! about, who judges the figures, and the table that comes out.
//!
//! The attacks themselves are `seawall-attack`'s, in `tests/attack`, which writes figures and has no
//! opinion about them. It is started as a program: xtask stays light to compile.

pub(crate) mod contender;
pub(crate) mod denial;
pub(crate) mod figures;
pub(crate) mod judge;
pub(crate) mod neighbours;
pub(crate) mod operations;
pub(crate) mod page;
pub(crate) mod process;
pub(crate) mod promise;
pub(crate) mod promises;
pub(crate) mod run;
pub(crate) mod stage;
