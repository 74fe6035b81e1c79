//! What a Seawall rule author in Rust needs.
