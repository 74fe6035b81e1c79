//! Operators of other languages, and characters without a meaning.
//!
//! Authors know HAProxy, Cloudflare and shell scripts. If the intention is clear, the lexer emits
//! the intended token and a diagnostic with the correction. The parser then continues as if the
//! author had written that token.

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while, take_while1};
use nom::combinator::{map, recognize};
use nom::multi::separated_list1;

use super::token::{Kind, Piece, Problem, Punct, Read, line_end};
use crate::code::Code;

/// How far the lexer searches the `]` for a `[`: 1 KiB. Without a limit, a line of opening brackets
/// would be read once for each of them.
const BRACKETS_BYTES_MAX: usize = 1_024;

/// Reads `&&`, `||`, `!`, `;`, `//`, `'…'` and similar signs.
pub(super) fn sign(i: &str) -> Read<'_, Piece> {
    alt((
        map(logic, Piece::Problem),
        map(compare, Piece::Problem),
        map(comment, Piece::Problem),
        map(quotes, Piece::Problem),
        map(brackets, Piece::Problem),
        map(bare_path, Piece::Problem),
    ))
    .parse(i)
}

fn foreign(sign: &str, ours: &str) -> Problem {
    let message = format!("`{sign}` is not valid in a policy; use `{ours}`");
    Problem::new(Code::ForeignSign, message, "syntax of another language")
}

/// Returns a word that replaces a sign, with a blank before the text that follows. (Text before a
/// sign can join the word only if it is itself a word or a number.)
fn spaced(word: &str, after: &str) -> String {
    let glued = after.starts_with(|c: char| !c.is_whitespace());
    format!(" {word}{}", if glued { " " } else { "" })
}

fn logic(i: &str) -> Read<'_, Problem> {
    let (after, sign) = alt((tag("&&"), tag("||"), tag("!"))).parse(i)?;
    if sign == "!" && (after.starts_with('=') || after.starts_with('~')) {
        return no(i);
    }
    let word = match sign {
        "&&" => "and",
        "||" => "or",
        _ => "not",
    };
    let problem = foreign(sign, word).fix(spaced(word, after));
    Ok((after, problem.counts_as(Some(Kind::Stands(word)))))
}

fn no<T>(i: &str) -> Read<'_, T> {
    Err(nom::Err::Error(nom::error::Error::new(i, nom::error::ErrorKind::Verify)))
}

fn compare(i: &str) -> Read<'_, Problem> {
    let (after, sign) =
        alt((tag("!=="), tag("==="), tag("<>"), tag("=~"), tag("!~"), tag("~"), tag(":=")))
            .parse(i)?;
    let problem = match sign {
        "!==" | "<>" => foreign(sign, "!=").fix("!=").counts_as(Some(Kind::Punct(Punct::NotEqual))),
        "===" => foreign(sign, "==").fix("==").counts_as(Some(Kind::Punct(Punct::Equal))),
        ":=" => foreign(sign, "=").fix("=").counts_as(Some(Kind::Punct(Punct::Assign))),
        "!~" => foreign(sign, "not matches").fix(spaced("not matches", after)),
        _ => foreign(sign, "matches")
            .fix(spaced("matches", after))
            .counts_as(Some(Kind::Stands("matches"))),
    };
    Ok((after, problem))
}

/// Reads `;`, or a comment of another language, which is ignored as a comment of this language is.
fn comment(i: &str) -> Read<'_, Problem> {
    if let Some(body) = i.strip_prefix("/*") {
        let (_, after) = body.split_once("*/").unwrap_or((body, ""));
        let problem = foreign("/*", "#").help("a comment runs from `#` to the end of its line");
        return Ok((after, problem.counts_as(None)));
    }
    if let Some(after) = i.strip_prefix(';') {
        let message = "`;` is not valid in a policy; a clause ends where the next one begins";
        let problem = Problem::new(Code::ForeignSign, message, "not needed").fix("");
        return Ok((after, problem.counts_as(None)));
    }
    let (after, line) = recognize((tag("//"), take_till(line_end))).parse(i)?;
    let fixed = line.replacen("//", "#", 1);
    Ok((after, foreign("//", "#").fix(fixed).counts_as(None)))
}

/// Reads text in quotes of shells or word processors.
fn quotes(i: &str) -> Read<'_, Problem> {
    let mut chars = i.chars();
    let close: &[char] = match chars.next() {
        Some('\'') => &['\''],
        Some('`') => &['`'],
        Some('“' | '”' | '„') => &['“', '”'],
        _ => return no(i),
    };
    let body = chars.as_str();
    // One search for all quotes, so that a line of quotes is not read once for each of them.
    let end = body.find(|c| line_end(c) || close.contains(&c));
    let Some((inside, quoted)) = end.and_then(|at| body.split_at_checked(at)) else {
        return no(i);
    };
    if quoted.starts_with(line_end) {
        return no(i);
    }
    let mut after = quoted.chars();
    after.next();
    let mut problem = Problem::new(
        Code::ForeignSign,
        "a string is written between `\"` and `\"`",
        "quotes of another language",
    );
    if !inside.contains(['"', '\\']) {
        problem = problem.fix(format!("\"{inside}\""));
    }
    Ok((after.as_str(), problem))
}

/// Reads `[` … `]` around a set. One diagnostic covers both brackets.
fn brackets(i: &str) -> Read<'_, Problem> {
    let Some(body) = i.strip_prefix('[') else {
        return no(i);
    };
    let near = body.get(..body.floor_char_boundary(BRACKETS_BYTES_MAX)).unwrap_or(body);
    let line = near.split(['\n', '\r']).next().unwrap_or(near);
    let Some((inside, _)) = line.split_once(']') else {
        return no(i);
    };
    let after = body.get(inside.len()..).and_then(|rest| rest.strip_prefix(']'));
    let problem = Problem::new(
        Code::ForeignSign,
        "a set is written between `{` and `}`",
        "brackets of another language",
    )
    .fix(format!("{{{inside}}}"));
    Ok((after.unwrap_or_default(), problem))
}

/// Reads `/login` without quotes.
fn bare_path(i: &str) -> Read<'_, Problem> {
    if !i.starts_with('/') {
        return no(i);
    }
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ')' | '}' | '"' | ';' | '\\');
    let (after, path) = take_till(ends).parse(i)?;
    let problem = Problem::new(Code::BadToken, "a path is written as a string", "without quotes");
    Ok((after, problem.fix(format!("\"{path}\""))))
}

/// Reads invalid characters, together with an attached word.
pub(super) fn stray(i: &str) -> Read<'_, Problem> {
    let begins_nothing = |c: char| {
        !c.is_ascii_alphanumeric()
            && !c.is_whitespace()
            && !matches!(c, '_' | '"' | '#' | '@' | '{' | '}' | '(' | ')' | ',' | ':')
            && !matches!(c, '=' | '!' | '<' | '>' | ';')
    };
    let one = (take_while1(begins_nothing), take_while(super::token::in_word));
    let blanks = take_while(|c| matches!(c, ' ' | '\t'));
    let run = recognize(separated_list1(blanks, one));
    let any = recognize(nom::character::complete::anychar);
    let (after, text) = alt((run, any)).parse(i)?;
    let shown: String = text.chars().take(20).filter(|c| !c.is_control()).collect();
    let message = if shown.trim().is_empty() {
        "this character has no meaning here".to_owned()
    } else {
        format!("`{shown}` has no meaning here")
    };
    Ok((after, Problem::new(Code::BadToken, message, "not expected")))
}
