//! Why the data plane cannot start.

use std::io;
use std::net::SocketAddr;

/// Why the data plane cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// An address cannot be listened on.
    #[error("{address} {why}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause, and the fix.
        why: String,
    },
    /// An origin cannot be resolved.
    #[error("origin `{origin}` of site `{site}` cannot be resolved: {why}")]
    Origin {
        /// The site.
        site: Box<str>,
        /// The origin, as configured.
        origin: Box<str>,
        /// The cause.
        why: String,
    },
    /// A site has no origin.
    #[error("site `{site}` has no origin")]
    NoOrigin {
        /// The site.
        site: Box<str>,
    },
    /// HTTP over TLS needs a certificate.
    #[error("`[listen] https` is set but no `[[tls.certificate]]` is configured")]
    NoCertificate,
    /// The system provided no thread or no descriptor.
    #[error("a worker cannot be started: {0}")]
    Worker(#[source] io::Error),
}

impl BindError {
    /// Describes a failed bind, with the fix.
    pub(crate) fn listen(address: SocketAddr, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "is in use: another server listens there; stop it, or configure another port"
                    .to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "may not be bound: ports below 1024 need a privilege of their own \
                 (CAP_NET_BIND_SERVICE), or configure a higher port"
                    .to_owned()
            }
            io::ErrorKind::AddrNotAvailable => {
                "cannot be bound: no interface of this machine has this address".to_owned()
            }
            _ => format!("cannot be bound: {error}"),
        };
        Self::Listen { address, why }
    }
}
