//! `seawall.toml` as it is meant: checked values, paths made whole.
//!
//! Every check notes its complaint and goes on, so that one run of `seawall run` shows all of
//! them. A key whose feature is not there yet is refused by name: a host that believes in a
//! protection it does not have is worse off than one that was told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use seawall_model::{ClientPrefixes, HostPattern, Prefix};
use seawall_ruleset::{TRUSTED_KEYS_MAX, TrustedKey};
use seawall_state::WEIGHT_MAX;
use toml::Spanned;

use super::diagnostics::Diagnostics;
use super::limits::{Limits, within};
use super::origins::{self, Origin};
use super::parse::{at, networks, owned_networks, say_unbuilt};
use super::raw::{Certificate, Client, Listen, Log, Rules, Site, Tls, Typed};
use super::spanned::{SpannedString, SpannedStrings, Unsupported};
use super::timeouts::{self, OriginTimeouts};
use super::trusted_proxies::{self, TrustedProxies};

/// Where the admin socket lies when the file does not say.
const SOCKET_DEFAULT: &str = "run/admin.sock";
/// Most addresses to listen on.
pub const LISTEN_MAX: usize = 64;
/// Most certificates: each is read whole and held.
pub const CERTIFICATES_MAX: usize = 10_000;
/// Most networks that no ban covers.
pub const NEVER_BAN_MAX: usize = 1_000;
/// Most networks that no cap of a client holds for.
pub const EXEMPT_MAX: usize = 256;
/// Most sites: each costs a share of every table that is kept per site.
pub const SITES_MAX: usize = 10_000;

/// Most requests that an origin can be said to do at once.
const INFLIGHT_MAX: u64 = 1_000_000;

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where requests are accepted without TLS.
    pub listen: Vec<SocketAddr>,
    /// Where they are accepted over TLS. One of the two is not empty.
    pub listen_tls: Vec<SocketAddr>,
    /// What is shown there; there where `listen_tls` is not empty.
    pub certificates: CertificateSource,
    /// The admin socket's path.
    pub socket: PathBuf,
    /// The root policy file. Its folder is the policy root.
    pub root: PathBuf,
    /// The folder for what outlives the process.
    pub state_dir: PathBuf,
    /// What the file changes of the data plane's limits.
    pub limits: Limits,
    /// Networks whose clients many people share: no cap of a client or of a network is theirs.
    pub exempt: Vec<Prefix>,
    /// Networks that no ban covers, besides the loopback.
    pub never_ban: Vec<Prefix>,
    /// The hops whose word about the client is believed.
    pub trusted_proxies: TrustedProxies,
    /// How wide a client and a network are.
    pub units: ClientPrefixes,
    /// The sites, in the order of the file. Never empty.
    pub sites: Vec<SiteConfig>,
    /// Who may bring components; where it is empty, everybody.
    pub trusted_keys: Vec<TrustedKey>,
    /// What is logged.
    pub log_level: log::LevelFilter,
}

/// What is shown to clients of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// Nothing, since nobody asks.
    None,
    /// One that is made at start, which no visitor's program believes.
    SelfSigned,
    /// These files.
    Files(Vec<CertificateFiles>),
}

/// One `[[tls.certificate]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, as PEM.
    pub cert: PathBuf,
    /// The private key, as PEM.
    pub key: PathBuf,
}

/// One `[[site]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteConfig {
    /// The site's name: its first host, as written.
    pub name: Box<str>,
    /// The hosts that reach it. Never empty.
    pub hosts: Vec<HostPattern>,
    /// Where it is served from; 1 to [`ORIGINS_MAX`](super::ORIGINS_MAX), each once.
    pub origins: Vec<Origin>,
    /// The path that its origins are asked for, to see whether they answer.
    pub health: Option<Box<str>>,
    /// The member that it belongs to.
    pub member: Option<Box<str>>,
    /// What it weighs where things are shared among sites.
    pub share: u32,
    /// Requests that one of its origins can do at once, where the host knows.
    pub inflight_max: Option<u32>,
    /// How long its origins are waited for, where that is not as everywhere; each prefix once.
    pub timeouts: Vec<OriginTimeouts>,
    /// Extensions of the scripts that its origins run, without a dot; at most [`SCRIPTS_MAX`].
    pub scripts: Vec<Box<str>>,
}

