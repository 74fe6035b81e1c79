//! Files of our own in the state folder: how they are written, and what happens to damaged ones.

pub(crate) mod atomic_write;
pub(crate) mod background_writer;
pub(crate) mod damaged;
pub(crate) mod digest;
pub(crate) mod write_gate;
