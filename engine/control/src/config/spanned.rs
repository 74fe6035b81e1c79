//! Values as they are written, each with its place.

use serde::de::IgnoredAny;
use toml::Spanned;

/// A key of DESIGN §7 whose feature is not there yet. Whatever is written is refused.
pub(crate) type Unsupported = Option<Spanned<IgnoredAny>>;
/// A text with its place.
pub(crate) type SpannedString = Option<Spanned<String>>;
/// A list of texts, itself and each with its place.
pub(crate) type SpannedStrings = Option<Spanned<Vec<Spanned<String>>>>;
/// A whole number with its place.
pub(crate) type SpannedInteger = Option<Spanned<i64>>;
