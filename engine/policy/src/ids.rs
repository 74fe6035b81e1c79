//! Indexes of the tables of a program.

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
    /// A value that is read or computed.
    OperandId
    /// A list.
    ListId
    /// An extern.
    ExternId
}

/// A level: 0 is `normal`; declared levels count from 1 in source order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LevelId(pub u16);
