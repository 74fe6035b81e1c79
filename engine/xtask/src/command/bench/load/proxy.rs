//! The compared proxies: their programs, files and commands.

use crate::shell;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProxyKind {
    Seawall,
    Nginx,
    Haproxy,
    Envoy,
}

/// All of them, Seawall first.
pub(super) const PROXIES: [ProxyKind; 4] =
    [ProxyKind::Seawall, ProxyKind::Nginx, ProxyKind::Haproxy, ProxyKind::Envoy];

impl ProxyKind {
    /// Returns its name, which is that of its program.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Seawall => "seawall",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// Returns the names of its files in `benches/load/`, its configuration first.
    pub(super) fn files(self) -> &'static [&'static str] {
        match self {
            Self::Seawall => &["seawall.toml", "root.wall"],
            Self::Nginx => &["nginx.conf"],
            Self::Haproxy => &["haproxy.cfg", "hosts.map"],
            Self::Envoy => &["envoy.yaml"],
        }
    }

    /// Returns its program, if there is one; Seawall's is `seawall`.
    pub(super) fn program(self, seawall: &Path) -> Option<PathBuf> {
        match self {
            Self::Seawall => Some(seawall.to_path_buf()),
            Self::Nginx | Self::Haproxy | Self::Envoy => shell::find(self.name()),
        }
    }

    /// Returns the version that its program reports.
    pub(super) fn version(self, program: &Path) -> Option<String> {
        let flag = match self {
            Self::Seawall | Self::Envoy => "--version",
            Self::Nginx | Self::Haproxy => "-v",
        };
        let said = Command::new(program).arg(flag).output().ok()?;
        let said = [said.stdout, said.stderr].concat();
        version_in(&String::from_utf8_lossy(&said))
    }

    /// Returns its arguments in the foreground.
    pub(super) fn arguments(self, config: &Path, workers: usize) -> Vec<String> {
        let config = config.display().to_string();
        let words: Vec<&str> = match self {
            // The number of its workers is that of its cores.
            Self::Seawall => vec!["run", "-c", &config],
            Self::Nginx => vec!["-c", &config],
            Self::Haproxy => vec!["-db", "-q", "-f", &config],
            Self::Envoy => vec!["--disable-hot-restart", "--log-level", "error", "-c", &config],
        };
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        if self == Self::Envoy {
            words.extend(["--concurrency".to_owned(), workers.to_string()]);
        }
        words
    }
}

/// Returns the first word of what a program reports that looks like a version.
fn version_in(text: &str) -> Option<String> {
    let is_version = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.contains('.')
            && word.chars().all(|c| c.is_ascii_alphanumeric() || ".-+~".contains(c))
    };
    text.split([' ', '/', '\n']).find(is_version).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_report() {
        for (said, version) in [
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            (
                "HAProxy version 2.6.12-1+deb12u3 2025/10/03 - https://haproxy.org/",
                "2.6.12-1+deb12u3",
            ),
            ("seawall 0.1.0\n", "0.1.0"),
            (
                "envoy  version: d79f6e8d453ee260e9094093b8dd31af0056e67b/1.31.2/Clean/RELEASE",
                "1.31.2",
            ),
        ] {
            assert_eq!(version_in(said).as_deref(), Some(version));
        }
        assert_eq!(version_in("no idea"), None);
    }
}