/// What `raw` means, with relative paths taken from `folder`.
pub(crate) fn config(typed: &Typed, folder: &Path, faults: &mut Diagnostics<'_>) -> Option<Config> {
    unbuilt_sections(typed, faults);
    let listen = listen(typed.listen.as_ref(), faults);
    let has_https = typed.listen.as_ref().is_some_and(|l| l.get_ref().https.is_some());
    let certificates = certificates(typed.tls.as_ref(), has_https, folder, faults);
    let root = match &typed.policy {
        Some(section) => path(&section.get_ref().root, ("policy", "root"), section.span(), faults),
        None => missing_section("[policy]", "root = \"policies/baseline.wall\"", faults),
    };
    let state_dir = match &typed.state {
        Some(section) => path(&section.get_ref().dir, ("state", "dir"), section.span(), faults),
        None => missing_section("[state]", "dir = \"state\"", faults),
    };
    let socket = socket(typed, faults);
    let limits = typed.limits.as_ref().map(|l| l.meant(faults)).unwrap_or_default();
    let never_ban =
        typed.limits.as_ref().map_or(Some(Vec::new()), |l| never_ban(&l.never_ban, faults));
    let exempt = typed.connections.as_ref().map_or(Some(Vec::new()), |c| exempt(&c.exempt, faults));
    let units = typed.client.as_ref().map(|c| units(c, faults)).unwrap_or_default();
    let log_level = typed.log.as_ref().map_or(Some(log::LevelFilter::Info), |l| level(l, faults));
    let trusted_keys = trusted_keys(typed.rules.as_ref(), faults);
    let trusted_proxies = match &typed.trusted_proxies {
        Some(section) => trusted_proxies::meant(section, faults),
        None => Some(TrustedProxies::default()),
    };
    let sites = sites(typed.site.as_deref().unwrap_or_default(), faults);
    let (listen, listen_tls) = listen?;
    Some(Config {
        listen,
        listen_tls,
        certificates: certificates?,
        socket: folder.join(socket?),
        root: folder.join(root?),
        state_dir: folder.join(state_dir?),
        limits,
        exempt: exempt?,
        never_ban: never_ban?,
        trusted_proxies: trusted_proxies?,
        units,
        sites: sites?,
        trusted_keys: trusted_keys?,
        log_level: log_level?,
    })
}

fn unbuilt_sections(typed: &Typed, faults: &mut Diagnostics<'_>) {
    for (name, section) in [("geo", &typed.geo), ("pages", &typed.pages), ("fleet", &typed.fleet)] {
        unbuilt(section, &format!("[{name}]"), faults);
    }
    if let Some(admin) = &typed.admin {
        unbuilt(&admin.get_ref().http, "`http` in [admin]", faults);
        unbuilt(&admin.get_ref().token_file, "`token_file` in [admin]", faults);
    }
}

fn unbuilt(value: &Unsupported, name: &str, faults: &mut Diagnostics<'_>) {
    if let Some(value) = value {
        say_unbuilt(name, value.span(), faults);
    }
}

fn missing_section<T>(name: &str, example: &str, faults: &mut Diagnostics<'_>) -> Option<T> {
    let help = format!("add {name} with {example}");
    faults.miss(0..0, format!("{name} is missing"), Some(help));
    None
}

/// A text that must be there and not be empty.
fn text<'t>(
    value: &'t SpannedString,
    name: (&str, &str),
    section: Range<usize>,
    faults: &mut Diagnostics<'_>,
) -> Option<&'t str> {
    let Some(value) = value else {
        faults.miss(section, format!("`{}` is missing in [{}]", name.1, name.0), None);
        return None;
    };
    if value.get_ref().is_empty() || value.get_ref().contains('\0') {
        faults.push(value.span(), format!("`{}` in [{}] is no path", name.1, name.0), None);
        return None;
    }
    Some(value.get_ref())
}

fn path(
    value: &SpannedString,
    name: (&str, &str),
    section: Range<usize>,
    faults: &mut Diagnostics<'_>,
) -> Option<PathBuf> {
    text(value, name, section, faults).map(PathBuf::from)
}

