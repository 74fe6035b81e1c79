//! `seawall.toml` as it is written: every key optional, every value with its place.
//!
//! serde stops at the first mistake, and a person wants all of them. So a mistake is noted, the
//! entry that holds it is taken out of the parsed tree, and the rest is read again. Whether what
//! is there makes sense is for `validate` to say.

use seawall_ruleset::nearest;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::diagnostics::Diagnostics;
use super::spanned::{SpannedInteger, SpannedString, SpannedStrings, Unsupported};

/// Most mistakes taken out before reading gives up; more than are shown, so that "and N more" is
/// mostly true.
const MISTAKES_MAX: usize = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Typed {
    pub(crate) listen: Option<Spanned<Listen>>,
    pub(crate) admin: Option<Spanned<Admin>>,
    pub(crate) policy: Option<Spanned<Policy>>,
    pub(crate) state: Option<Spanned<State>>,
    pub(crate) limits: Option<super::limits::Typed>,
    pub(crate) client: Option<Client>,
    pub(crate) connections: Option<Connections>,
    pub(crate) site: Option<Vec<Spanned<Site>>>,
    pub(crate) log: Option<Log>,
    pub(crate) tls: Option<Spanned<Tls>>,
    pub(crate) geo: Unsupported,
    pub(crate) pages: Unsupported,
    pub(crate) rules: Option<Rules>,
    pub(crate) trusted_proxies: Option<Spanned<TrustedProxies>>,
    pub(crate) fleet: Unsupported,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    pub(crate) http: SpannedStrings,
    pub(crate) https: SpannedStrings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) certificate: Option<Vec<Spanned<Certificate>>>,
    pub(crate) self_signed: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    pub(crate) cert: SpannedString,
    pub(crate) key: SpannedString,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    pub(crate) trusted_keys: SpannedStrings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    pub(crate) socket: SpannedString,
    pub(crate) http: Unsupported,
    pub(crate) token_file: Unsupported,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    pub(crate) root: SpannedString,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) dir: SpannedString,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Client {
    pub(crate) v4_net: SpannedInteger,
    pub(crate) v6_client: SpannedInteger,
    pub(crate) v6_net: SpannedInteger,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connections {
    pub(crate) exempt: SpannedStrings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrustedProxies {
    pub(crate) nets: SpannedStrings,
    pub(crate) proxy_protocol: Option<bool>,
    pub(crate) header: SpannedString,
    pub(crate) idle_timeout: SpannedString,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    pub(crate) hosts: SpannedStrings,
    pub(crate) origin: SpannedStrings,
    pub(crate) health: SpannedString,
    pub(crate) member: SpannedString,
    pub(crate) share: SpannedInteger,
    pub(crate) inflight_max: SpannedInteger,
    pub(crate) response_header_timeout: SpannedString,
    pub(crate) read_timeout: SpannedString,
    pub(crate) scripts: SpannedStrings,
    pub(crate) route: Option<Vec<Spanned<SiteRoute>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteRoute {
    pub(crate) path_prefix: SpannedString,
    pub(crate) response_header_timeout: SpannedString,
    pub(crate) read_timeout: SpannedString,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: SpannedString,
}

/// Reads `text`, noting every mistake. Nothing comes back where the text is no TOML at all.
pub(crate) fn read(text: &str, faults: &mut Diagnostics<'_>) -> Option<Typed> {
    let (mut root, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(MISTAKES_MAX) {
        faults.push(error.span().unwrap_or(0..0), error.message().to_owned(), None);
    }
    if !errors.is_empty() {
        return None;
    }
    for _ in 0..MISTAKES_MAX {
        let error = match Typed::deserialize(Deserializer::from(root.clone())) {
            Ok(typed) => return Some(typed),
            Err(error) => error,
        };
        let at = error.span().unwrap_or(0..0);
        let (message, help) = humanize_serde_error(error.message());
        faults.push(at.clone(), message, help);
        faults.set_incomplete();
        if !remove_entry_at(root.get_mut(), at.start) {
            return None;
        }
    }
    None
}

/// Takes the smallest entry that holds the byte `at` out of `table`; says whether there was one.
fn remove_entry_at(table: &mut DeTable<'_>, at: usize) -> bool {
    for (key, value) in table.iter_mut() {
        let inside = value.span().contains(&at);
        let deeper = match value.get_mut() {
            DeValue::Table(inner) => remove_entry_at(inner, at),
            DeValue::Array(items) => items.iter_mut().any(|item| match item.get_mut() {
                DeValue::Table(inner) => remove_entry_at(inner, at),
                _ => false,
            }),
            _ => false,
        };
        if deeper {
            return true;
        }
        if inside || key.span().contains(&at) {
            let key = key.clone();
            return table.remove(&key).is_some();
        }
    }
    false
}

/// serde's words as a person's: no Rust names, and the nearest known key.
fn humanize_serde_error(message: &str) -> (String, Option<String>) {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let typed = quoted.next().unwrap_or_default();
        let known: Vec<&str> = quoted.collect();
        let help = match nearest(typed, known.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        return (format!("unknown key `{typed}`"), Some(help));
    }
    let plain = message
        .replace("a sequence", "an array")
        .replace("sequence", "array")
        .replace("expected i64", "expected a whole number");
    let plain = match plain.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a table"),
        None => plain,
    };
    (plain.replace("invalid type: ", "wrong kind of value: "), None)
}
