//! The words of the language, by the place where they mean something.
//!
//! Few words are reserved: those that end a condition. The grammar takes them for names where
//! nothing else could be meant, and the checker refuses them there.

/// What stands at the top of a file.
pub(super) const ITEMS: &[&str] = &[
    "include",
    "member",
    "level",
    "extern",
    "guarantee",
    "floor",
    "defaults",
    "site",
    "test",
    "let",
    "list",
    "track",
];

/// What stands inside a layer.
pub(super) const STATEMENTS: &[&str] =
    &["rule", "limit", "track", "list", "let", "shadow", "under", "decide", "adjust", "disable"];

/// What an action begins with.
pub(super) const ACTIONS: &[&str] =
    &["allow", "block", "drop", "ban", "challenge", "throttle", "tarpit", "tag", "score", "log"];

/// Words that end a condition, so that nothing can be named by one of them.
pub const RESERVED: &[&str] = &[
    "and",
    "or",
    "not",
    "in",
    "is",
    "contains",
    "starts_with",
    "ends_with",
    "like",
    "matches",
    "nocase",
    "when",
    "unless",
    "where",
    "then",
    "otherwise",
    "per",
    "to",
    "over",
    "keys",
    "hold",
    "note",
    "expires",
    "count",
    "on",
    "sustained",
    "enter",
    "leave",
    "by",
];

/// Whether a word at the start of a line begins an item or a statement.
pub(super) fn begins_statement(word: &str) -> bool {
    ITEMS.contains(&word) || STATEMENTS.contains(&word)
}

/// Whether a word at the start of a line can only stand at the top of a file.
pub(super) fn begins_item_only(word: &str) -> bool {
    ITEMS.contains(&word) && !STATEMENTS.contains(&word)
}

/// Whether a word ends a condition.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// The action that other tools call by this word.
pub(super) fn action_elsewhere(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "deny" | "reject" | "forbid" | "refuse" | "return" => "block",
        "captcha" | "js_challenge" | "managed_challenge" | "interactive_challenge" => "challenge",
        "accept" | "pass" | "permit" | "skip" | "bypass" => "allow",
        "silent-drop" | "silent_drop" => "drop",
        "rate_limit" | "ratelimit" | "rate-limit" => "throttle",
        "weigh" => "score",
        _ => return None,
    })
}

/// The comparison that other tools call by this word.
pub(super) fn comparison_elsewhere(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "eq" | "equals" | "equal" => "==",
        "ne" | "neq" => "!=",
        "lt" => "<",
        "le" => "<=",
        "gt" => ">",
        "ge" => ">=",
        "wildcard" | "glob" => "like",
        "regex" | "match" => "matches",
        "include" | "includes" => "contains",
        "beg" => "starts_with",
        _ => return None,
    })
}
