//! The record of the tests in an evaluation, for `explain`.

use std::cell::{Cell, RefCell};

/// A test that was evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluatedTest {
    /// The test as written in the policy.
    pub text: String,
    /// Whether it holds.
    pub holds: bool,
    /// The value that was tested, as text, with control characters escaped.
    pub value: String,
}

/// The tests since the last rule.
#[derive(Debug, Default)]
pub(crate) struct TestTrace {
    pub(crate) tests: RefCell<Vec<EvaluatedTest>>,
    /// Set while a value is read for the trace, because that can evaluate tests of its own.
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
