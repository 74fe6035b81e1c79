//! The result of a call.

/// The result of a WASM rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallValue {
    /// A `bool`.
    Bool(bool),
    /// An `s64`.
    Int(i64),
    /// A `text`: any bytes, at most `text_result_bytes_max`.
    Text(Vec<u8>),
}

/// The displayed form: a text is in quotes, and unprintable characters are escaped.
impl std::fmt::Display for CallValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Text(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
        }
    }
}
