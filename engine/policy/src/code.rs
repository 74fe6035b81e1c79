//! The numbers of all complaints, in one table.
//!
//! A number never changes its meaning and is never used again; each has a page in
//! `docs/language/` and a case in `tests/corpus/diagnostics/`. The first letter says who complains:
//! P the parser, N names, T types, C the checks, S sources, M members.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $id:literal;)*) => {
        /// The number of a complaint.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every number, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it is shown: a letter and three digits.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }
        }
    };
}

codes! {
    /// Something else stands where the grammar wants one of a few things.
    Unexpected = "P001";
    /// A token that is no token: an unclosed string, a bad address, a stray character.
    BadToken = "P002";
    /// A block that is never closed.
    UnclosedBlock = "P003";
    /// A clause that may stand once stands twice.
    ClauseTwice = "P004";
    /// The first line does not say which language version the file uses.
    NoVersion = "P005";
    /// The file uses a version that this program does not know.
    OtherVersion = "P006";
    /// The file is not valid UTF-8, or holds a NUL byte.
    NotText = "P007";
    /// Larger than a named limit: the file, a string, the nesting.
    TooLarge = "P008";
    /// `=` where a comparison is meant.
    SingleEquals = "P010";
    /// `and` and `or` mixed without parentheses.
    MixedLogic = "P011";
    /// `&&`, `||`, `!` and other signs of other languages.
    ForeignSign = "P012";
    /// A number that does not fit its type.
    NumberRange = "P013";
    /// A date that no calendar has.
    BadDate = "P014";
    /// A word where an action should stand.
    UnknownAction = "P020";
    /// Two final actions, or an effect behind a final one.
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
    /// The name is taken.
    DuplicateName = "N010";
    /// The name is a word of the language.
    ReservedName = "N011";

    /// The two sides have different types.
    Mismatch = "T001";
    /// The operator does not fit the type.
    OperatorType = "T002";
    /// A condition that is neither true nor false.
    NotBool = "T003";
    /// An address compared with a network.
    AddressNetwork = "T004";
    /// A function with other arguments than it takes.
    Arguments = "T005";
    /// A rate whose window is not its track's.
    Window = "T006";
    /// A function asks for what the track does not count.
    NotCounted = "T010";
    /// A regular expression that does not compile.
    Regex = "T011";
    /// A value out of its range: a status, a percentage, a length.
    OutOfRange = "T012";
    /// A field that only an answer has, outside `on response`.
    ResponseOnly = "T013";
    /// A condition that may not read this.
    Forbidden = "T014";

    /// A clause that must be there is missing.
    MissingClause = "C001";
    /// A statement where it may not stand.
    Misplaced = "C002";
    /// `allow` in `floor`, a refusal in `guarantee`.
    WrongAction = "C003";
    /// A rule that can never act.
    Unreachable = "C004";
    /// Thresholds that do not descend.
    Thresholds = "C005";
    /// More than a limit of the language allows.
    TooMany = "C006";
    /// The date has passed.
    Expired = "C007";
    /// An action that this version judges but cannot enforce yet.
    NotEnforced = "C009";
    /// A case that never occurs: `ua contains "Bot"` misses `bot`.
    CaseTrap = "C010";
    /// `!=` on a field that may be absent, in a rule that refuses.
    AbsentTrap = "C011";
    /// `allow` that rests on something that anybody can claim.
    ForgeableAllow = "C012";
    /// A guarantee without a narrow condition.
    BroadGuarantee = "C013";
    /// A field whose source is not configured.
    NoSource = "C014";
    /// A rule that is evaluated for every request.
    EveryRequest = "C015";
    /// A small limit counted by network.
    NetKey = "C016";
    /// A key that may be absent: all absentees count as one.
    AbsentKey = "C017";
    /// Host bits were set in a network.
    HostBits = "C018";
    /// The memory of all counters.
    Memory = "C019";
    /// More values in rules than an index may hold.
    IndexTooLarge = "C020";
    /// A refusal that holds because a source is missing.
    RestsOnMissing = "C021";
    /// A condition that no request can meet, or that every one does.
    NeverHolds = "C022";

    /// A file that cannot be read.
    SourceMissing = "S001";
    /// A file that is larger than it may be.
    SourceTooLarge = "S002";
    /// A path that leaves the policy root.
    SourceOutside = "S003";
    /// A line of a list that is no element.
    ListLine = "S004";
    /// A list with more elements than its `max`.
    ListTooLong = "S005";
    /// Includes that lead back to themselves.
    IncludeCycle = "S006";
    /// A component that the sandbox refuses.
    Component = "S007";
    /// A component whose function does not match its `extern`.
    Signature = "S008";
    /// A component whose digest is not the one that the policy names.
    Digest = "S009";
    /// A component that nobody whom the host trusts has signed.
    Unsigned = "S010";
    /// A component that does not pass one of its own cases.
    ComponentCase = "S011";
    /// An entry of a list that is wider than any network of one owner.
    WideEntry = "S012";
    /// A last line of a list file without its end.
    CutOffList = "S013";
    /// A list file that has shrunk by more than half.
    ShrunkList = "S014";
    /// A list of clients to refuse that holds addresses that must stay let in.
    GuardedAddress = "S015";
    /// A list that is too large to look for its elements in texts.
    SearchTooLarge = "S016";

    /// A host that is not the member's.
    MemberHost = "M001";
    /// A member uses what `may` does not grant.
    MemberMay = "M002";
    /// A member uses more than the quota.
    MemberQuota = "M003";
    /// A member's path leaves the member's directory.
    MemberPath = "M004";
    /// A host that no site of the configuration serves, or that of another member.
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
