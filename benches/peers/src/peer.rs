//! The interface to each engine.

use crate::requests::Request;
use crate::rules::Rules;

/// Why an engine cannot take part.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// An engine's verdict on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No rule hits.
    Pass,
    /// This rule is the first that hits.
    Block(usize),
    /// Some rule hits; the engine does not report which one.
    BlockBySome,
}

impl Verdict {
    /// Returns whether two verdicts agree, as far as both are known.
    pub(crate) fn agrees(self, other: Self) -> bool {
        match (self, other) {
            (Self::BlockBySome, Self::Block(_)) | (Self::Block(_), Self::BlockBySome) => true,
            (one, other) => one == other,
        }
    }
}

/// One engine with one rule set.
pub(crate) trait Peer {
    /// As the report has it.
    fn name(&self) -> &'static str;

    /// Evaluates a request. The conversion for the engine is part of the measured time: a server
    /// has that cost too.
    fn judge(&mut self, request: &Request) -> Verdict;
}

/// Returns every engine with these rules, Seawall first: it is what the others are compared with.
///
/// # Errors
/// An engine refuses its translation of the rules.
pub(crate) fn all(rules: &Rules) -> Result<Vec<Box<dyn Peer>>, Failure> {
    Ok(vec![
        Box::new(crate::seawall::Seawall::load(rules)),
        Box::new(crate::wirefilter::Wirefilter::load(rules)?),
        Box::new(crate::cel::Cel::load(rules)?),
        Box::new(crate::rego::Rego::load(rules)?),
        Box::new(crate::cedar::Cedar::load(rules)?),
    ])
}
