//! Numbers by which the tables of a program name each other's rows.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $($(#[$doc])* #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);)*
    };
}

ids! {
    /// A condition.
    CondId
    /// A primitive test.
    AtomId
    /// A value to be looked up or computed.
    OperandId
    /// A list.
    ListId
    /// An extern.
    ExternId
}

/// How bad it is: 0 is `normal`, declared levels count from 1 in the order of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LevelId(pub u16);
