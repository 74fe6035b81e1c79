//! The effective configuration: every key with its value and the source of the value.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::Value;
use toml::de::DeTable;

use crate::config::{CertificateSource, ClientHeader, Config, OriginTimeouts, SiteConfig};
use crate::diagnostics::Diagnostics;
use crate::document::Part;
use crate::keys::{SECTIONS, keys_of};
use crate::limits::LIMITS;
use crate::setting::{Key, Kind, Number};

/// The source of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The default of the key, or of the section that the key overrides.
    Default,
    /// A line of the file.
    Line(u32),
}

/// One key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveValue {
    /// The key.
    pub key: &'static str,
    /// The value; `None` for a key that is not set and has no default.
    pub value: Option<Value>,
    /// The value in the form of the file.
    text: String,
    /// The source of the value.
    pub source: Source,
}

/// One section of the effective configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveSection {
    /// The name, without brackets.
    pub name: &'static str,
    /// Whether it may appear more than once.
    pub is_list: bool,
    /// The keys.
    pub values: Vec<EffectiveValue>,
}

/// Every key of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveConfig {
    /// The sections, in a fixed order.
    pub sections: Vec<EffectiveSection>,
}

impl fmt::Display for EffectiveConfig {
    /// Writes TOML, with the source of each value as a comment. The text loads as a configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, section) in self.sections.iter().enumerate() {
            if number > 0 {
                f.write_char('\n')?;
            }
            let (open, close) = if section.is_list { ("[[", "]]") } else { ("[", "]") };
            writeln!(f, "{open}{}{close}", section.name)?;
            for one in &section.values {
                match (&one.value, one.source) {
                    (None, _) => writeln!(f, "# {} is not set", one.key)?,
                    (_, Source::Default) => writeln!(f, "{} = {}  # default", one.key, one.text)?,
                    (_, Source::Line(line)) => {
                        writeln!(f, "{} = {}  # line {line}", one.key, one.text)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl EffectiveConfig {
    /// Writes JSON: a list of sections, each with the list of its keys.
    #[must_use]
    pub fn json(&self) -> Json {
        let one = |one: &EffectiveValue| {
            let line = match one.source {
                Source::Default => None,
                Source::Line(line) => Some(line),
            };
            let value = one.value.as_ref().and_then(|value| serde_json::to_value(value).ok());
            json!({
                "key": one.key,
                "value": value,
                "is_default": line.is_none(),
                "line": line,
            })
        };
        let sections = self.sections.iter().map(|section| {
            let values: Vec<Json> = section.values.iter().map(one).collect();
            json!({ "section": section.name, "values": values })
        });
        Json::Array(sections.collect())
    }
}

/// A value, and the same in the form of the file.
type Shown = (Value, String);

/// The inputs for the list of effective values.
struct Listing<'l> {
    config: &'l Config,
    places: &'l Diagnostics<'l>,
    sections: Vec<EffectiveSection>,
}

/// Returns the effective values of `config`, which was read from `root`.
pub(crate) fn of(config: &Config, root: &DeTable<'_>, places: &Diagnostics<'_>) -> EffectiveConfig {
    let mut listing = Listing { config, places, sections: Vec::with_capacity(SECTIONS.len()) };
    for section in SECTIONS.iter().filter(|section| !section.is_list) {
        let part = Part::of_root(root, section.name);
        if section.name == "trusted_proxies" && !part.is_there() {
            continue;
        }
        if section.name == "tls" && config.certificates == CertificateSource::None {
            continue;
        }
        listing.add(&part, |key| global(config, key));
        if section.name == "tls" {
            listing.certificates(&part);
        }
    }
    for (part, site) in Part::all_of_root(root, "site").iter().zip(&config.sites) {
        listing.site(part, site);
    }
    EffectiveConfig { sections: listing.sections }
}

impl Listing<'_> {
    fn add(&mut self, part: &Part<'_>, value: impl Fn(&Key) -> Option<Shown>) {
        let shown = keys_of(part.name).filter(|key| !matches!(key.kind, Kind::Sections(_)));
        let values = shown.map(|key| {
            let source = part.get(key.name).map_or(Source::Default, |written| {
                Source::Line(self.places.line(written.span().start))
            });
            let (value, text) = value(key).unzip();
            EffectiveValue { key: key.name, value, text: text.unwrap_or_default(), source }
        });
        let values = values.collect();
        let is_list = crate::keys::section(part.name).is_some_and(|section| section.is_list);
        self.sections.push(EffectiveSection { name: part.name, is_list, values });
    }

    fn certificates(&mut self, tls: &Part<'_>) {
        let CertificateSource::Files(files) = &self.config.certificates else { return };
        for (part, files) in tls.parts("certificate", "tls.certificate").iter().zip(files) {
            self.add(part, |key| match key.name {
                "cert" => Some(text(files.cert.display())),
                _ => Some(text(files.key.display())),
            });
        }
    }

    fn site(&mut self, part: &Part<'_>, site: &SiteConfig) {
        let own = site.timeouts.iter().find(|of| of.path_prefix.is_empty());
        let limits = &self.config.limits.origins;
        let usual = OriginTimeouts {
            path_prefix: "".into(),
            response_header: Some(limits.response_header_timeout),
            read: Some(limits.read_timeout),
        };
        let requests = site.max_requests_per_origin.unwrap_or(limits.max_requests_per_origin);
        let own = over(own, &usual);
        self.add(part, |key| match (key.name, key.kind) {
            ("hosts", _) => Some(list(&site.hosts)),
            ("origins", _) => Some(list(site.origins.iter().map(|of| format!("http://{of}")))),
            ("health_check_path", _) => site.health_check_path.as_ref().map(text),
            ("member", _) => site.member.as_ref().map(text),
            ("scripts", _) => Some(list(&site.scripts)),
            ("weight", Kind::Number(of)) => Some(number(of, site.weight.into())),
            ("max_requests_per_origin", Kind::Number(of)) => Some(number(of, requests.into())),
            (_, Kind::Number(of)) => timeout(&own, key.name, of),
            _ => None,
        });
        let routes = site.timeouts.iter().filter(|of| !of.path_prefix.is_empty());
        for (part, route) in part.parts("route", "site.route").iter().zip(routes) {
            let of_route = over(Some(route), &own);
            self.add(part, |key| match key.kind {
                Kind::Number(of) => timeout(&of_route, key.name, of),
                _ => Some(text(&route.path_prefix)),
            });
        }
    }
}

/// Returns the timeouts of `first`, and those of `below` for the ones that `first` lacks.
fn over(first: Option<&OriginTimeouts>, below: &OriginTimeouts) -> OriginTimeouts {
    OriginTimeouts {
        path_prefix: below.path_prefix.clone(),
        response_header: first.and_then(|of| of.response_header).or(below.response_header),
        read: first.and_then(|of| of.read).or(below.read),
    }
}

fn timeout(of: &OriginTimeouts, name: &str, unit: Number) -> Option<Shown> {
    let time = if name == "read_timeout" { of.read } else { of.response_header };
    time.map(|time| number(unit, millis(time)))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the value of a key that can appear once in the file.
fn global(config: &Config, key: &Key) -> Option<Shown> {
    let trusted = &config.trusted_proxies;
    Some(match (key.section, key.name) {
        ("listen", "http") if config.listen.is_empty() => return None,
        ("listen", "http") => list(&config.listen),
        ("listen", "https") if config.listen_tls.is_empty() => return None,
        ("listen", "https") => list(&config.listen_tls),
        ("tls", "self_signed") => boolean(config.certificates == CertificateSource::SelfSigned),
        ("admin", "socket") => text(config.socket.display()),
        ("policy", "file") => text(config.policy_file.display()),
        ("state", "dir") => text(config.state_dir.display()),
        ("rules", "trusted_keys") if config.trusted_keys.is_empty() => return None,
        ("rules", "trusted_keys") => list(&config.trusted_keys),
        ("log", "level") => text(config.log_level.as_str().to_ascii_lowercase()),
        ("trusted_proxies", "networks") => list(&trusted.networks),
        ("trusted_proxies", "proxy_protocol") => boolean(trusted.proxy_protocol),
        ("trusted_proxies", "header") => text(match trusted.header? {
            ClientHeader::XForwardedFor => "x-forwarded-for",
            ClientHeader::Forwarded => "forwarded",
            ClientHeader::XRealIp => "x-real-ip",
        }),
        ("connections", "exempt") => list(&config.exempt),
        ("bans", "exempt") => list(&config.ban_exempt),
        _ => {
            let limit = LIMITS.iter().find(|limit| limit.key == *key)?;
            number(limit.number, (limit.get)(&config.limits)?)
        }
    })
}

fn number(of: Number, number: u64) -> Shown {
    let text = of.toml(number);
    let value = match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) => Value::String(text.to_owned()),
        None => Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)),
    };
    (value, text)
}

fn shown(value: Value) -> Shown {
    let text = value.to_string();
    (value, text)
}

fn boolean(value: bool) -> Shown {
    shown(Value::Boolean(value))
}

fn text(value: impl fmt::Display) -> Shown {
    shown(Value::String(value.to_string()))
}

fn list<T: fmt::Display>(values: impl IntoIterator<Item = T>) -> Shown {
    let values = values.into_iter().map(|value| Value::String(value.to_string()));
    shown(Value::Array(values.collect()))
}
