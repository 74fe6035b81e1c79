//! How the tests of a policy ended.

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTestResult {
    /// What the test says.
    pub name: Box<str>,
    /// The file where it stands.
    pub file: Box<str>,
    /// The line: of the first expectation that failed, else of the test.
    pub line: u32,
    /// The column there.
    pub column: u32,
    /// Whether all its expectations held.
    pub passed: bool,
    /// What was expected and what happened instead.
    pub says: String,
    /// The member whose test it is; `None` for the host's own.
    pub member: Option<Box<str>>,
}

/// How the tests that were asked for ended.
#[derive(Debug, Default)]
pub struct Rehearsed {
    /// Those that came to their end, in the order of the policy.
    pub outcomes: Vec<PolicyTestResult>,
    /// Whose tests did not all come to their end, because no more was wanted; the host is `None`.
    pub unfinished: Vec<Option<Box<str>>>,
}
