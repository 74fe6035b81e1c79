//! Creates, builds, describes and tests rules, for `seawall rule` and `cargo xtask rules`.
//!
//! Decision: no wasm tool besides the compiler of the language. The SDK's `#[seawall_rule::export]`
//! writes one line of WIT for each function to the custom section `seawall:exports`. This crate
//! joins the lines to the world of the rule, and `wit-component` builds a component with it. The
//! test vectors are stored in the section `seawall:cases`, so that a server can run them at load.
//!
//! The feature `trial` adds running a rule, which needs the sandbox.

#[cfg(feature = "trial")]
mod benchmark;
#[cfg(feature = "trial")]
mod case;
mod component;
mod describe;
mod files;
mod language;
#[cfg(feature = "trial")]
mod project;
mod rust_toolchain;
mod scaffold;
#[cfg(feature = "trial")]
mod script;
mod sign;
mod strip_exports;
#[cfg(feature = "trial")]
mod test_runner;
#[cfg(feature = "trial")]
mod wit_world;

#[cfg(feature = "trial")]
pub use benchmark::CaseCost;
#[cfg(feature = "trial")]
pub use case::read_cases;
pub use component::{CONTRACT, assemble, into_component};
pub use describe::{Description, Function, Kind, describe};
pub use files::{cases_folder, cases_text, files, hash_of, hex, save, sha256};
pub use language::Language;
#[cfg(feature = "trial")]
pub use project::{Limits, Project};
pub use rust_toolchain::{BuildOutputMode, Compiler, TARGET};
pub use scaffold::scaffold;
#[cfg(feature = "trial")]
pub use script::{BuildState, Script};
#[cfg(feature = "trial")]
pub use seawall_wasm::{Case, parse_cases};
pub use sign::{NewKeys, Unlocked, new_keys, secret_key, sign, unlock};
#[cfg(feature = "trial")]
pub use test_runner::{LoadableComponent, TestFinding, TestRunner, fitness, sandbox};
