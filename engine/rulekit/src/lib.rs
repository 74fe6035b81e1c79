//! How a rule is begun, built, described and tried: what stands behind `seawall rule` and
//! `cargo xtask rules`.
//!
//! Decision: no wasm tool besides the language's compiler. The `#[seawall_rule::export]` of the SDK
//! leaves one line of WIT for each function in the custom section `seawall:exports`; here these
//! lines become the rule's world, the `wit-component` crate makes a component of it, and the rule's
//! cases travel along in the section `seawall:cases`, so that a server can rehearse what it loads.
//!
//! The feature `trial` adds what runs a rule, which needs the sandbox.

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
