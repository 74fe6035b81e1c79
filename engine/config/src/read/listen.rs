//! `[listen]`: addresses on which Seawall accepts connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;

use toml::de::DeTable;

use crate::diagnostics::Diagnostics;
use crate::document::Part;

/// Most addresses of each kind.
pub const LISTEN_MAX: usize = 64;

const EXAMPLE: &str = "http = [\"127.0.0.1:8080\"]";

/// The addresses. `has_tls` tells whether the file has any for TLS, with invalid ones.
#[derive(Debug, Default)]
pub(crate) struct Listen {
    pub(crate) http: Vec<SocketAddr>,
    pub(crate) https: Vec<SocketAddr>,
    pub(crate) has_tls: bool,
}

pub(crate) fn read(root: &DeTable<'_>, said: &mut Diagnostics<'_>) -> Listen {
    let part = Part::of_root(root, "listen");
    if !part.is_there() {
        said.push_missing(
            0..0,
            "[listen] is missing".into(),
            &format!("add [listen] with {EXAMPLE}"),
        );
    } else if part.get("http").is_none() && part.get("https").is_none() {
        let help = format!("add {EXAMPLE}, or https and [[tls.certificate]]");
        said.push_missing(part.at.clone(), "`http` is missing in [listen]".into(), &help);
    }
    let mut places = HashMap::new();
    let http = addresses(&part, "http", &mut places, said);
    let https = addresses(&part, "https", &mut places, said);
    Listen { http, https, has_tls: part.get("https").is_some() }
}

/// Returns the addresses of one list. `places` has the addresses that were read before.
fn addresses(
    part: &Part<'_>,
    name: &str,
    places: &mut HashMap<SocketAddr, Range<usize>>,
    said: &mut Diagnostics<'_>,
) -> Vec<SocketAddr> {
    let Some(list) = part.texts(name, said) else { return Vec::new() };
    if list.value.is_empty() || list.value.len() > LISTEN_MAX {
        let message = format!("`{name}` must have 1 to {LISTEN_MAX} addresses");
        said.push(list.at, message, Some(format!("{name} = [\"127.0.0.1:8080\"]")));
        return Vec::new();
    }
    let mut found = Vec::with_capacity(list.value.len());
    for item in list.value {
        let Ok(address) = item.value.parse::<SocketAddr>() else {
            let help = "write an address and a port, as `127.0.0.1:8080` or `[::1]:8080`";
            let message = format!("`{}` is not an address and a port", item.value.escape_debug());
            said.push(item.at, message, Some(help.into()));
            continue;
        };
        let before = places.insert(address, item.at.clone()).filter(|_| address.port() != 0);
        if let Some(before) = before {
            let message = format!("`{address}` is there twice");
            let help = format!("remove it here or at {}", said.place_text(before));
            said.push(item.at, message, Some(help));
        }
        found.push(address);
    }
    found
}
