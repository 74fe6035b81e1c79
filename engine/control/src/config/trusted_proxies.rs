//! `[trusted_proxies]`: whose word about the client is believed, and in which form.
//!
//! The section says nothing by default, because each default would be wrong somewhere: a header
//! that the hops do not write themselves is written by whoever attacks.

use std::time::Duration;

use seawall_model::Prefix;
use toml::Spanned;

use super::diagnostics::Diagnostics;
use super::parse::owned_networks;
use super::raw::TrustedProxies as Typed;
use super::spanned::SpannedString;
use super::timeouts;

/// Most networks of trusted hops: each connection is looked up in all of them.
pub const TRUSTED_NETS_MAX: usize = 256;

/// The field in which hops say whom they forward a request for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientHeader {
    /// `x-forwarded-for`.
    XForwardedFor,
    /// `forwarded`.
    Forwarded,
    /// `x-real-ip`.
    XRealIp,
}

/// The hops whose word about the client is believed. Empty: nobody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Where they are.
    pub nets: Vec<Prefix>,
    /// Whether each of their connections begins with a PROXY header.
    pub proxy_protocol: bool,
    /// The field that says for whom a request is.
    pub header: Option<ClientHeader>,
    /// How long a connection of theirs may be silent before a request, where the file says it.
    pub idle: Option<Duration>,
}

/// The shortest and the longest time that they may be silent.
const IDLE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3_600));

/// The section, checked.
pub(super) fn meant(
    section: &Spanned<Typed>,
    faults: &mut Diagnostics<'_>,
) -> Option<TrustedProxies> {
    let typed = section.get_ref();
    let proxy_protocol = typed.proxy_protocol.unwrap_or_default();
    let header = header(&typed.header, faults);
    let idle = timeouts::time(&typed.idle_timeout, ("idle_timeout", IDLE), faults);
    if !proxy_protocol && typed.header.is_none() {
        let help = "add header = \"x-forwarded-for\", or proxy_protocol = true".to_owned();
        let message = "[trusted_proxies] does not say how the hops name the client".to_owned();
        faults.miss(section.span(), message, Some(help));
    }
    let Some(written) = &typed.nets else {
        let help = "add nets = [\"192.0.2.10\"], the addresses of your own proxies".to_owned();
        let message = "`nets` is missing in [trusted_proxies]".to_owned();
        faults.miss(section.span(), message, Some(help));
        return None;
    };
    let count = written.get_ref().len();
    if count == 0 || count > TRUSTED_NETS_MAX {
        let message = format!("`nets` holds 1 to {TRUSTED_NETS_MAX} networks");
        faults.push(written.span(), message, None);
        return None;
    }
    let help = "list your own proxies only: who is listed can pose as anybody";
    let nets = owned_networks(written, help, faults)?;
    Some(TrustedProxies { nets, proxy_protocol, header: header?, idle: idle? })
}

fn header(written: &SpannedString, faults: &mut Diagnostics<'_>) -> Option<Option<ClientHeader>> {
    let Some(text) = written else { return Some(None) };
    let header = match text.get_ref().to_ascii_lowercase().as_str() {
        "x-forwarded-for" => ClientHeader::XForwardedFor,
        "forwarded" => ClientHeader::Forwarded,
        "x-real-ip" => ClientHeader::XRealIp,
        _ => {
            let help = "one of x-forwarded-for, forwarded, x-real-ip".to_owned();
            let message = format!("`{}` is no header that is believed", text.get_ref());
            faults.push(text.span(), message, Some(help));
            return None;
        }
    };
    Some(Some(header))
}
