//! Every section and every key of the configuration file.
//!
//! Limits come from their declaration; the other keys are listed here. Checks, completion and
//! documentation use these tables, so no other key exists.

use crate::limits::{LIMIT_SECTIONS, LIMITS};
use crate::setting::{Key, Kind, Number, Unit};

/// A section of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// The name, without brackets.
    pub name: &'static str,
    /// Whether it may appear more than once, as `[[site]]`.
    pub is_list: bool,
    own_doc: &'static str,
}

impl Section {
    /// Returns the description.
    #[must_use]
    pub fn doc(&self) -> &'static str {
        let declared = LIMIT_SECTIONS.iter().find(|(name, _)| *name == self.name);
        declared.map_or(self.own_doc, |(_, doc)| doc.trim())
    }
}

const fn one(name: &'static str, own_doc: &'static str) -> Section {
    Section { name, is_list: false, own_doc }
}

/// A section with limits. Its description is in the declaration of the limits.
const fn limits(name: &'static str) -> Section {
    Section { name, is_list: false, own_doc: "" }
}

const fn many(name: &'static str, own_doc: &'static str) -> Section {
    Section { name, is_list: true, own_doc }
}

/// Every section, in the order in which they are shown.
pub const SECTIONS: &[Section] = &[
    one("listen", "Addresses on which Seawall accepts connections."),
    one("tls", "Certificates for the `https` addresses."),
    many("tls.certificate", "A certificate and its key."),
    one("admin", "The admin socket."),
    one("policy", "The policy."),
    one("state", "Data that outlives the process."),
    one("rules", "Components of rules."),
    one("log", "The log."),
    limits("client"),
    limits("trusted_proxies"),
    limits("connections"),
    one("bans", "Bans."),
    limits("timeouts"),
    limits("requests"),
    limits("origins"),
    limits("retries"),
    limits("circuit_breaker"),
    limits("health_check"),
    limits("queue"),
    limits("bandwidth"),
    limits("overload"),
    limits("evaluation"),
    many("site", "A set of hosts with one list of origins."),
    many("site.route", "Timeouts for the paths of a site that begin with a prefix."),
];

/// The values of `[log] level`.
pub(crate) const LOG_LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
/// The values of `[trusted_proxies] header`.
pub(crate) const CLIENT_HEADERS: &[&str] = &["x-forwarded-for", "forwarded", "x-real-ip"];

/// The maximum weight of a site.
pub const SITE_WEIGHT_MAX: u32 = 1_000;

pub(crate) const WEIGHT: Number =
    Number { unit: Unit::Count, default: Some(1), min: 1, max: SITE_WEIGHT_MAX as u64 };

/// The same range as in `[origins]`, which has the default. A test compares them.
pub(crate) const REQUESTS_PER_ORIGIN: Number =
    Number { unit: Unit::Count, default: None, min: 1, max: 1_000_000 };
/// The same for `response_header_timeout` and `read_timeout`.
pub(crate) const ORIGIN_TIMEOUT: Number =
    Number { unit: Unit::Time, default: None, min: 10, max: 3_600_000 };

const fn key(section: &'static str, name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { section, name, kind, doc }
}

/// Every key that is not a limit of the whole server.
pub(crate) const OTHER_KEYS: &[Key] = &[
    key("listen", "http", Kind::Texts, "Addresses for HTTP without TLS, as `0.0.0.0:80`."),
    key("listen", "https", Kind::Texts, "Addresses for HTTP over TLS, as `0.0.0.0:443`."),
    key(
        "tls",
        "self_signed",
        Kind::Bool,
        "Use a self-signed certificate that is made at start. For tests only.",
    ),
    key("tls", "certificate", Kind::Sections("tls.certificate"), "Certificates."),
    key("tls.certificate", "cert", Kind::Text, "Path of the certificate chain, as PEM."),
    key("tls.certificate", "key", Kind::Text, "Path of the private key, as PEM."),
    key("admin", "socket", Kind::Text, "Path of the admin socket."),
    key("policy", "file", Kind::Text, "Path of the root policy file."),
    key("state", "dir", Kind::Text, "Folder for snapshots, history and compiled components."),
    key(
        "rules",
        "trusted_keys",
        Kind::Texts,
        "Minisign public keys. A component must be signed with one of them.",
    ),
    key("log", "level", Kind::Word(LOG_LEVELS), "The least severe lines that are logged."),
    key("trusted_proxies", "networks", Kind::Texts, "Networks of your own proxies."),
    key(
        "trusted_proxies",
        "proxy_protocol",
        Kind::Bool,
        "`true` if each of their connections begins with a PROXY protocol header.",
    ),
    key(
        "trusted_proxies",
        "header",
        Kind::Word(CLIENT_HEADERS),
        "Header in which they name the client.",
    ),
    key(
        "connections",
        "exempt",
        Kind::Texts,
        "Networks that many people share. Limits per client and per network do not apply to them.",
    ),
    key("bans", "exempt", Kind::Texts, "Networks that are never banned."),
    key("site", "hosts", Kind::Texts, "Hosts of the site, as `a.example` or `*.a.example`."),
    key("site", "origins", Kind::Texts, "Origins of the site, as `http://127.0.0.1:9001`."),
    key("site", "health_check_path", Kind::Text, "Path that health checks request."),
    key("site", "member", Kind::Text, "Member that the site belongs to."),
    key(
        "site",
        "weight",
        Kind::Number(WEIGHT),
        "Part of the site in shared resources, relative to other sites.",
    ),
    key(
        "site",
        "max_requests_per_origin",
        Kind::Number(REQUESTS_PER_ORIGIN),
        "Overrides `max_requests_per_origin` in `[origins]`.",
    ),
    key(
        "site",
        "response_header_timeout",
        Kind::Number(ORIGIN_TIMEOUT),
        "Overrides `response_header_timeout` in `[origins]`.",
    ),
    key(
        "site",
        "read_timeout",
        Kind::Number(ORIGIN_TIMEOUT),
        "Overrides `read_timeout` in `[origins]`.",
    ),
    key(
        "site",
        "scripts",
        Kind::Texts,
        "File name extensions of scripts that the origins run, without a dot.",
    ),
    key("site", "route", Kind::Sections("site.route"), "Timeouts by path."),
    key("site.route", "path_prefix", Kind::Text, "Beginning of the paths, as `/api/`."),
    key(
        "site.route",
        "response_header_timeout",
        Kind::Number(ORIGIN_TIMEOUT),
        "Overrides `response_header_timeout` of the site.",
    ),
    key(
        "site.route",
        "read_timeout",
        Kind::Number(ORIGIN_TIMEOUT),
        "Overrides `read_timeout` of the site.",
    ),
];

/// Returns every key of the file, section by section.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| keys_of(section.name))
}

/// Returns the keys of one section. The limits come last.
pub fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    let limits = LIMITS.iter().map(|limit| &limit.key);
    OTHER_KEYS.iter().chain(limits).filter(move |key| key.section == section)
}

/// Returns the section of this name.
pub(crate) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// Returns the key of this name in a section.
pub(crate) fn find(section: &str, name: &str) -> Option<&'static Key> {
    keys_of(section).find(|key| key.name == name)
}
