//! What is known of one setting: its unit, its range, its default and its description.

use std::time::Duration;

/// What the number of a setting measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count of things.
    Count,
    /// A part of a hundred.
    Percent,
    /// The length of a network prefix.
    Bits,
    /// Events in a second.
    PerSecond,
    /// Bytes; the file may say `"64KiB"`.
    Bytes,
    /// Bytes in a second; the file may say `"10MiB"`.
    BytesPerSecond,
    /// Fuel of the evaluation; a unit takes about a nanosecond.
    Fuel,
    /// A duration, which is kept in milliseconds; the file says `"10s"`.
    Time,
}

/// The numbers that a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// What they measure.
    pub unit: Unit,
    /// The number if the file does not set one; `None` is for a limit that is off.
    pub default: Option<u64>,
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

/// What the value of a key is.
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
    /// Its section, without brackets.
    pub section: &'static str,
    /// Its name in the section.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What it does, in one or more sentences.
    pub doc: &'static str,
}

/// A limit: a key whose number is a field of [`Limits`](crate::Limits).
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The key.
    pub key: Key,
    /// The numbers that it takes.
    pub number: Number,
    pub(crate) set: fn(&mut crate::Limits, u64),
    pub(crate) get: fn(&crate::Limits) -> Option<u64>,
}

/// A type that the number of a limit can have.
pub(crate) trait Value {
    fn from_number(number: Option<u64>) -> Self;
    fn number(&self) -> Option<u64>;
}

/// A whole number; the range of each limit fits into its type, which a test checks.
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
