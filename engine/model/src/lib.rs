//! The nouns of Seawall, shared by every room and knowing none of them.
//!
//! What is here is passed by value or borrowed, never locked, and does no I/O. Types here are not
//! serialisable on purpose: file and wire forms live in the outermost rooms, which convert.

mod certificate;
mod client;
mod decision;
mod facts;
mod hosts;
mod ids;
pub mod shown;
mod tick;

pub use certificate::CertificatePem;
pub use client::{
    AddrRange, Client, ClientKey, ClientPrefixes, OWNED_V4_BITS_MIN, OWNED_V6_BITS_MIN, Prefix,
    PrefixError, fold,
};
pub use decision::{ChallengeKind, Decision, Reason, Verdict, VerdictKind};
pub use facts::{
    ConnectionInfo, Facts, Gauges, Geo, HeaderView, OriginHealth, Pass, PassKind, Proto,
    ResponseInfo, Scheme,
};
pub use hosts::{HostMap, HostPattern, HostPatternError};
pub use ids::{CounterId, Generation, RuleId, SiteId};
pub use tick::{Now, Tick};
