//! The heart: one immutable value that judges.
