//! What `cargo xtask attack` is made of: the promises as data, the servers that they are made
//! about, who judges the figures, and the table that comes out.
//!
//! The attacks themselves are `seawall-attack`'s, in `tests/attack`, which writes figures and has no
//! opinion about them. It is started as a program: xtask stays light to compile.

pub(crate) mod child_process;
pub(crate) mod evaluate;
pub(crate) mod expectation;
pub(crate) mod expectations;
pub(crate) mod fault_injection;
pub(crate) mod noisy_neighbour;
pub(crate) mod rejection_throughput;
pub(crate) mod report_table;
pub(crate) mod results;
pub(crate) mod runner;
pub(crate) mod server;
pub(crate) mod testbed;
