//! The demo: an origin with the sites of three members, Seawall in front of it, and, for
//! `run --once`, visitors, an attack and a hand that edits the policy meanwhile.
//!
//! Everything stays on loopback and is bounded in count and time. The policy that is defended with
//! is the shipped one, not a copy made to look good.

pub(crate) mod attack;
pub(crate) mod client;
pub(crate) mod edit;
pub(crate) mod folder;
pub(crate) mod origin;
pub(crate) mod promise;
pub(crate) mod scenes;
pub(crate) mod seawall;
pub(crate) mod secret;
pub(crate) mod site;
pub(crate) mod tally;
pub(crate) mod visitors;