fn socket(typed: &Typed, faults: &mut Diagnostics<'_>) -> Option<PathBuf> {
    match &typed.admin {
        Some(section) if section.get_ref().socket.is_some() => {
            path(&section.get_ref().socket, ("admin", "socket"), section.span(), faults)
        }
        _ => Some(PathBuf::from(SOCKET_DEFAULT)),
    }
}

/// Where is listened, plain and over TLS. One of the two may be missing.
fn listen(
    section: Option<&Spanned<Listen>>,
    faults: &mut Diagnostics<'_>,
) -> Option<(Vec<SocketAddr>, Vec<SocketAddr>)> {
    let example = "http = [\"127.0.0.1:8080\"]";
    let Some(section) = section else {
        return missing_section("[listen]", example, faults);
    };
    let Listen { http, https } = section.get_ref();
    if http.is_none() && https.is_none() {
        let help = format!("add {example}, or https and [[tls.certificate]]");
        faults.miss(section.span(), "`http` is missing in [listen]".into(), Some(help));
        return None;
    }
    let mut places = HashMap::new();
    let mut read = |name, written: &SpannedStrings| match written {
        None => Some(Vec::new()),
        Some(list) => addresses((name, list), &mut places, faults),
    };
    let (http, https) = (read("http", http), read("https", https));
    Some((http?, https?))
}

/// The addresses of one list; one that stands in `places` already is listened on twice.
fn addresses(
    (name, list): (&str, &Spanned<Vec<Spanned<String>>>),
    places: &mut HashMap<SocketAddr, Range<usize>>,
    faults: &mut Diagnostics<'_>,
) -> Option<Vec<SocketAddr>> {
    let count = list.get_ref().len();
    if count == 0 || count > LISTEN_MAX {
        let message = format!("`{name}` holds 1 to {LISTEN_MAX} addresses");
        let example = format!("{name} = [\"127.0.0.1:8080\"]");
        faults.push(list.span(), message, Some(example));
        return None;
    }
    let mut found = Vec::with_capacity(count);
    for item in list.get_ref() {
        let Ok(address) = item.get_ref().parse::<SocketAddr>() else {
            let help = "write an address and a port, as in `127.0.0.1:8080` or `[::1]:8080`";
            let message = format!("`{}` is no address to listen on", item.get_ref());
            faults.push(item.span(), message, Some(help.into()));
            continue;
        };
        let before = places.insert(address, item.span()).filter(|_| address.port() != 0);
        if let Some(before) = before {
            let message = format!("`{address}` is listened on twice, first {}", at(before, faults));
            faults.push(item.span(), message, None);
        }
        found.push(address);
    }
    (found.len() == count).then_some(found)
}

/// What is shown to clients of TLS. Files that nobody would be shown are a mistake, and so is an
/// address where nothing could be.
fn certificates(
    section: Option<&Spanned<Tls>>,
    has_https: bool,
    folder: &Path,
    faults: &mut Diagnostics<'_>,
) -> Option<CertificateSource> {
    let Some(section) = section else {
        if !has_https {
            return Some(CertificateSource::None);
        }
        let example = "certificate with cert and key, or `self_signed = true` to try it out";
        return missing_section("[tls]", example, faults);
    };
    if !has_https {
        let help = "add https = [\"[::]:443\"] to [listen], or take [tls] out".to_owned();
        faults.push(section.span(), "nobody is shown these certificates".into(), Some(help));
        return None;
    }
    let Tls { certificate, self_signed } = section.get_ref();
    let written = certificate.as_deref().unwrap_or_default();
    match (written, self_signed.as_ref().is_some_and(|wanted| *wanted.get_ref())) {
        ([], true) => return Some(CertificateSource::SelfSigned),
        ([], false) => {
            let help = "add [[tls.certificate]] with cert and key".to_owned();
            faults.miss(section.span(), "[tls] has no certificate".into(), Some(help));
            return None;
        }
        (_, true) => {
            let help = "take one of the two out".to_owned();
            let message = "`self_signed` and certificates exclude each other".to_owned();
            faults.push(section.span(), message, Some(help));
            return None;
        }
        _ => {}
    }
    if let Some(over) = written.get(CERTIFICATES_MAX) {
        faults.push(over.span(), format!("more than {CERTIFICATES_MAX} certificates"), None);
        return None;
    }
    let mut files = Vec::with_capacity(written.len());
    for entry in written {
        let Certificate { cert, key } = entry.get_ref();
        let name = "tls.certificate";
        let cert = path(cert, (name, "cert"), entry.span(), faults);
        let key = path(key, (name, "key"), entry.span(), faults);
        if let (Some(cert), Some(key)) = (cert, key) {
            files.push(CertificateFiles { cert: folder.join(cert), key: folder.join(key) });
        }
    }
    (files.len() == written.len()).then_some(CertificateSource::Files(files))
}

