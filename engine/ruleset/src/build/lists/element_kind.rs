//! The kinds of list elements, as far as their lines are parsed differently.

use seawall_policy::schema::{EnumId, Type};

/// The kind of the elements of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Addresses and networks.
    Nets,
    /// AS numbers.
    Asns,
    /// Words of an enumeration.
    Words(EnumId),
    /// Texts.
    Texts,
}

impl Kind {
    pub(super) const fn of(element: Type) -> Self {
        match element {
            Type::Ip | Type::Cidr => Self::Nets,
            Type::Asn => Self::Asns,
            Type::Enum(id) => Self::Words(id),
            _ => Self::Texts,
        }
    }
}
