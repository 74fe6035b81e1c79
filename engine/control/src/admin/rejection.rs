//! Rejections that no line of a policy is to blame for.

use seawall_admin_api::{PolicyError, PolicyRejection};

/// A refusal that no line of the policy is to blame for.
pub(crate) fn own_refusal(message: &str) -> PolicyRejection {
    let complaint = PolicyError {
        file: String::new(),
        line: 1,
        column: 1,
        code: "reload".into(),
        message: message.into(),
    };
    PolicyRejection { errors: vec![complaint], rendered: format!("error: {message}\n") }
}

/// Why nothing comes of what is under way.
pub(crate) fn stopped() -> PolicyRejection {
    own_refusal("the server is stopping")
}
