//! The parts of `cargo xtask attack`: the promises as data, the servers, the evaluation of figures,
//! and the table.
//!
//! The attacks are in `seawall-attack` (`tests/attack`), which only measures. It is started as a
//! program, so xtask stays fast to compile.

pub(crate) mod child_process;
pub(crate) mod cpu_time;
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
