//! The parameters and the result of a function, in the types of the policy language.
//!
//! `text`, `address` and `headers` are all `list<u8>` in a component: the names are aliases, which
//! leave no trace in its types. Reflection therefore returns [`ParamKind::Bytes`], and bytes match
//! any of the three. A rule whose `extern` swaps two of them is bound, and misreads its arguments;
//! its component tests show that.

use std::fmt;

/// The kind of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParamKind {
    /// `bool`
    Bool,
    /// `s64`
    Int,
    /// Bytes of a text.
    Text,
    /// 4 or 16 bytes of an address.
    Address,
    /// All header fields, packed.
    Headers,
    /// Bytes whose alias reflection does not show.
    Bytes,
}

impl ParamKind {
    fn is_bytes(self) -> bool {
        matches!(self, Self::Text | Self::Address | Self::Headers | Self::Bytes)
    }

    fn fits(self, other: Self) -> bool {
        let unseen = self == Self::Bytes || other == Self::Bytes;
        self == other || (unseen && self.is_bytes() && other.is_bytes())
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Text => "string",
            Self::Address => "ip",
            Self::Headers => "headers",
            Self::Bytes => "bytes",
        }
    }
}

/// The kind of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResultKind {
    /// `bool`
    Bool,
    /// `s64`
    Int,
    /// Bytes of a text.
    Text,
}

impl ResultKind {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Text => "string",
        }
    }
}

/// A function's name, parameters and result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    /// The name of the export, with `-`.
    pub name: Box<str>,
    /// The parameters, in order.
    pub params: Vec<ParamKind>,
    /// The result.
    pub result: ResultKind,
}

impl Signature {
    /// Most parameters of a function.
    pub const PARAMS_MAX: usize = 6;

    /// Returns whether a function with this signature matches the declaration `other`. Names are
    /// not compared.
    #[must_use]
    pub fn fits(&self, other: &Self) -> bool {
        self.result == other.result
            && self.params.len() == other.params.len()
            && self.params.iter().zip(&other.params).all(|(a, b)| a.fits(*b))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params: Vec<_> = self.params.iter().map(|kind| kind.word()).collect();
        write!(f, "{}({}) -> {}", self.name, params.join(", "), self.result.word())
    }
}
