//! Builds the facts that a policy reads from a request.
//!
//! Everything is borrowed from the header section, except host and path, which are normalized.
//! [`crate::admission::trusted_proxies`] has resolved the client. After [`build_facts`] no code
//! depends on the server or engine that the request came through.

use std::sync::Arc;

use seawall_model::{
    Client, ConnectionInfo as ConnFacts, Facts, Gauges, Geo, HeaderView, Proto, Scheme, Tick,
};
use seawall_ruleset::http::{normalize_host, normalize_path};

use crate::admission::trusted_proxies::ConnectionOwnership;
use crate::context::SharedContext;
use crate::http1::head::{HeadError, RequestHead};
use crate::routing::Site;
use crate::tls::TlsInfo;

/// The headers of a request, as they lie in the buffer.
#[derive(Debug)]
pub(crate) struct HeaderFields<'h>(pub(crate) &'h [httparse::Header<'h>]);

impl HeaderView for HeaderFields<'_> {
    fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
        self.0.iter().any(|field| field.name.eq_ignore_ascii_case(name) && visit(field.value))
    }

    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for field in self.0 {
            visit(field.name.as_bytes(), field.value);
        }
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

/// Normalized host and path.
#[derive(Debug)]
pub(crate) struct NormalizedTarget {
    /// None if an HTTP/1.0 request has no `Host`.
    pub(crate) host: Option<String>,
    pub(crate) path: Vec<u8>,
}

impl NormalizedTarget {
    /// Normalizes host and path.
    ///
    /// # Errors
    /// The host is invalid, or the path cannot be decoded.
    pub(crate) fn of(head: &RequestHead<'_>) -> Result<Self, HeadError> {
        let host = head.host.map(normalize_host).transpose().map_err(|_| HeadError::Host)?;
        let mut path = Vec::with_capacity(head.path.len());
        if head.path == b"*" {
            path.push(b'*');
        } else {
            normalize_path(head.path, &mut path).map_err(|_| HeadError::Target)?;
        }
        Ok(Self { host, path })
    }
}

/// The connection that a request came through.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionFacts {
    pub(crate) client: Client,
    pub(crate) port: u16,
    pub(crate) accepted: Tick,
    pub(crate) requests: u32,
    pub(crate) now: Tick,
    pub(crate) spoken: Option<Arc<TlsInfo>>,
    /// Open streams, resets and frames without effect, in HTTP/2.
    pub(crate) h2: (u32, u32, u32),
    /// Whether the connection belongs to the client.
    pub(crate) line: ConnectionOwnership,
    pub(crate) scheme: Scheme,
    /// Whether the version is HTTP/1.0.
    pub(crate) is_old: bool,
}

/// Returns the facts of one request.
pub(crate) fn build_facts<'r>(
    (head, fields, folded): (&RequestHead<'r>, &'r HeaderFields<'r>, &'r NormalizedTarget),
    route: &'r Site,
    gauges: &'r ClientGauges<'r>,
) -> Facts<'r> {
    let through = gauges.through;
    let &ConnectionFacts { client, port, accepted, requests, now, scheme, is_old, .. } = through;
    let spoken = through.spoken.as_deref();
    let (streams, resets, glitches) = through.h2;
    Facts {
        client,
        geo: Geo::default(),
        conn: ConnFacts {
            proto: match spoken.is_some_and(|spoken| spoken.is_h2) {
                true => Proto::H2,
                false if is_old => Proto::H10,
                false => Proto::H1,
            },
            scheme,
            gauges: Some(gauges),
            streams,
            resets,
            glitches,
            port,
            requests,
            age_ms: now.since_ms(accepted),
            ja4: spoken.map(|spoken| &*spoken.ja4),
            sni: spoken.and_then(|spoken| spoken.sni.as_deref()),
            tls: spoken.map(|spoken| spoken.version),
        },
        method: head.method,
        host: folded.host.as_deref().unwrap_or_default(),
        site: &route.name,
        path: &folded.path,
        raw_path: head.path,
        script: route.script_of(&folded.path),
        query: head.query,
        headers: fields,
        pass: None,
        pass_failures: 0,
        origin: route.origins.health(route.in_flight()),
        cpu_percent: Some(gauges.edge.overload.cpu_percent()),
    }
}

/// The current connections and requests of a client.
#[derive(Debug)]
pub(crate) struct ClientGauges<'e> {
    pub(crate) edge: &'e SharedContext,
    pub(crate) through: &'e ConnectionFacts,
}

impl Gauges for ClientGauges<'_> {
    fn connections(&self) -> Option<u32> {
        let ConnectionFacts { client, line, .. } = self.through;
        (*line == ConnectionOwnership::Own).then(|| self.edge.connections.held(client).max(1))
    }

    fn in_flight(&self) -> u32 {
        self.edge.forwarding.held(&self.through.client).saturating_add(1)
    }
}
