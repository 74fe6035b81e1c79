//! The steps under one entry of an index.

use smallvec::SmallVec;

/// Steps, in ascending order. Nearly every request finds few.
pub(super) type Found = SmallVec<[u32; 16]>;

/// A slice of [`Postings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Posting {
    pub(super) from: u32,
    pub(super) to: u32,
}

#[cfg(test)]
impl Posting {
    pub(super) fn one(at: u32) -> Self {
        Self { from: at, to: at.saturating_add(1) }
    }
}

/// All slices, concatenated.
#[derive(Debug, Default)]
pub(super) struct Postings {
    steps: Vec<u32>,
}

impl Postings {
    /// Adds steps, in any order.
    pub(super) fn file(&mut self, mut steps: Vec<u32>) -> Posting {
        steps.sort_unstable();
        steps.dedup();
        let from = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        self.steps.append(&mut steps);
        Posting { from, to: u32::try_from(self.steps.len()).unwrap_or(u32::MAX) }
    }

    pub(super) fn get(&self, posting: Posting) -> &[u32] {
        self.steps.get(posting.from as usize..posting.to as usize).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> usize {
        self.steps.capacity().saturating_mul(4)
    }
}