fn units(client: &Client, faults: &mut Diagnostics<'_>) -> ClientPrefixes {
    let mut bits = |value, name, most, default| {
        within(value, name, (1, most), faults).and_then(|n| u8::try_from(n).ok()).unwrap_or(default)
    };
    let default = ClientPrefixes::default();
    ClientPrefixes {
        v4_net_bits: bits(client.v4_net.as_ref(), "v4_net", 32, default.v4_net_bits),
        v6_client_bits: bits(client.v6_client.as_ref(), "v6_client", 128, default.v6_client_bits),
        v6_net_bits: bits(client.v6_net.as_ref(), "v6_net", 128, default.v6_net_bits),
    }
}

/// The networks of `[limits] never_ban`.
fn never_ban(written: &SpannedStrings, faults: &mut Diagnostics<'_>) -> Option<Vec<Prefix>> {
    let Some(written) = written else { return Some(Vec::new()) };
    if written.get_ref().len() > NEVER_BAN_MAX {
        let message = format!("`never_ban` holds at most {NEVER_BAN_MAX} networks");
        faults.push(written.span(), message, None);
        return None;
    }
    networks(written, faults)
}

/// The networks of `[connections] exempt`.
fn exempt(written: &SpannedStrings, faults: &mut Diagnostics<'_>) -> Option<Vec<Prefix>> {
    let Some(written) = written else { return Some(Vec::new()) };
    if written.get_ref().len() > EXEMPT_MAX {
        faults.push(written.span(), format!("`exempt` holds at most {EXEMPT_MAX} networks"), None);
        return None;
    }
    owned_networks(written, "list the addresses that a school or a hospital shares", faults)
}

/// The keys of `[rules] trusted_keys`. Naming none is a mistake: who means that nobody has to sign
/// leaves the section out.
fn trusted_keys(section: Option<&Rules>, faults: &mut Diagnostics<'_>) -> Option<Vec<TrustedKey>> {
    let Some(written) = section.and_then(|rules| rules.trusted_keys.as_ref()) else {
        return Some(Vec::new());
    };
    let count = written.get_ref().len();
    if count == 0 || count > TRUSTED_KEYS_MAX {
        let help = "leave it out, and components need no signature".to_owned();
        let message = format!("`trusted_keys` holds 1 to {TRUSTED_KEYS_MAX} keys");
        faults.push(written.span(), message, Some(help));
        return None;
    }
    let mut keys = Vec::with_capacity(count);
    for text in written.get_ref() {
        match TrustedKey::parse(text.get_ref()) {
            Some(key) => keys.push(key),
            None => {
                let help = "write the second line of a `.pub` file of minisign: RW…".to_owned();
                faults.push(text.span(), "this is no public key".into(), Some(help));
            }
        }
    }
    (keys.len() == count).then_some(keys)
}

fn level(section: &Log, faults: &mut Diagnostics<'_>) -> Option<log::LevelFilter> {
    let Some(text) = &section.level else { return Some(log::LevelFilter::Info) };
    let level = match text.get_ref().as_str() {
        "off" => log::LevelFilter::Off,
        "error" => log::LevelFilter::Error,
        "warn" => log::LevelFilter::Warn,
        "info" => log::LevelFilter::Info,
        "debug" => log::LevelFilter::Debug,
        "trace" => log::LevelFilter::Trace,
        other => {
            let help = "one of off, error, warn, info, debug, trace".to_owned();
            faults.push(text.span(), format!("`{other}` is no log level"), Some(help));
            return None;
        }
    };
    Some(level)
}

