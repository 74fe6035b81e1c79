//! The codes of all diagnostics, in one table.
//!
//! A code never changes its meaning and is never used again. Each code has a section in
//! `docs/language/` and an example in `tests/corpus/diagnostics/`. The first letter names the
//! source: P the parser, N names, T types, C the checks, S sources, M members.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $id:literal;)*) => {
        /// The code of a diagnostic.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the displayed form: a letter and three digits.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }
        }
    };
}

codes! {
    /// The text does not match the grammar.
    Unexpected = "P001";
    /// An invalid token: an unclosed string, an invalid address, an unexpected character.
    BadToken = "P002";
    /// A block that is never closed.
    UnclosedBlock = "P003";
    /// A clause that may occur once occurs twice.
    ClauseTwice = "P004";
    /// The first line does not name the language version.
    NoVersion = "P005";
    /// The file uses a language version that this program does not support.
    OtherVersion = "P006";
    /// The file is not valid UTF-8, or holds a NUL byte.
    NotText = "P007";
    /// Above a limit: the size of the file, the length of a string, the nesting.
    TooLarge = "P008";
    /// `=` instead of a comparison operator.
    SingleEquals = "P010";
    /// `and` and `or` mixed without parentheses.
    MixedLogic = "P011";
    /// `&&`, `||`, `!` and other operators of other languages.
    ForeignSign = "P012";
    /// A number that does not fit its type.
    NumberRange = "P013";
    /// A date that does not exist.
    BadDate = "P014";
    /// A word that is not an action, at the position of an action.
    UnknownAction = "P020";
    /// Two final actions, or an effect after a final action.
    ActionOrder = "P021";

    /// No such field.
    UnknownField = "N001";
    /// No such track.
    UnknownTrack = "N002";
    /// No such list.
    UnknownList = "N003";
    /// No such function.
    UnknownFunction = "N004";
    /// No such word in this enumeration.
    UnknownWord = "N005";
    /// No such level.
    UnknownLevel = "N006";
    /// No such rule or limit.
    UnknownRule = "N007";
    /// No such `let`.
    UnknownLet = "N009";
    /// The name is already used.
    DuplicateName = "N010";
    /// The name is a keyword.
    ReservedName = "N011";

    /// The two sides have different types.
    Mismatch = "T001";
    /// The operator does not fit the type.
    OperatorType = "T002";
    /// A condition that is not a Boolean.
    NotBool = "T003";
    /// An address compared with a network.
    AddressNetwork = "T004";
    /// Wrong arguments of a function.
    Arguments = "T005";
    /// A rate with a window other than that of its track.
    Window = "T006";
    /// A function that reads a value that the track does not count.
    NotCounted = "T010";
    /// A regular expression that does not compile.
    Regex = "T011";
    /// A value out of its range: a status, a percentage, a length.
    OutOfRange = "T012";
    /// A field of the response, outside `on response`.
    ResponseOnly = "T013";
    /// A condition reads something that it may not read.
    Forbidden = "T014";

    /// A mandatory clause is missing.
    MissingClause = "C001";
    /// A statement in a block that does not allow it.
    Misplaced = "C002";
    /// `allow` in `floor`, or a rejecting action in `guarantee`.
    WrongAction = "C003";
    /// A rule that can never act.
    Unreachable = "C004";
    /// Thresholds in other than descending order.
    Thresholds = "C005";
    /// Above a limit of the language.
    TooMany = "C006";
    /// The date is in the past.
    Expired = "C007";
    /// An action that this version evaluates but cannot enforce yet.
    NotEnforced = "C009";
    /// Upper or lower case that never occurs: `ua contains "Bot"` misses `bot`.
    CaseTrap = "C010";
    /// `!=` on a field that may be absent, in a rule that rejects.
    AbsentTrap = "C011";
    /// `allow` that depends on a value that any client can send.
    ForgeableAllow = "C012";
    /// A guarantee without a narrow condition.
    BroadGuarantee = "C013";
    /// A field whose source is not configured.
    NoSource = "C014";
    /// A rule that is evaluated for every request.
    EveryRequest = "C015";
    /// A small limit counted by network.
    NetKey = "C016";
    /// A key that may be absent: all requests without it share one counter.
    AbsentKey = "C017";
    /// A network with bits set behind the prefix.
    HostBits = "C018";
    /// The memory of all counters.
    Memory = "C019";
    /// More values in rules than an index can hold.
    IndexTooLarge = "C020";
    /// A rejecting rule whose condition holds because a source is missing.
    RestsOnMissing = "C021";
    /// A condition that no request meets, or that every request meets.
    NeverHolds = "C022";

    /// A file that cannot be read.
    SourceMissing = "S001";
    /// A file above its size limit.
    SourceTooLarge = "S002";
    /// A path that leaves the policy root.
    SourceOutside = "S003";
    /// A line of a list that is not a valid element.
    ListLine = "S004";
    /// A list with more elements than its `max`.
    ListTooLong = "S005";
    /// Includes that lead back to themselves.
    IncludeCycle = "S006";
    /// A component that cannot be loaded.
    Component = "S007";
    /// A component whose function does not match its `extern`.
    Signature = "S008";
    /// A component whose digest differs from the digest in the policy.
    Digest = "S009";
    /// A component without a signature by a trusted key.
    Unsigned = "S010";
    /// A component that fails one of its component tests.
    ComponentCase = "S011";
    /// A list entry that is wider than any network of one owner.
    WideEntry = "S012";
    /// The last line of a list file has no line end.
    CutOffList = "S013";
    /// A list file that shrank by more than half.
    ShrunkList = "S014";
    /// A list of clients to reject that contains protected addresses.
    GuardedAddress = "S015";
    /// A list that is too large for a text search.
    SearchTooLarge = "S016";

    /// A host that does not belong to the member.
    MemberHost = "M001";
    /// A member uses a feature that `may` does not grant.
    MemberMay = "M002";
    /// A member exceeds the quota.
    MemberQuota = "M003";
    /// A member's path leaves the member's directory.
    MemberPath = "M004";
    /// A host that no site of the configuration has, or that belongs to another member.
    UnservedHost = "M005";
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn every_number_is_used_once_and_has_its_form() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            let text = code.as_str();
            assert!(seen.insert(text), "{text} twice");
            assert!(text.len() == 4 && text.as_bytes()[1..].iter().all(u8::is_ascii_digit));
        }
    }
}
