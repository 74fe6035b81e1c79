//! One request in any version of HTTP: its facts, the decision of the policy, the enforcement of
//! that decision, and its record.

pub(crate) mod enforce;
pub(crate) mod evaluate;
pub(crate) mod facts;
pub(crate) mod local_response;
pub(crate) mod policy_log;
pub(crate) mod record;