fn sites(sections: &[Spanned<Site>], faults: &mut Diagnostics<'_>) -> Option<Vec<SiteConfig>> {
    if sections.is_empty() {
        return missing_section("[[site]]", "hosts and origin: nothing would be served", faults);
    }
    if let Some(first_over) = sections.get(SITES_MAX) {
        faults.push(first_over.span(), format!("more than {SITES_MAX} sites"), None);
        return None;
    }
    let mut places = HashMap::new();
    let found: Vec<_> =
        sections.iter().filter_map(|section| site(section, &mut places, faults)).collect();
    (found.len() == sections.len()).then_some(found)
}

fn site(
    section: &Spanned<Site>,
    places: &mut HashMap<HostPattern, Range<usize>>,
    faults: &mut Diagnostics<'_>,
) -> Option<SiteConfig> {
    let Site { hosts: written, origin, health, member, share, inflight_max, scripts, .. } =
        section.get_ref();
    let timeouts = timeouts::of_site(section.get_ref(), faults);
    let scripts = origins::scripts(scripts, faults);
    let share = within(share.as_ref(), "share", (1, WEIGHT_MAX.into()), faults);
    let inflight = within(inflight_max.as_ref(), "inflight_max", (1, INFLIGHT_MAX), faults);
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let hosts = hosts(written, section.span(), places, faults);
    let origins = origins::meant(origin, section.span(), faults);
    let health = origins::health(health.as_ref(), faults);
    let member = match member {
        Some(name) if name.get_ref().is_empty() => {
            faults.push(name.span(), "`member` is empty".into(), None);
            None
        }
        Some(name) => Some(name.get_ref().as_str().into()),
        None => None,
    };
    let name = written.as_ref()?.get_ref().first()?.get_ref().as_str().into();
    Some(SiteConfig {
        name,
        hosts: hosts?,
        origins: origins?,
        health: health?,
        member,
        share: share.map_or(1, number),
        inflight_max: inflight.map(number),
        timeouts: timeouts?,
        scripts: scripts?,
    })
}

/// A host as DNS has it: what is written in letters of other alphabets is `xn--…` there (RFC 5891).
fn in_ascii(item: &Spanned<String>, faults: &mut Diagnostics<'_>) -> Option<String> {
    let text = item.get_ref();
    if text.is_ascii() {
        return Some(text.clone());
    }
    let (front, name) = text.strip_prefix("*.").map_or(("", text.as_str()), |name| ("*.", name));
    match idna::domain_to_ascii_strict(name) {
        Ok(name) => Some(format!("{front}{name}")),
        Err(_) => {
            faults.push(item.span(), format!("`{text}` is no name that DNS can have"), None);
            None
        }
    }
}

fn hosts(
    written: &SpannedStrings,
    section: Range<usize>,
    places: &mut HashMap<HostPattern, Range<usize>>,
    faults: &mut Diagnostics<'_>,
) -> Option<Vec<HostPattern>> {
    let items = match written {
        Some(list) if !list.get_ref().is_empty() => list.get_ref(),
        Some(list) => {
            faults.miss(
                list.span(),
                "`hosts` is empty: no request would reach the site".into(),
                None,
            );
            return None;
        }
        None => {
            let help = "add hosts = [\"alice.example\"]".to_owned();
            faults.miss(section, "`hosts` is missing in [[site]]".into(), Some(help));
            return None;
        }
    };
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = in_ascii(item, faults) else { continue };
        let pattern = match HostPattern::parse(&text) {
            Ok(pattern) => pattern,
            Err(error) => {
                faults.push(item.span(), format!("`{}`: {error}", item.get_ref()), None);
                continue;
            }
        };
        if let Some(before) = places.get(&pattern) {
            let message = format!("the host `{pattern}` is taken {}", at(before.clone(), faults));
            let help = "a host belongs to one site; take one of the two out".to_owned();
            faults.push(item.span(), message, Some(help));
            continue;
        }
        places.insert(pattern.clone(), item.span());
        found.push(pattern);
    }
    (found.len() == items.len()).then_some(found)
}
