//! The guard: the addresses that this program may connect to.
//!
//! Every connection needs a [`Target`]. A `Target` only exists for an address on loopback, or for
//! the other end of a network namespace that this program created itself. Names are not resolved,
//! because others control their meaning.
//!
//! Limitation: it does not protect servers behind the target: a proxy on loopback that forwards to
//! another machine forwards the load.

use anyhow::{Result, bail};
use std::net::{IpAddr, SocketAddr};

/// The environment of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// The machine's own namespace: loopback only.
    Loopback,
    /// A namespace that it created: loopback, and the other end of its virtual link.
    Namespace {
        /// The other end's IPv4 address.
        v4: IpAddr,
        /// The other end's IPv6 address.
        v6: IpAddr,
    },
}

/// A permitted address. The field is private: only the guard creates one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target(SocketAddr);

impl Target {
    /// Accepts `address` if this environment permits it.
    ///
    /// # Errors
    /// Any other address is rejected, with the reason.
    pub(crate) fn new(address: SocketAddr, ground: Ground) -> Result<Self> {
        let allowed = match ground {
            Ground::Loopback => address.ip().is_loopback(),
            Ground::Namespace { v4, v6 } => {
                address.ip().is_loopback() || address.ip() == v4 || address.ip() == v6
            }
        };
        if !allowed {
            bail!(
                "{address} is refused: this program attacks loopback (127.0.0.0/8, ::1) and the \
                 namespaces that it makes itself (--namespace), and nothing else"
            );
        }
        if address.port() == 0 {
            bail!("{address} has no port");
        }
        Ok(Self(address))
    }

    /// Reads `ADDRESS:PORT`.
    ///
    /// # Errors
    /// A name instead of an address, or an address that the ground does not allow.
    pub(crate) fn parse(text: &str, ground: Ground) -> Result<Self> {
        let Ok(address) = text.parse() else {
            bail!("`{text}` is not ADDRESS:PORT; names are not resolved here");
        };
        Self::new(address, ground)
    }

    /// Reads where this program itself may listen: loopback; port 0 leaves the choice to the kernel.
    ///
    /// # Errors
    /// As for a target.
    pub(crate) fn listens(text: &str) -> Result<SocketAddr> {
        let Some(address) = text.strip_suffix(":0") else {
            return Ok(Self::parse(text, Ground::Loopback)?.address());
        };
        let mut address = Self::parse(&format!("{address}:1"), Ground::Loopback)?.address();
        address.set_port(0);
        Ok(address)
    }

    /// Returns the address.
    pub(crate) fn address(self) -> SocketAddr {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: Ground = Ground::Namespace {
        v4: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
        v6: IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    };

    #[test]
    fn loopback_is_let_through() {
        for text in ["127.0.0.1:80", "127.255.255.254:65535", "[::1]:8080"] {
            let target = Target::parse(text, Ground::Loopback).unwrap();
            assert_eq!(target.address(), text.parse().unwrap());
        }
    }

    #[test]
    fn the_kernel_may_choose_a_port_to_listen_on() {
        for text in ["127.0.0.1:0", "[::1]:0", "127.0.0.1:80"] {
            assert_eq!(Target::listens(text).unwrap(), text.parse().unwrap());
        }
        for text in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "localhost:0", ":0", "127.0.0.1"] {
            assert!(Target::listens(text).is_err(), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "192.0.2.1:80",
            "10.0.0.1:80",
            "169.254.169.254:80",
            "0.0.0.0:80",
            "128.0.0.1:80",
            "126.255.255.255:80",
            "[::]:80",
            "[2001:db8::1]:80",
            "[fe80::1]:80",
            "[::ffff:192.0.2.1]:80",
            "[::ffff:127.0.0.1]:80",
            "127.0.0.1:0",
            "127.0.0.1",
            "localhost:80",
            "example.org:80",
            "0x7f000001:80",
            "",
        ] {
            assert!(Target::parse(text, Ground::Loopback).is_err(), "{text}");
        }
    }

    #[test]
    fn a_namespace_adds_its_own_other_end_and_nothing_more() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:80", "127.0.0.1:80"] {
            Target::parse(text, NAMESPACE).unwrap();
        }
        for text in ["192.0.2.2:80", "198.18.0.1:80", "[2001:db8::2]:80", "0.0.0.0:80"] {
            assert!(Target::parse(text, NAMESPACE).is_err(), "{text}");
        }
    }

    /// The type protects only its users: sockets are connected in one file only.
    #[test]
    fn one_file_alone_connects() {
        let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut folders = vec![src.clone()];
        let (mut seen, mut connecting) = (0, Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap();
                seen += 1;
                if ["TcpSocket::", "TcpStream::connect", "UdpSocket", "UnixStream", "socket2"]
                    .iter()
                    .any(|way| text.contains(way))
                {
                    connecting.push(path.strip_prefix(&src).unwrap().display().to_string());
                }
            }
        }
        assert!(seen > 20, "the walk has lost its way: {seen} files");
        assert_eq!(connecting, ["connect.rs"]);
    }
}
