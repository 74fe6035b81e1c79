//! What pingora needs to know of a client's stream. Pingora gets no address: it needs none, and
//! would log it.

use std::any::Any;
use std::sync::Arc;

use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_http::ResponseHeader;

use crate::connection::Connection;

/// Implements pingora's traits for a stream with a field `digest`, which carries the connection to
/// the hooks.
macro_rules! told_to_pingora {
    ($stream:ident) => {
        impl<S: crate::connection::io::ResettableIo> pingora_core::protocols::UniqueID
            for $stream<S>
        {
            /// Only upstream pools use it to tell streams apart; a client's stream is in none.
            fn id(&self) -> pingora_core::protocols::UniqueIDType {
                0
            }
        }

        impl<S: crate::connection::io::ResettableIo> pingora_core::protocols::GetProxyDigest
            for $stream<S>
        {
            fn get_proxy_digest(
                &self,
            ) -> Option<std::sync::Arc<pingora_core::protocols::raw_connect::ProxyDigest>> {
                self.digest.clone()
            }
        }

        impl<S: crate::connection::io::ResettableIo> pingora_core::protocols::GetSocketDigest
            for $stream<S>
        {
            fn get_socket_digest(
                &self,
            ) -> Option<std::sync::Arc<pingora_core::protocols::SocketDigest>> {
                None
            }
        }

        impl<S: crate::connection::io::ResettableIo> pingora_core::protocols::GetTimingDigest
            for $stream<S>
        {
            fn get_timing_digest(&self) -> Vec<Option<pingora_core::protocols::TimingDigest>> {
                Vec::new()
            }
        }

        impl<S: crate::connection::io::ResettableIo> pingora_core::protocols::Peek for $stream<S> {}
    };
}

pub(crate) use told_to_pingora;

/// Returns the digest that carries the connection to the hooks.
pub(crate) fn digest_of(conn: &Arc<Connection>) -> Option<Arc<ProxyDigest>> {
    let unused = ResponseHeader::build_no_case(200, Some(0)).ok()?;
    let carried: Box<dyn Any + Send + Sync> = Box::new(Arc::clone(conn));
    Some(Arc::new(ProxyDigest::new(Box::new(unused), Some(carried))))
}

/// Returns the connection of a session.
pub(crate) fn conn_of(session: &ServerSession) -> Option<Arc<Connection>> {
    let digest = session.digest()?.proxy_digest.as_ref()?;
    digest.user_data.as_ref()?.downcast_ref::<Arc<Connection>>().cloned()
}
