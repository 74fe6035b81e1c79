//! A request in, a decision out: how a ruleset is evaluated.
//!
//! What a request is asked for ([`context`]), what it may cost ([`fuel`]), and what happens when its
//! response has ended ([`on_response`]); and, once a second, the levels ([`levels`]).

pub(crate) mod context;
pub(crate) mod decide;
pub(crate) mod fuel;
pub(crate) mod index_plan;
pub(crate) mod level_inputs;
pub(crate) mod levels;
mod on_response;
mod pairs;
pub(crate) mod trace;
