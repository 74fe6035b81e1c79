//! The export attribute of `seawall-rule`.
