//! The data plane: translates and enforces, never decides.
