//! Tools of the integration tests: the real `seawall`, test origins and test clients.
//!
//! No test waits for time to pass. It waits for a condition that can be observed: a line, a status,
//! a counter. [`wait_for`] fails after a time that no working machine needs. A failure panics,
//! because everything here is part of a test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this crate is tests: what fails here is a failed test"
)]

mod address_leaks;
mod binary;
mod child;
mod files;
mod guests;
mod http_client;
mod origin;
mod record;
mod recording_origin;
mod server;
mod third_party_servers;
mod tls_client;
mod wait;

pub use address_leaks::{Written, trace_of, written_below};
pub use binary::{Ran, binary, fine, program, refused, seawall};
pub use child::ChildOrigin;
pub use files::{overwrite, rename_over, swap_link};
pub use guests::{answering, bomb, component, guest};
pub use http_client::{Answer, Visitor, get};
pub use origin::{Gate, Origin};
pub use record::{Line, read_log};
pub use recording_origin::{Recorded, Recorder};
pub use server::{ROOT, SITE, Server, Setup, Signal};
pub use third_party_servers::Peer;
pub use tls_client::{Secret, credulous, credulous_1_2};
pub use wait::{
    COMPILED, LONG, StopAtEnd, Stopwatch, wait_for, wait_for_within, wait_until, wait_until_within,
};
