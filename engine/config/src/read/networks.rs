//! Lists of networks.

use seawall_model::Prefix;
use toml::de::DeTable;

use crate::diagnostics::Diagnostics;
use crate::document::{Part, Placed, Text};

/// Most networks that are never banned.
pub const BANS_EXEMPT_MAX: usize = 1_000;
/// Most networks without limits per client and per network.
pub const CONNECTIONS_EXEMPT_MAX: usize = 256;

/// Returns the networks of `[bans] exempt`.
pub(crate) fn bans_exempt(root: &DeTable<'_>, said: &mut Diagnostics<'_>) -> Vec<Prefix> {
    let part = Part::of_root(root, "bans");
    let Some(list) = part.texts("exempt", said) else { return Vec::new() };
    if list.value.len() > BANS_EXEMPT_MAX {
        said.push(list.at, format!("`exempt` has at most {BANS_EXEMPT_MAX} networks"), None);
        return Vec::new();
    }
    networks(&list, said)
}

/// Returns the networks of `[connections] exempt`.
pub(crate) fn connections_exempt(root: &DeTable<'_>, said: &mut Diagnostics<'_>) -> Vec<Prefix> {
    let part = Part::of_root(root, "connections");
    let Some(list) = part.texts("exempt", said) else { return Vec::new() };
    if list.value.len() > CONNECTIONS_EXEMPT_MAX {
        said.push(list.at, format!("`exempt` has at most {CONNECTIONS_EXEMPT_MAX} networks"), None);
        return Vec::new();
    }
    owned_networks(&list, "list the addresses that a school or a hospital shares", said)
}

/// Returns the texts of a list as networks. A network that is too large for one owner is an error
/// with the text `help`.
pub(crate) fn owned_networks(
    list: &Placed<Vec<Text<'_>>>,
    help: &str,
    said: &mut Diagnostics<'_>,
) -> Vec<Prefix> {
    let found = networks(list, said);
    if found.len() == list.value.len() {
        for (network, text) in found.iter().zip(&list.value) {
            if network.range().is_wide() {
                let message = format!("`{network}` is wider than any network of one owner");
                said.push(text.at.clone(), message, Some(help.to_owned()));
            }
        }
    }
    found
}

/// Returns the texts of a list as networks.
fn networks(list: &Placed<Vec<Text<'_>>>, said: &mut Diagnostics<'_>) -> Vec<Prefix> {
    let mut found = Vec::with_capacity(list.value.len());
    for text in &list.value {
        let shown = text.value.escape_debug();
        match Prefix::parse(text.value) {
            Ok((network, None)) => found.push(network),
            Ok((network, Some(_))) => {
                let message = format!("`{shown}` has bits behind its prefix length");
                said.push(text.at.clone(), message, Some(format!("write `{network}`")));
            }
            Err(_) => {
                let help = "write an address or a network, as `192.0.2.7` or `2001:db8::/48`";
                let message =
                    format!("`{shown}` is neither an IP address nor a network in CIDR notation");
                said.push(text.at.clone(), message, Some(help.to_owned()));
            }
        }
    }
    found
}
