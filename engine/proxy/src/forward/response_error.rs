//! Why a response of an origin is not forwarded.

/// Why a response is not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum ResponseError {
    /// More bytes of header sections than `max_response_header_bytes`.
    Bytes,
    /// More fields in a header section than `max_response_headers`.
    Fields,
    /// More reads for a header section than `max_response_header_reads`.
    Drip,
    /// More interim responses than `max_interim_responses`.
    Interim,
    /// It is no HTTP/1 header section, or has a line end that is not CRLF.
    Syntax,
    /// More than one length, a length beside chunks, an encoding other than `chunked`, or a
    /// malformed chunk before anything was sent.
    Framing,
    /// A switch of protocols that the client did not ask for.
    Upgrade,
}

impl ResponseError {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Bytes,
        Self::Fields,
        Self::Drip,
        Self::Interim,
        Self::Syntax,
        Self::Framing,
        Self::Upgrade,
    ];

    /// Returns its name in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Fields => "fields",
            Self::Drip => "drip",
            Self::Interim => "interim",
            Self::Syntax => "syntax",
            Self::Framing => "framing",
            Self::Upgrade => "upgrade",
        }
    }

    /// Returns whether the response exceeds a limit. A client can cause that with its request, so
    /// it shows nothing about the origin.
    pub(crate) const fn is_limit(self) -> bool {
        matches!(self, Self::Bytes | Self::Fields | Self::Drip | Self::Interim)
    }
}
