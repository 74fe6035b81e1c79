//! What more than one section reads and says in the same way.

use std::ops::Range;

use seawall_model::Prefix;
use toml::Spanned;

use super::diagnostics::Diagnostics;

pub(super) fn say_unbuilt(name: &str, span: Range<usize>, faults: &mut Diagnostics<'_>) {
    let help = "take it out; this version would not act on it".to_owned();
    faults.push(span, format!("{name} is not built yet"), Some(help));
}

pub(super) fn at(span: Range<usize>, faults: &Diagnostics<'_>) -> String {
    let (line, column) = faults.place(span.start);
    format!("at line {line}, column {column}")
}

/// Each text of a list as a network that can be somebody's own; `help` is for one that cannot.
pub(super) fn owned_networks(
    written: &Spanned<Vec<Spanned<String>>>,
    help: &str,
    faults: &mut Diagnostics<'_>,
) -> Option<Vec<Prefix>> {
    let nets = networks(written, faults)?;
    for (net, text) in nets.iter().zip(written.get_ref()) {
        if net.range().is_wide() {
            let message = format!("`{net}` is wider than any network of one owner");
            faults.push(text.span(), message, Some(help.to_owned()));
        }
    }
    Some(nets)
}

/// Each text of a list as a network.
pub(super) fn networks(
    written: &Spanned<Vec<Spanned<String>>>,
    faults: &mut Diagnostics<'_>,
) -> Option<Vec<Prefix>> {
    let mut nets = Vec::with_capacity(written.get_ref().len());
    for text in written.get_ref() {
        match Prefix::parse(text.get_ref()) {
            Ok((net, None)) => nets.push(net),
            Ok((net, Some(_))) => {
                let help = Some(format!("write `{net}`"));
                faults.push(text.span(), "this network has bits behind its length".into(), help);
            }
            Err(_) => {
                let help = Some("write one such as `192.0.2.7` or `2001:db8::/48`".to_owned());
                faults.push(text.span(), "this is no address and no network".into(), help);
            }
        }
    }
    (nets.len() == written.get_ref().len()).then_some(nets)
}
