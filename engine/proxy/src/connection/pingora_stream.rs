//! What pingora wants to know of a client's stream. It learns no address: it needs none, and would
//! log it.

/// Answers for a stream with a field `digest`, which carries our connection to the hooks.
macro_rules! told_to_pingora {
    ($stream:ident) => {
        impl<S: crate::http1::stream::Transport> pingora_core::protocols::UniqueID for $stream<S> {
            /// Only upstream pools tell streams apart by it; a client's stream is in none.
            fn id(&self) -> pingora_core::protocols::UniqueIDType {
                0
            }
        }

        impl<S: crate::http1::stream::Transport> pingora_core::protocols::GetProxyDigest
            for $stream<S>
        {
            fn get_proxy_digest(
                &self,
            ) -> Option<std::sync::Arc<pingora_core::protocols::raw_connect::ProxyDigest>> {
                self.digest.clone()
            }
        }

        impl<S: crate::http1::stream::Transport> pingora_core::protocols::GetSocketDigest
            for $stream<S>
        {
            fn get_socket_digest(
                &self,
            ) -> Option<std::sync::Arc<pingora_core::protocols::SocketDigest>> {
                None
            }
        }

        impl<S: crate::http1::stream::Transport> pingora_core::protocols::GetTimingDigest
            for $stream<S>
        {
            fn get_timing_digest(&self) -> Vec<Option<pingora_core::protocols::TimingDigest>> {
                Vec::new()
            }
        }

        impl<S: crate::http1::stream::Transport> pingora_core::protocols::Peek for $stream<S> {}
    };
}

pub(crate) use told_to_pingora;
