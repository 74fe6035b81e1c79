//! The macro that declares limits: one line for the type, unit, default and range of each.
//!
//! The structs, their defaults and the table for the parser, the documentation and the schema come
//! from the same line, so they cannot differ from each other.

/// Converts a declared unit to its factor, and a declared default to its number.
macro_rules! scale {
    () => {
        1
    };
    (ms) => {
        1
    };
    (s) => {
        1_000
    };
    (min) => {
        60_000
    };
    (h) => {
        3_600_000
    };
    (KiB) => {
        1_024
    };
    (MiB) => {
        1_048_576
    };
    (none) => {
        None
    };
    ($number:literal) => {
        Some($number)
    };
    ($number:literal $unit:ident) => {
        Some($number * crate::declare::scale!($unit))
    };
}

/// Declares the sections of limits: `name: type, unit = default, least ..= most;` for each limit.
macro_rules! limits {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $struct:ident {
            $(
                $(#[doc = $doc:literal])+
                $name:ident: $type:ty, $unit:ident = $default:tt $($default_unit:ident)?,
                $min:literal $($min_unit:ident)? ..= $max:literal $($max_unit:ident)?;
            )+
        }
    )+) => {
        /// Every limit that the configuration file can set.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $section_doc])+ pub $section: $struct,)+
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $struct {
                $($(#[doc = $doc])+ pub $name: $type,)+
            }

            impl Default for $struct {
                fn default() -> Self {
                    Self {
                        $($name: <$type as crate::setting::Value>::from_number(
                            crate::declare::scale!($default $($default_unit)?),
                        ),)+
                    }
                }
            }
        )+

        /// Every section of limits with its description.
        pub(crate) const LIMIT_SECTIONS: &[(&str, &str)] =
            &[$((stringify!($section), concat!($($section_doc),+)),)+];

        /// Every limit, in the order of the declaration.
        pub const LIMITS: &[crate::setting::Limit] = &[$($({
            const NUMBER: crate::setting::Number = crate::setting::Number {
                unit: crate::setting::Unit::$unit,
                default: crate::declare::scale!($default $($default_unit)?),
                min: $min * crate::declare::scale!($($min_unit)?),
                max: $max * crate::declare::scale!($($max_unit)?),
            };
            crate::setting::Limit {
                key: crate::setting::Key {
                    section: stringify!($section),
                    name: stringify!($name),
                    kind: crate::setting::Kind::Number(NUMBER),
                    doc: concat!($($doc),+),
                },
                number: NUMBER,
                set: |limits, number| {
                    limits.$section.$name = crate::setting::Value::from_number(Some(number));
                },
                get: |limits| crate::setting::Value::number(&limits.$section.$name),
            }
        },)+)+];
    };
}

pub(crate) use {limits, scale};
