//! The demo: an origin with the sites of three members, Seawall in front of it, and, for `run
//! --once`, visitors, an attack and policy edits.
//!
//! Everything stays on loopback and is bounded in count and time. The demo uses the shipped policy,
//! not a special copy.

pub(crate) mod attack;
pub(crate) mod counters;
pub(crate) mod http_client;
pub(crate) mod legitimate_traffic;
pub(crate) mod origin;
pub(crate) mod policy_edit;
pub(crate) mod report;
pub(crate) mod scenes;
pub(crate) mod seawall;
pub(crate) mod site;
pub(crate) mod tls_client;
pub(crate) mod workdir;
