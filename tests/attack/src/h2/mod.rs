//! HTTP/2 by hand: what a well-behaved library would never send.

pub(crate) mod frame;
pub(crate) mod hpack;
pub(crate) mod session;

#[cfg(test)]
mod tests;
