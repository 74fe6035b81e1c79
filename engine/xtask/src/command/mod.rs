//! One file per word that the user types.

pub(crate) mod attack;
pub(crate) mod bench;
pub(crate) mod fuzz;
pub(crate) mod instruction_budget;
pub(crate) mod reference;
pub(crate) mod rules;
pub(crate) mod run;
pub(crate) mod setup;
pub(crate) mod test;
