//! The parts of a comparison: the texts that the value must contain, and their positions.

use std::borrow::Cow;

use seawall_policy::syntax::ast::OpKind;

/// What the value must contain.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pieces<'p> {
    /// Texts at any position.
    pub(super) parts: Vec<Cow<'p, str>>,
    /// A text at its start.
    pub(super) head: Option<Cow<'p, str>>,
    /// A text at its end.
    pub(super) tail: Option<Cow<'p, str>>,
    /// The whole text.
    pub(super) whole: Option<&'p str>,
}

impl Pieces<'_> {
    /// Returns whether one of the required texts has a property.
    pub(super) fn has(&self, is: impl Fn(&str) -> bool) -> bool {
        self.parts.iter().any(|part| is(part))
    }

    /// Returns whether the whole value must be this text.
    pub(super) fn is_whole(&self, text: &str) -> bool {
        self.whole == Some(text)
    }
}

/// Splits a comparison; `None` if not all of its texts are required.
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

/// Returns the required texts of a regular expression: runs of letters and of characters after `\`.
/// Brackets, and expressions with `|`, are not examined.
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
                // The rest can belong to a group.
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

/// The state while a regular expression is read.
#[derive(Default)]
struct Reader {
    parts: Vec<String>,
    run: String,
    /// Whether anything precedes the end of the first run.
    has_begun: bool,
    /// Whether the first run is at the start of the expression.
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

    /// Marks the previous character as optional.
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

/// Returns the first `%` with two hexadecimal digits after it.
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
