//! Shares: how what is scarce is divided among sites.
//!
//! Every site has a weight. What nobody else needs, one site may use; what others need, they get at
//! once. Two kinds of scarce things need two rules. **Places** (connections, requests at origins)
//! are held for as long as their holder likes and cannot be taken back, so some are always kept
//! free: [`places`]. **Flow** (bytes to visitors, processor time) is used up by the moment, so it is
//! dealt out anew each moment: [`sheet`]. Who finds neither waits in a bounded [`line`], and those
//! whom a site knew before it was in trouble go first: [`regulars`].
//!
//! Pure, as all of this crate: time and amounts come in.

mod line;
mod places;
mod pressure;
mod regulars;
mod sheet;

pub use line::{Class, Line, Offer};
pub use places::{Holder, NoPlace, Places};
pub use pressure::{Step, StepTerms};
pub use regulars::{REGULAR_KEPT_S, REGULARS_MAX, Regulars};
pub use sheet::Sheet;

/// The most that a site can weigh, where the usual is 1.
pub const WEIGHT_MAX: u32 = 1_000;
