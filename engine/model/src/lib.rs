//! The basic types of Seawall. All other crates use them; this crate uses none of the others.
//!
//! The types are passed by value or borrowed. They hold no lock and do no I/O. They are not
//! serialisable on purpose: the outer crates define file formats and wire formats, and convert.

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
