//! The evaluation of a rule set: from a request to a decision.
//!
//! The facts of a request ([`context`]), its cost ([`fuel`]) and the end of its response
//! ([`on_response`]); and, once a second, the levels ([`levels`]).

pub(crate) mod context;
pub(crate) mod decide;
pub(crate) mod fuel;
pub(crate) mod index_plan;
pub(crate) mod level_inputs;
pub(crate) mod levels;
mod on_response;
mod pairs;
pub(crate) mod trace;
