//! One request, whatever version it came in: what it means, what the policy says of it, what happens
//! then, and what is recorded of it.

pub(crate) mod enforce;
pub(crate) mod error_response;
pub(crate) mod evaluate;
pub(crate) mod facts;
pub(crate) mod local_response;
pub(crate) mod policy_log;
pub(crate) mod record;
