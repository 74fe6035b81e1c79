//! Conversion of the parsed file to the checked configuration.
//!
//! A wrong value causes a diagnostic, and a default is used instead. So one run finds every error.
//! The caller drops the result if there is any diagnostic.

pub(crate) mod listen;
pub(crate) mod networks;
pub(crate) mod origins;
pub(crate) mod rules;
pub(crate) mod sites;
pub(crate) mod syntax;
pub(crate) mod timeouts;
pub(crate) mod tls;
pub(crate) mod trusted_proxies;

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::config::Config;
use crate::diagnostics::Diagnostics;
use crate::document::Part;
use crate::keys::LOG_LEVELS;
use crate::limits::{LIMITS, Limits};

/// The default path of the admin socket.
pub(crate) const SOCKET_DEFAULT: &str = "run/admin.sock";

/// Returns the configuration. Relative paths start at `folder`.
pub(crate) fn config(root: &DeTable<'_>, folder: &Path, said: &mut Diagnostics<'_>) -> Config {
    let listen = listen::read(root, said);
    let policy = ("policy", "file", "file = \"policies/baseline.wall\"");
    let state = ("state", "dir", "dir = \"state\"");
    Config {
        certificates: tls::read(root, (folder, listen.has_tls), said),
        listen: listen.http,
        listen_tls: listen.https,
        socket: folder.join(socket(root, said)),
        policy_file: folder.join(required_path(root, policy, said)),
        state_dir: folder.join(required_path(root, state, said)),
        limits: limits(root, said),
        exempt: networks::connections_exempt(root, said),
        ban_exempt: networks::bans_exempt(root, said),
        trusted_proxies: trusted_proxies::read(root, said),
        sites: sites::read(root, said),
        trusted_keys: rules::trusted_keys(root, said),
        log_level: log_level(root, said),
    }
}

/// Returns the limits. A limit that is not set, or is wrong, has its default.
fn limits(root: &DeTable<'_>, said: &mut Diagnostics<'_>) -> Limits {
    let mut limits = Limits::default();
    for limit in LIMITS {
        let part = Part::of_root(root, limit.key.section);
        if let Some(number) = part.number(&limit.key, said) {
            (limit.set)(&mut limits, number);
        }
    }
    check_overload_order(root, &limits, said);
    limits
}

/// Checks that each overload stage begins above the stage before it.
fn check_overload_order(root: &DeTable<'_>, limits: &Limits, said: &mut Diagnostics<'_>) {
    let overload = &limits.overload;
    let part = Part::of_root(root, "overload");
    for ((lower, below), (upper, above)) in [
        (
            ("warning_percent", overload.warning_percent),
            ("shedding_percent", overload.shedding_percent),
        ),
        (
            ("shedding_percent", overload.shedding_percent),
            ("critical_percent", overload.critical_percent),
        ),
    ] {
        if below < above {
            continue;
        }
        let place =
            part.get(upper).or_else(|| part.get(lower)).map_or(part.at.clone(), |v| v.span());
        let message = format!("`{upper}` ({above}) must be above `{lower}` ({below})");
        let help = "the stages of overload begin one after the other: warning, shedding, critical";
        said.push(place, message, Some(help.to_owned()));
    }
}

/// Returns the path of a required key.
fn required_path(
    root: &DeTable<'_>,
    (section, key, example): (&'static str, &str, &str),
    said: &mut Diagnostics<'_>,
) -> PathBuf {
    let part = Part::of_root(root, section);
    if !part.is_there() {
        let help = format!("add [{section}] with {example}");
        said.push_missing(0..0, format!("[{section}] is missing"), &help);
    } else if part.get(key).is_none() {
        let message = format!("`{key}` is missing in [{section}]");
        said.push_missing(part.at.clone(), message, &format!("add {example}"));
    }
    path(&part, key, said).unwrap_or_default()
}

/// Returns the path of a key.
fn path(part: &Part<'_>, key: &str, said: &mut Diagnostics<'_>) -> Option<PathBuf> {
    let text = part.text(key, said)?;
    if text.value.is_empty() || text.value.contains('\0') {
        said.push(text.at, format!("`{key}` must be a path"), None);
        return None;
    }
    Some(PathBuf::from(text.value))
}

fn socket(root: &DeTable<'_>, said: &mut Diagnostics<'_>) -> PathBuf {
    let part = Part::of_root(root, "admin");
    path(&part, "socket", said).unwrap_or_else(|| PathBuf::from(SOCKET_DEFAULT))
}

fn log_level(root: &DeTable<'_>, said: &mut Diagnostics<'_>) -> log::LevelFilter {
    let Some(text) = Part::of_root(root, "log").text("level", said) else {
        return log::LevelFilter::Info;
    };
    let is_known = LOG_LEVELS.contains(&text.value);
    match text.value.parse().ok().filter(|_| is_known) {
        Some(level) => level,
        None => {
            let help = format!("one of {}", LOG_LEVELS.join(", "));
            let message = format!("`{}` is not a log level", text.value.escape_debug());
            said.push(text.at, message, Some(help));
            log::LevelFilter::Info
        }
    }
}
