//! A network namespace: a hundred thousand addresses that are not loopback, with IPv6.
//!
//! The program replaces itself by `unshare --net` and that by itself again, so that process and
//! namespace are one. When the process ends, by whatever signal, the namespace ends with its
//! virtual link and routes. So no cleanup is necessary.
//!
//! The server stays outside. The outer end of the virtual link has [`OUTER_V4`] and [`OUTER_V6`],
//! from ranges for documentation; the server must listen there, or on all addresses.

use crate::cli::Ended;
use crate::guard::Ground;
use anyhow::{Context as _, Result, bail};
use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Marks that the program is inside: the descriptor of the namespace outside.
const INSIDE: &str = "SEAWALL_ATTACK_OUTSIDE";
/// Name of the outer end. It is fixed, so that a second run at the same time is rejected.
const OUTER: &str = "seawall-attack";
/// And inside.
const INNER: &str = "wire";
/// Hardware addresses of the ends; addresses that begin with 02 are not assigned.
const OUTER_MAC: &str = "02:00:00:00:5e:a1";
const INNER_MAC: &str = "02:00:00:00:5e:a2";
/// Address of the server from inside.
const OUTER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OUTER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x5ea0, 0, 0, 0, 0, 1);

/// Returns whether the namespace is still to be made.
pub(crate) fn outside() -> bool {
    std::env::var_os(INSIDE).is_none()
}

/// Replaces this program by itself in a namespace of its own.
///
/// # Errors
/// Not root, or a tool is missing. There is no return otherwise.
pub(crate) fn enter() -> Result<Ended> {
    if !rustix::process::geteuid().is_root() {
        bail!("--namespace needs root: it makes a network namespace and a wire out of it");
    }
    for tool in ["ip", "unshare", "nsenter"] {
        let there = Command::new(tool).arg("-V").output();
        there.with_context(|| format!("--namespace needs `{tool}`, which is not installed"))?;
    }
    let outside = File::open("/proc/self/ns/net").context("no namespaces here")?;
    // Is to outlive the two replacements, until `inside` has used it.
    fcntl_setfd(&outside, FdFlags::empty())?;
    let number = outside.as_raw_fd().to_string();
    let _kept = outside.into_raw_fd();
    let program = std::env::current_exe()?;
    let error = Command::new("unshare")
        .arg("--net")
        .arg("--")
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, number)
        .exec();
    Err(error).context("cannot run `unshare`")
}

/// Creates the virtual link, and returns the permitted targets from here on.
///
/// # Errors
/// This is not a new namespace, or the link cannot be created.
pub(crate) fn inside() -> Result<Ground> {
    let number = std::env::var(INSIDE)?;
    let pid = std::process::id();
    let outside = format!("/proc/{pid}/fd/{number}");
    let link = |path: &str| -> Result<String> {
        let target = std::fs::read_link(path).with_context(|| path.to_owned())?;
        Ok(target.display().to_string())
    };
    let (theirs, ours) = (link(&outside)?, link("/proc/self/ns/net")?);
    if !theirs.starts_with("net:[") || theirs == ours {
        bail!("this is no namespace of our own");
    }
    let routes = std::fs::read_to_string("/proc/net/route")?;
    if routes.lines().count() > 1 {
        bail!("this namespace has routes already: it is not of our making");
    }
    for words in outer_words(pid) {
        ran(Command::new("nsenter")
            .arg(format!("--net={outside}"))
            .arg("ip")
            .args(words.split(' ')))?;
    }
    for words in INNER_WORDS {
        ran(Command::new("ip").args(words.split(' ')))?;
    }
    // Addresses of a whole network can be bound in IPv6 only with this.
    std::fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1").context("no IPv6 here")?;
    Ok(Ground::Namespace { v4: IpAddr::V4(OUTER_V4), v6: IpAddr::V6(OUTER_V6) })
}

/// Each end gets the other's hardware address, and has no link-local one: IPv6 needs 2 s to find
/// both, without responses, in the quiet phase.
fn outer_words(pid: u32) -> [String; 9] {
    [
        format!(
            "link add {OUTER} address {OUTER_MAC} type veth peer name {INNER} address {INNER_MAC} \
             netns {pid}"
        ),
        format!("addr add {OUTER_V4}/30 dev {OUTER}"),
        format!("-6 addr add {OUTER_V6}/64 dev {OUTER} nodad"),
        format!("link set {OUTER} addrgenmode none"),
        format!("link set {OUTER} up"),
        format!("-6 neigh add 2001:db8:5ea0::2 lladdr {INNER_MAC} dev {OUTER} nud permanent"),
        format!("route add 198.18.0.0/15 via 192.0.2.2 dev {OUTER}"),
        format!("-6 route add 2001:db8:5ea1::/48 via 2001:db8:5ea0::2 dev {OUTER}"),
        format!("-6 route add 2001:db8:5ea2::/48 via 2001:db8:5ea0::2 dev {OUTER}"),
    ]
}

const INNER_WORDS: [&str; 9] = [
    "link set lo up",
    "addr add 192.0.2.2/30 dev wire",
    "-6 addr add 2001:db8:5ea0::2/64 dev wire nodad",
    "link set wire addrgenmode none",
    "link set wire up",
    "-6 neigh add 2001:db8:5ea0::1 lladdr 02:00:00:00:5e:a1 dev wire nud permanent",
    "route add local 198.18.0.0/15 dev lo",
    "-6 route add local 2001:db8:5ea1::/48 dev lo",
    "-6 route add local 2001:db8:5ea2::/48 dev lo",
];

fn ran(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("cannot lay the wire ({command:?}): {}", said.trim());
    }
    Ok(())
}
