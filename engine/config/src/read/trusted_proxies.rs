//! `[trusted_proxies]`: the proxies that may name the client, and the form in which they do.
//!
//! The form has no default, because each default would be wrong for some proxies. If the proxies do
//! not write the header, an attacker can write it.

use toml::de::DeTable;

use super::networks::owned_networks;
use crate::config::{ClientHeader, TrustedProxies};
use crate::diagnostics::Diagnostics;
use crate::document::Part;
use crate::keys::CLIENT_HEADERS;

/// Most networks: each connection is compared with all of them.
pub const TRUSTED_NETWORKS_MAX: usize = 256;

pub(crate) fn read(root: &DeTable<'_>, said: &mut Diagnostics<'_>) -> TrustedProxies {
    let part = Part::of_root(root, "trusted_proxies");
    if !part.is_there() {
        return TrustedProxies::default();
    }
    let proxy_protocol = part.boolean("proxy_protocol", said).is_some_and(|wanted| wanted.value);
    if !proxy_protocol && part.get("header").is_none() {
        let help = "add header = \"x-forwarded-for\", or proxy_protocol = true";
        let message = "[trusted_proxies] does not say how the proxies name the client".to_owned();
        said.push_missing(part.at.clone(), message, help);
    }
    let header = header(&part, said);
    let Some(list) = part.texts("networks", said) else {
        let help = "add networks = [\"192.0.2.10\"], the addresses of your own proxies";
        let message = "`networks` is missing in [trusted_proxies]".to_owned();
        said.push_missing(part.at.clone(), message, help);
        return TrustedProxies::default();
    };
    if list.value.is_empty() || list.value.len() > TRUSTED_NETWORKS_MAX {
        let message = format!("`networks` must have 1 to {TRUSTED_NETWORKS_MAX} networks");
        said.push(list.at, message, None);
        return TrustedProxies::default();
    }
    let help = "list your own proxies only: a listed proxy can name any client";
    TrustedProxies { networks: owned_networks(&list, help, said), proxy_protocol, header }
}

fn header(part: &Part<'_>, said: &mut Diagnostics<'_>) -> Option<ClientHeader> {
    let text = part.text("header", said)?;
    match text.value.to_ascii_lowercase().as_str() {
        "x-forwarded-for" => Some(ClientHeader::XForwardedFor),
        "forwarded" => Some(ClientHeader::Forwarded),
        "x-real-ip" => Some(ClientHeader::XRealIp),
        _ => {
            let help = format!("one of {}", CLIENT_HEADERS.join(", "));
            let message = format!("`{}` cannot name the client", text.value.escape_debug());
            said.push(text.at, message, Some(help));
            None
        }
    }
}
