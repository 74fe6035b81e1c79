//! What the walk writes down of the tests that it makes, where somebody asks for it.

use std::cell::{Cell, RefCell};

/// A test that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluatedTest {
    /// As the policy writes it.
    pub text: String,
    /// Whether it holds.
    pub holds: bool,
    /// The value that decided, in words, with control characters spelt out.
    pub value: String,
}

/// The tests made since the last rule.
#[derive(Debug, Default)]
pub(crate) struct TestTrace {
    pub(crate) tests: RefCell<Vec<EvaluatedTest>>,
    /// A value is being looked up for the trace, which may make tests of its own.
    pub(crate) busy: Cell<bool>,
}

impl TestTrace {
    pub(crate) fn forget(&self) {
        self.tests.borrow_mut().clear();
    }

    pub(crate) fn take(&self) -> Vec<EvaluatedTest> {
        self.tests.take()
    }
}
