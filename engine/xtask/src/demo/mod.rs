//! The demo: an origin with the sites of three members, Seawall in front of it, and, for
//! `run --once`, visitors, an attack and a hand that edits the policy meanwhile.
//!
//! Everything stays on loopback and is bounded in count and time. The policy that is defended with
//! is the shipped one, not a copy made to look good.

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
