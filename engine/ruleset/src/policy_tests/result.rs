//! The results of policy tests.

/// The result of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTestResult {
    /// The name of the test.
    pub name: Box<str>,
    /// The file that contains it.
    pub file: Box<str>,
    /// The line of the first failed expectation, else of the test.
    pub line: u32,
    /// The column there.
    pub column: u32,
    /// Whether all expectations were met.
    pub passed: bool,
    /// The expected and the actual result.
    pub says: String,
    /// The member that owns the test; `None` for the operator.
    pub member: Option<Box<str>>,
}

/// The results of the selected tests.
#[derive(Debug, Default)]
pub struct Rehearsed {
    /// The results of completed tests, in the order of the policy.
    pub outcomes: Vec<PolicyTestResult>,
    /// The owners whose tests were stopped before their end; `None` is the operator.
    pub unfinished: Vec<Option<Box<str>>>,
}
