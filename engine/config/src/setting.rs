//! The declaration of one setting: unit, range, default and description.

use std::time::Duration;

/// The unit of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count.
    Count,
    /// A percentage.
    Percent,
    /// The length of a network prefix.
    Bits,
    /// Events in a second.
    PerSecond,
    /// Bytes; the file may say `"64KiB"`.
    Bytes,
    /// Bytes in a second; the file may say `"10MiB"`.
    BytesPerSecond,
    /// Fuel of the evaluation; one unit is about a nanosecond.
    Fuel,
    /// A duration, stored in milliseconds; the file says `"10s"`.
    Time,
}

/// The valid numbers of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// The unit.
    pub unit: Unit,
    /// The number if the file does not set one; `None` if the limit is off by default.
    pub default: Option<u64>,
    /// The minimum.
    pub min: u64,
    /// The maximum.
    pub max: u64,
}

/// The kind of value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number in a range.
    Number(Number),
    /// `true` or `false`.
    Bool,
    /// A string.
    Text,
    /// One of these strings.
    Word(&'static [&'static str]),
    /// A list of strings.
    Texts,
    /// A list of sections of this name.
    Sections(&'static str),
}

/// One key of the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The section, without brackets.
    pub section: &'static str,
    /// The name in the section.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// The description, in one or more sentences.
    pub doc: &'static str,
}

/// A limit: a key whose number is a field of [`Limits`](crate::Limits).
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The key.
    pub key: Key,
    /// The valid numbers.
    pub number: Number,
    pub(crate) set: fn(&mut crate::Limits, u64),
    pub(crate) get: fn(&crate::Limits) -> Option<u64>,
}

/// A type for the number of a limit.
pub(crate) trait Value {
    fn from_number(number: Option<u64>) -> Self;
    fn number(&self) -> Option<u64>;
}

/// Implements the trait for whole numbers. A test checks that each range fits into its type.
macro_rules! whole_numbers {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn from_number(number: Option<u64>) -> Self {
                Self::try_from(number.unwrap_or_default()).unwrap_or(Self::MAX)
            }

            fn number(&self) -> Option<u64> {
                u64::try_from(*self).ok()
            }
        }
    )+};
}

whole_numbers!(u8, u32, u64, usize);

impl Value for Option<u64> {
    fn from_number(number: Option<u64>) -> Self {
        number
    }

    fn number(&self) -> Option<u64> {
        *self
    }
}

impl Value for Duration {
    fn from_number(number: Option<u64>) -> Self {
        Self::from_millis(number.unwrap_or_default())
    }

    fn number(&self) -> Option<u64> {
        u64::try_from(self.as_millis()).ok()
    }
}
