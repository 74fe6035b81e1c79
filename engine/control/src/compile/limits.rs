//! Limits that compiling and the code cache share.

/// Maximum bytes of one component's machine code; 12 MB of JavaScript engine become some 40 MB.
pub const CODE_BYTES_MAX: u64 = 256 << 20;
