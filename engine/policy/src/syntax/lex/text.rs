//! Strings: their end and their bytes.
//!
//! A string ends in its line. If the closing quote is missing, the string ends before the `}` at
//! the end of the line. The block around it is then still closed, and the error is reported once.

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag;
use nom::combinator::value;

use super::token::{Kind, Problem, Read};
use crate::code::Code;

/// Most bytes between the quotes of a string: 64 KiB. Longer data belongs in a list file.
pub const STRING_BYTES_MAX: usize = 64 * 1024;

/// Reads `"…"` or `r"…"`.
pub(super) fn string(i: &str) -> Read<'_, Result<Kind, Problem>> {
    let (body, kind) = alt((value(Kind::Str, tag("\"")), value(Kind::Raw, tag("r\"")))).parse(i)?;
    let end = closing_quote(body, kind);
    let Some((inside, after)) = end.and_then(|at| body.split_at_checked(at)) else {
        return Ok(unclosed(i));
    };
    let after = after.strip_prefix('"').unwrap_or(after);
    Ok((after, judge(inside, kind)))
}

/// Returns the position of the closing quote if it is in this line.
fn closing_quote(body: &str, kind: Kind) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'\n' => return None,
            _ if escaped => escaped = false,
            b'\\' if kind == Kind::Str => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Returns whether an invalid token is a string without a closing quote.
pub(crate) fn is_unclosed(token: &str) -> bool {
    let body = token.strip_prefix('"').map(|body| (body, Kind::Str));
    let body = body.or_else(|| token.strip_prefix("r\"").map(|body| (body, Kind::Raw)));
    body.is_some_and(|(body, kind)| closing_quote(body, kind).is_none())
}

fn unclosed(i: &str) -> (&str, Result<Kind, Problem>) {
    let line = i.split('\n').next().unwrap_or(i);
    let kept = line.trim_end_matches([' ', '\t', '\r', '}']).len();
    let (_, after) = i.split_at_checked(kept).unwrap_or((i, ""));
    let problem = Problem::new(
        Code::BadToken,
        "the string has no closing quote",
        "the closing `\"` is missing",
    )
    .help("a string ends on the line where it begins");
    (after, Err(problem))
}

fn judge(inside: &str, kind: Kind) -> Result<Kind, Problem> {
    if kind == Kind::Raw {
        return within_limit(inside.len()).map(|()| kind);
    }
    match decode_escapes(inside) {
        Ok(bytes) => within_limit(bytes.len()).map(|()| kind),
        Err(()) => Err(bad_escape(inside)),
    }
}

fn within_limit(len: usize) -> Result<(), Problem> {
    if len <= STRING_BYTES_MAX {
        return Ok(());
    }
    let message = format!("the string has {len} bytes; the maximum is {STRING_BYTES_MAX}");
    Err(Problem::new(Code::TooLarge, message, "too long")
        .help("move long data to a list file: `list name: string = file \"…\" max …`"))
}

fn bad_escape(inside: &str) -> Problem {
    let mut fixed = String::with_capacity(inside.len().saturating_add(8));
    let mut first = None;
    let mut rest = inside;
    while let Some((before, after)) = rest.split_once('\\') {
        fixed.push_str(before);
        fixed.push('\\');
        if let Some((_, tail)) = escape(after) {
            let taken = after.len().saturating_sub(tail.len());
            fixed.push_str(after.get(..taken).unwrap_or_default());
            rest = tail;
        } else {
            first = first.or_else(|| after.chars().next());
            fixed.push('\\');
            rest = after;
        }
    }
    fixed.push_str(rest);
    let shown: String = first.into_iter().collect();
    Problem::new(Code::BadToken, format!("`\\{shown}` is not a valid escape"), "in this string")
        .help(
            "use `\\\\`, `\\\"`, `\\n`, `\\t`, `\\r` or `\\xHH`; a raw string `r\"…\"` has no \
            escapes",
        )
        .fix(format!("\"{fixed}\""))
}

/// Returns the byte after a backslash, and the rest.
fn escape(after: &str) -> Option<(u8, &str)> {
    let mut chars = after.chars();
    let byte = match chars.next()? {
        '\\' => b'\\',
        '"' => b'"',
        'n' => b'\n',
        't' => b'\t',
        'r' => b'\r',
        'x' => {
            let (hex, tail) = chars.as_str().split_at_checked(2)?;
            let digits = hex.bytes().all(|b| b.is_ascii_hexdigit());
            let byte = u8::from_str_radix(hex, 16).ok().filter(|_| digits)?;
            return Some((byte, tail));
        }
        _ => return None,
    };
    Some((byte, chars.as_str()))
}

fn decode_escapes(inside: &str) -> Result<Vec<u8>, ()> {
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let (byte, tail) = escape(after).ok_or(())?;
        out.push(byte);
        rest = tail;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// Returns the bytes of a string token.
pub(crate) fn decode(token: &str) -> Vec<u8> {
    let inside = |t: &str| t.strip_suffix('"').unwrap_or(t).to_owned();
    if let Some(raw) = token.strip_prefix("r\"") {
        return inside(raw).into_bytes();
    }
    let quoted = inside(token.strip_prefix('"').unwrap_or(token));
    // The escapes were checked when the token was made.
    decode_escapes(&quoted).unwrap_or_default()
}
