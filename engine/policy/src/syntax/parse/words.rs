//! The keywords of the language, by context.
//!
//! Only words that end a condition are reserved. The grammar accepts them as names where the
//! meaning is clear, and the checker rejects them there.

/// Keywords at the top level of a file.
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

/// Keywords of statements in a layer.
pub(super) const STATEMENTS: &[&str] =
    &["rule", "limit", "track", "list", "let", "shadow", "under", "decide", "adjust", "disable"];

/// Keywords of actions.
pub(super) const ACTIONS: &[&str] =
    &["allow", "block", "drop", "ban", "challenge", "throttle", "tarpit", "tag", "score", "log"];

/// Words that end a condition and are therefore invalid as names.
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

/// Returns whether a word at the start of a line begins an item or a statement.
pub(super) fn begins_statement(word: &str) -> bool {
    ITEMS.contains(&word) || STATEMENTS.contains(&word)
}

/// Returns whether a word at the start of a line is valid only at the top level of a file.
pub(super) fn begins_item_only(word: &str) -> bool {
    ITEMS.contains(&word) && !STATEMENTS.contains(&word)
}

/// Returns whether a word ends a condition.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// Returns the action that has this name in other tools.
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

/// Returns the comparison that has this name in other tools.
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
