//! Values that a path never has: it is decoded once, normalized, and ends before the `?`.

use seawall_policy::schema::{Asked, Mend, Never};
use seawall_policy::syntax::ast::OpKind;

use super::pieces::{Pieces, is_escape};
use super::{escaped, never};

/// Endings of scripts and pages, which no host has.
const ENDINGS: [&str; 10] =
    [".php", ".html", ".htm", ".cgi", ".asp", ".aspx", ".jsp", ".xml", ".txt", ".js"];

pub(super) fn path(asked: &Asked<'_>, of: &Pieces<'_>) -> Option<Never> {
    if let Some(said) = of_target(asked, of) {
        return Some(said);
    }
    let raw = || Mend::Left("raw_path".to_owned());
    if of.has(|part| part.contains("//")) {
        return never(
            "`//` in a path is merged before evaluation",
            "write one `/`, or use `raw_path`, which is as received",
            raw(),
        );
    }
    if has_dots(of) {
        return never(
            "`.` and `..` in a path are resolved before evaluation; the response to `..` above the \
             root is 400",
            "use `raw_path`, which is as received",
            raw(),
        );
    }
    let found = of.parts.iter().find_map(|part| escape_in(part))?;
    if found.eq_ignore_ascii_case("%2f") {
        if asked.nocase || asked.op == OpKind::Matches {
            return None;
        }
        return never(
            "an escaped `/` is kept as `%2F`, in upper case",
            "write `%2F`",
            Mend::Text(asked.text.replace("%2f", "%2F")),
        );
    }
    never(
        "`path` is decoded: an escape occurs only if it was escaped twice",
        "write the character itself, or use `raw_path`, which is as received",
        raw(),
    )
}

pub(super) fn raw_path(asked: &Asked<'_>, of: &Pieces<'_>) -> Option<Never> {
    if let Some(said) = of_target(asked, of) {
        return Some(said);
    }
    of.has(|part| part.contains(['<', '>', '`', ' ', '#'])).then_some(Never {
        why: "these characters must be escaped: the response to an unescaped one is 400",
        help: "write it escaped, as in `%3C`, or use `path`, which is decoded",
        mend: Mend::Left("path".to_owned()),
    })
}

/// Checks what is valid for the raw path too: no scheme, no host, no query, and a `/` at the start.
fn of_target(asked: &Asked<'_>, of: &Pieces<'_>) -> Option<Never> {
    let has_scheme = of.has(|part| part.contains("://"));
    if has_scheme {
        return never(
            "a path has neither scheme nor host",
            "test both: `host == \"…\" and path starts_with \"/…\"`",
            from_url(asked),
        );
    }
    if of.has(|part| part.contains('?')) {
        return never(
            "a path ends before the `?`",
            "use `query_string` or `query(\"NAME\")` for the text after it, or `query_string is \
             present`",
            from_target(asked),
        );
    }
    let head = of.head.as_deref()?;
    if head.starts_with('/') || head == "*" || (head.is_empty() && of.whole.is_none()) {
        return None;
    }
    never(
        "a path begins with a `/`",
        "write the `/`, and test the host separately: `host == \"…\"`",
        rooted(asked, head),
    )
}

/// Returns `https://alice.example/a` as two comparisons.
fn from_url(asked: &Asked<'_>) -> Mend {
    let is_plain = matches!(asked.op, OpKind::Eq | OpKind::StartsWith);
    let Some((_, after)) = asked.text.split_once("://").filter(|_| is_plain) else {
        return Mend::Nothing;
    };
    let at = after.find('/').unwrap_or(after.len());
    let Some((host, path)) = after.split_at_checked(at) else { return Mend::Nothing };
    if host.is_empty() || path.contains('?') || host.contains(['*', '?']) {
        return Mend::Nothing;
    }
    let host = escaped(host.split(':').next().unwrap_or(host));
    if asked.op == OpKind::StartsWith && matches!(path, "" | "/") {
        return Mend::Whole(format!("host == \"{host}\""));
    }
    let path = if path.is_empty() { "/" } else { path };
    Mend::Whole(format!("host == \"{host}\" and {} \"{}\"", compares(asked.op), escaped(path)))
}

const fn compares(op: OpKind) -> &'static str {
    match op {
        OpKind::StartsWith => "path starts_with",
        OpKind::EndsWith => "path ends_with",
        OpKind::Contains => "path contains",
        _ => "path ==",
    }
}

/// Returns `/search?q=x` as two comparisons.
fn from_target(asked: &Asked<'_>) -> Mend {
    let Some((path, query)) = asked.text.split_once('?') else { return Mend::Nothing };
    let (path, query) = (escaped(path), escaped(query));
    // If text follows the `?`, the path ends there.
    let before = match asked.op {
        OpKind::Eq | OpKind::StartsWith => format!("path == \"{path}\""),
        OpKind::EndsWith | OpKind::Contains => format!("path ends_with \"{path}\""),
        _ => return Mend::Nothing,
    };
    let behind = match asked.op {
        _ if query.is_empty() => "query_string is present".to_owned(),
        OpKind::Eq | OpKind::EndsWith => format!("query_string == \"{query}\""),
        _ => format!("query_string starts_with \"{query}\""),
    };
    let with_scheme = path.contains("://") || query.contains(['<', '>', ' ', '?']);
    match (path.is_empty(), asked.op) {
        _ if with_scheme => Mend::Nothing,
        (true, OpKind::Contains | OpKind::EndsWith) if !query.is_empty() => Mend::Whole(behind),
        // `is present` alone matches many more requests, so its author must decide.
        (true, _) => Mend::Nothing,
        (false, _) => Mend::Whole(format!("{before} and {behind}")),
    }
}

/// Returns the text with a `/` unless it looks like a host.
fn rooted(asked: &Asked<'_>, head: &str) -> Mend {
    let text = asked.text;
    if text.is_empty() {
        return Mend::Text("/".to_owned());
    }
    if asked.op == OpKind::Matches {
        let at = text.find('^').filter(|at| text.get(at.saturating_add(1)..).is_some());
        return match at {
            Some(_) => Mend::Text(text.replacen('^', "^/", 1)),
            None => Mend::Nothing,
        };
    }
    let first = head.split('/').next().unwrap_or(head);
    let is_script = ENDINGS.iter().any(|ending| first.ends_with(ending));
    match text.split_once('/') {
        Some((host, path)) if first.contains('.') && !is_script && !text.contains(['*', '?']) => {
            let (host, path) = (escaped(host), escaped(path));
            Mend::Whole(format!("host == \"{host}\" and {} \"/{path}\"", compares(asked.op)))
        }
        _ => Mend::Text(format!("/{text}")),
    }
}

/// Returns whether a segment is `.` or `..`.
fn has_dots(of: &Pieces<'_>) -> bool {
    let inside = |part: &str| {
        ["/../", "/./"].iter().any(|dots| part.contains(dots)) || part.starts_with("../")
    };
    let at_end =
        of.tail.as_deref().is_some_and(|tail| tail.ends_with("/..") || tail.ends_with("/."));
    of.has(inside) || at_end
}

/// Returns an escape in a text. `%2F` is excluded, because an escaped `/` stays as it is.
fn escape_in(text: &str) -> Option<String> {
    let rest = text.replace("%2F", "");
    is_escape(&rest).map(str::to_owned)
}
