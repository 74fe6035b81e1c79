//! Extracts literals of which a text must contain one to match a regular expression.
//!
//! The idea is that of RE2's FilteredRE2. All literals of all expressions are searched at once, and
//! an expression runs only if one of its literals was found.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Fewest bytes of a substring that the index searches.
pub const SUBSTRING_BYTES_MIN: usize = 3;

/// Most literals of one expression. With more, the search does not pay off.
const LITERALS_MAX: usize = 64;

/// The literals that a part of an expression requires.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RequiredLiteral {
    /// No known literal is required.
    Nothing,
    /// One of these literals, in ASCII lower case.
    OneOf(Vec<Vec<u8>>),
}

/// Returns literals in lower case. A text must contain one of them, in any case, to match
/// `pattern`. Returns `None` if there is no such set that pays off.
#[must_use]
pub fn must_contain(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
    match need(&parser.parse(pattern).ok()?) {
        RequiredLiteral::OneOf(all) if all.iter().all(|one| one.len() >= SUBSTRING_BYTES_MIN) => {
            Some(all)
        }
        _ => None,
    }
}

/// Returns the requirement of an expression. The parser limits the nesting, and so the recursion.
fn need(hir: &Hir) -> RequiredLiteral {
    match hir.kind() {
        HirKind::Literal(literal) => RequiredLiteral::OneOf(vec![literal.0.to_ascii_lowercase()]),
        HirKind::Class(class) => match one_letter(class) {
            Some(letter) => RequiredLiteral::OneOf(vec![vec![letter]]),
            None => RequiredLiteral::Nothing,
        },
        HirKind::Capture(capture) => need(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => need(&repetition.sub),
        HirKind::Concat(parts) => of_all(parts),
        HirKind::Alternation(parts) => of_any(parts),
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => RequiredLiteral::Nothing,
    }
}

/// Returns the best requirement of parts that must all match, with neighbouring literals joined.
fn of_all(parts: &[Hir]) -> RequiredLiteral {
    let mut best = RequiredLiteral::Nothing;
    let mut run: Vec<u8> = Vec::new();
    for part in parts {
        let piece = match part.kind() {
            HirKind::Literal(literal) => Some(literal.0.to_ascii_lowercase()),
            HirKind::Class(class) => one_letter(class).map(|letter| vec![letter]),
            // An assertion without width between two literals, such as `\b`, does not separate
            // them.
            HirKind::Look(_) => Some(Vec::new()),
            _ => None,
        };
        match piece {
            Some(piece) => run.extend(piece),
            None => {
                best = better(best, RequiredLiteral::OneOf(vec![std::mem::take(&mut run)]));
                best = better(best, need(part));
            }
        }
    }
    better(best, RequiredLiteral::OneOf(vec![run]))
}

/// Returns the joined requirements of parts of which any may match.
fn of_any(parts: &[Hir]) -> RequiredLiteral {
    let mut all = Vec::new();
    for part in parts {
        match need(part) {
            RequiredLiteral::Nothing => return RequiredLiteral::Nothing,
            RequiredLiteral::OneOf(more) => all.extend(more),
        }
    }
    all.sort_unstable();
    all.dedup();
    if all.len() > LITERALS_MAX { RequiredLiteral::Nothing } else { RequiredLiteral::OneOf(all) }
}

/// Returns the requirement whose shortest literal is longer.
fn better(a: RequiredLiteral, b: RequiredLiteral) -> RequiredLiteral {
    let shortest = |need: &RequiredLiteral| match need {
        RequiredLiteral::Nothing => 0,
        RequiredLiteral::OneOf(all) => all.iter().map(Vec::len).min().unwrap_or(0),
    };
    if shortest(&b) > shortest(&a) { b } else { a }
}

/// Returns the letter in lower case if the class is one ASCII letter in both cases.
fn one_letter(class: &Class) -> Option<u8> {
    let mut letters = Vec::with_capacity(2);
    match class {
        Class::Bytes(class) => {
            for range in class.ranges() {
                letters.extend([range.start(), range.end()]);
            }
        }
        Class::Unicode(class) => {
            for range in class.ranges() {
                letters.extend(
                    [u8::try_from(range.start()), u8::try_from(range.end())]
                        .into_iter()
                        .map(|byte| byte.unwrap_or(u8::MAX)),
                );
            }
        }
    }
    letters.dedup();
    match *letters {
        [one] if one.is_ascii() => Some(one.to_ascii_lowercase()),
        [upper, lower] if upper.is_ascii_uppercase() && upper.to_ascii_lowercase() == lower => {
            Some(lower)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::must_contain;

    fn found(pattern: &str) -> Option<Vec<String>> {
        let all = must_contain(pattern)?;
        Some(all.into_iter().map(|one| String::from_utf8(one).unwrap()).collect())
    }

    fn some(all: &[&str]) -> Option<Vec<String>> {
        Some(all.iter().map(|one| (*one).to_owned()).collect())
    }

    #[test]
    fn the_longest_literal_that_must_be_there_is_found() {
        assert_eq!(found("wp-login"), some(&["wp-login"]));
        assert_eq!(found(r"^/wp-(login|admin)\.php$"), some(&["admin", "login"]));
        assert_eq!(found(r"^/x-(a|b)\.php$"), some(&[".php"]));
        assert_eq!(found(r"(curl|wget|python)/\d+"), some(&["curl", "python", "wget"]));
        assert_eq!(found("(?i-u)Bot"), some(&["bot"]));
        assert_eq!(found("(?i-u)(probe|sweep)er"), some(&["probe", "sweep"]));
        assert_eq!(found("(?s-u)^(?:.*/xmlrpc\\x2ephp.*)$"), some(&["/xmlrpc.php"]));
        assert_eq!(found("(?i-u).*nikto.*"), some(&["nikto"]));
        assert_eq!(found(r"\d+sqlmap\d+"), some(&["sqlmap"]));
        assert_eq!(found(r"\.(?:php|asp)$"), some(&["asp", "php"]));
        assert_eq!(found("(abc)+x?"), some(&["abc"]));
        assert_eq!(found(r"foo\bbar"), some(&["foobar"]));
    }

    #[test]
    fn an_expression_that_matches_without_one_has_none() {
        for pattern in [
            ".*",
            ".*.*",
            "[a-z]+",
            "(?:curl|w)",
            "(?:abc)*",
            "(?s-u)^(?:.*)$",
            "ab",
            "(abc)?",
            "abc|",
            "(abc|x)",
            r"\d{3}-\d{4}",
            "",
            "(",
        ] {
            assert_eq!(found(pattern), None, "{pattern}");
        }
        // U+212A, the Kelvin sign, is the same as `k` without case, so no literal contains it.
        assert_eq!(found("(?i)kkkk"), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_matches_holds_one_of_them(
            pattern in "(\\(\\?i-u\\))?([ab]{1,3}|\\([ab]{1,4}\\|[ab]{1,4}\\)[+?]?|[ab]{3}\\.|\\.\\*){1,4}",
            text in "[abAB]{0,16}",
        ) {
            let regex = regex::bytes::Regex::new(&pattern).unwrap();
            if let Some(all) = must_contain(&pattern) && regex.is_match(text.as_bytes()) {
                let low = text.to_ascii_lowercase();
                proptest::prop_assert!(
                    all.iter().any(|one| low.contains(std::str::from_utf8(one).unwrap())),
                    "{pattern} matches {text}, needs {all:?}"
                );
            }
        }
    }
}
