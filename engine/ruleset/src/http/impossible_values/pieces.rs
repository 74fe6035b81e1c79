//! What a comparison asks for, taken apart: texts that the value must hold, and where.

use std::borrow::Cow;

use seawall_policy::syntax::ast::OpKind;

/// What the value must hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pieces<'p> {
    /// Somewhere.
    pub(super) parts: Vec<Cow<'p, str>>,
    /// At its beginning.
    pub(super) head: Option<Cow<'p, str>>,
    /// At its end.
    pub(super) tail: Option<Cow<'p, str>>,
    /// As a whole.
    pub(super) whole: Option<&'p str>,
}

impl Pieces<'_> {
    /// Whether one of the texts that it must hold is so.
    pub(super) fn has(&self, is: impl Fn(&str) -> bool) -> bool {
        self.parts.iter().any(|part| is(part))
    }

    /// Whether it is asked to be this as a whole.
    pub(super) fn is_whole(&self, text: &str) -> bool {
        self.whole == Some(text)
    }
}

/// Takes a comparison apart; `None` where not all that it asks for must be in the value.
pub(super) fn pieces(op: OpKind, text: &str) -> Option<Pieces<'_>> {
    let part = || Cow::Borrowed(text);
    let parts = vec![part()];
    Some(match op {
        OpKind::Eq => Pieces { parts, head: Some(part()), tail: Some(part()), whole: Some(text) },
        OpKind::Contains => Pieces { parts, ..Pieces::default() },
        OpKind::StartsWith => Pieces { parts, head: Some(part()), ..Pieces::default() },
        OpKind::EndsWith => Pieces { parts, tail: Some(part()), ..Pieces::default() },
        OpKind::Like => glob(text),
        OpKind::Matches => return regex(text),
        _ => return None,
    })
}

fn glob(text: &str) -> Pieces<'_> {
    let is_wild = |c: char| matches!(c, '*' | '?');
    let parts: Vec<Cow<'_, str>> =
        text.split(is_wild).filter(|part| !part.is_empty()).map(Cow::Borrowed).collect();
    let head = (!text.starts_with(is_wild)).then(|| parts.first().cloned()).flatten();
    let tail = (!text.ends_with(is_wild)).then(|| parts.last().cloned()).flatten();
    Pieces { parts, head, tail, whole: None }
}

/// The texts of a regular expression that must be there: runs of letters and of signs behind `\`.
/// What stands in brackets, and one with `|`, is not looked into.
fn regex(text: &str) -> Option<Pieces<'_>> {
    let mut rest = text;
    while let Some(flags) = rest.strip_prefix("(?").and_then(|rest| rest.split_once(')')) {
        if flags.0.contains([':', '<', 'P', 'x']) {
            break;
        }
        rest = flags.1;
    }
    if rest.contains('|') {
        return None;
    }
    let is_anchored = rest.starts_with('^');
    let mut reader = Reader::default();
    let mut chars = rest.strip_prefix('^').unwrap_or(rest).chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                sign if sign.is_ascii_punctuation() => reader.push(sign),
                _ => reader.end(),
            },
            '*' | '?' | '{' => reader.may_be_missing(),
            '+' => reader.end(),
            '(' | '[' => {
                // What follows may be a part of it.
                reader.end();
                return Some(reader.finish(is_anchored));
            }
            '.' | ')' | ']' | '}' | '^' => reader.end(),
            '$' => reader.is_at_end = true,
            c => reader.push(c),
        }
    }
    Some(reader.finish(is_anchored))
}

/// What was read of a regular expression so far.
#[derive(Default)]
struct Reader {
    parts: Vec<String>,
    run: String,
    /// Something stood before the first run, or the run did.
    has_begun: bool,
    /// The first run begins the expression.
    first_leads: bool,
    is_at_end: bool,
}

impl Reader {
    fn push(&mut self, c: char) {
        if !self.has_begun {
            (self.has_begun, self.first_leads) = (true, true);
        }
        self.run.push(c);
    }

    fn end(&mut self) {
        self.has_begun = true;
        let run = std::mem::take(&mut self.run);
        if !run.is_empty() {
            self.parts.push(run);
        }
    }

    /// The character before this need not be there.
    fn may_be_missing(&mut self) {
        self.run.pop();
        if self.run.is_empty() && self.parts.is_empty() {
            self.first_leads = false;
        }
        self.end();
    }

    fn finish<'p>(mut self, is_anchored: bool) -> Pieces<'p> {
        let last = (self.is_at_end && !self.run.is_empty()).then(|| self.run.clone());
        self.end();
        let leads = is_anchored && self.first_leads;
        let head = self.parts.first().filter(|_| leads).cloned();
        Pieces {
            parts: self.parts.into_iter().map(Cow::Owned).collect(),
            head: head.map(Cow::Owned),
            tail: last.map(Cow::Owned),
            whole: None,
        }
    }
}

/// The first `%` with two hexadecimal digits behind it.
pub(super) fn is_escape(text: &str) -> Option<&str> {
    let is_hex = |escape: &&str| escape.bytes().skip(1).all(|byte| byte.is_ascii_hexdigit());
    let mut each = text.match_indices('%').filter_map(|(at, _)| text.get(at..at.saturating_add(3)));
    each.find(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(op: OpKind, text: &str) -> String {
        let Some(of) = pieces(op, text) else { return "none".to_owned() };
        let end = |end: &Option<Cow<'_, str>>| end.as_deref().unwrap_or("-").to_owned();
        format!("{} {} {}", of.parts.join(","), end(&of.head), end(&of.tail))
    }

    #[test]
    fn what_a_glob_must_find_is_between_its_signs() {
        for (glob, expected) in
            [("/a*.php", "/a,.php /a .php"), ("*a?b*", "a,b - -"), ("a", "a a a"), ("*", " - -")]
        {
            assert_eq!(shown(OpKind::Like, glob), expected, "{glob}");
        }
    }

    #[test]
    fn what_an_expression_must_find_is_what_it_cannot_leave_out() {
        for (pattern, expected) in [
            (r"^/a\.php\?q=", "/a.php?q= /a.php?q= -"),
            (r"^/search\??", "/search /search -"),
            (r"\.php$", ".php - .php"),
            (r"^x*y", "y - -"),
            (r"^ab?c", "a,c a -"),
            (r"a|\?", "none"),
            (r"(?i)^abc", "abc abc -"),
            (r"^(a|b)", "none"),
            (r"^(ab)?\?", " - -"),
            (r"^[a-z]\?", " - -"),
            (r"a.b", "a,b - -"),
            (r"a\d\?", "a,? - -"),
            (r"a+b", "a,b - -"),
        ] {
            assert_eq!(shown(OpKind::Matches, pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn an_escape_has_two_digits() {
        assert_eq!(is_escape("100% a%2fb"), Some("%2f"));
        assert_eq!(is_escape("100% %zz %4"), None);
    }
}
