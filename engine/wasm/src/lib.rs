//! The sandbox: component bytes in, bounded calls out.
