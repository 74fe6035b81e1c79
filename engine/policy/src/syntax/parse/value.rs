//! Literals: strings, numbers, sets and others.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::opt;
use seawall_model::Prefix;
use std::net::IpAddr;

use super::input::{Expected, Input, Read, name, sign, token};
use super::recover::never_closed;
use super::words;
use crate::code::Code;
use crate::span::Spanned;
use crate::syntax::ast::{Date, Duration, Literal, Name, Rate};
use crate::syntax::lex::{Kind, Punct, decode};

/// Reads a string of text, for display or as a name.
pub(super) fn text<'a>(what: &'static str) -> impl Fn(Input<'a>) -> Read<'a, Spanned<Box<str>>> {
    move |i| {
        let (rest, bytes) = bytes(what)(i)?;
        match String::from_utf8(bytes.node.into_vec()) {
            Ok(text) => Ok((rest, Spanned::new(text.into(), bytes.span))),
            Err(_) => {
                let said = i.cx.error(Code::BadToken, bytes.span, "the text is not valid UTF-8");
                i.cx.say(said.label("contains escapes that are not UTF-8"));
                i.give_up()
            }
        }
    }
}

/// Reads a string of bytes, for comparison with a request.
pub(super) fn bytes<'a>(what: &'static str) -> impl Fn(Input<'a>) -> Read<'a, Spanned<Box<[u8]>>> {
    move |i| {
        let (rest, found) =
            token(what, |kind| matches!(kind, Kind::Str | Kind::Raw).then_some(()))(i)?;
        let bytes = decode(i.cx.slice(found.span));
        Ok((rest, Spanned::new(bytes.into(), found.span)))
    }
}

pub(super) fn int(i: Input<'_>) -> Read<'_, Spanned<i64>> {
    token("a number", |kind| if let Kind::Int(n) = kind { Some(n) } else { None })(i)
}

pub(super) fn duration(i: Input<'_>) -> Read<'_, Spanned<Duration>> {
    token("a duration like `10m`", |kind| match kind {
        Kind::Duration(duration) => Some(duration),
        _ => None,
    })(i)
}

pub(super) fn rate(i: Input<'_>) -> Read<'_, Spanned<Rate>> {
    token("a rate like `10/1m`", |kind| match kind {
        Kind::Rate(rate) => Some(rate),
        _ => None,
    })(i)
}

pub(super) fn size(i: Input<'_>) -> Read<'_, Spanned<u64>> {
    token("a size like `1MiB`", |kind| match kind {
        Kind::Size(bytes) => Some(bytes),
        _ => None,
    })(i)
}

pub(super) fn date(i: Input<'_>) -> Read<'_, Spanned<Date>> {
    token("a date like `2036-11-25`", |kind| match kind {
        Kind::Date(date) => Some(date),
        _ => None,
    })(i)
}

pub(super) fn ip(i: Input<'_>) -> Read<'_, Spanned<IpAddr>> {
    token("an address", |kind| if let Kind::Ip(ip) = kind { Some(ip) } else { None })(i)
}

pub(super) fn asn(i: Input<'_>) -> Read<'_, Spanned<u32>> {
    token("an AS number like `AS64496`", |kind| match kind {
        Kind::Asn(asn) => Some(asn),
        _ => None,
    })(i)
}

/// Reads `@name`.
pub(super) fn list_ref(i: Input<'_>) -> Read<'_, Name> {
    let (rest, found) =
        token("a list like `@name`", |kind| (kind == Kind::ListRef).then_some(()))(i)?;
    let name = i.cx.slice(found.span).trim_start_matches('@');
    Ok((rest, Spanned::new(name.into(), found.span)))
}

/// Reads a literal that is not a bare word, except `true` and `false`.
pub(super) fn literal(i: Input<'_>) -> Read<'_, Spanned<Literal>> {
    let token = i.peek();
    let node = match token.kind {
        Kind::Str | Kind::Raw => Literal::Str(decode(i.cx.slice(token.span)).into()),
        Kind::Int(n) => Literal::Int(n),
        Kind::Percent(n) => Literal::Percent(n),
        Kind::Duration(duration) => Literal::Duration(duration),
        Kind::Rate(rate) => Literal::Rate(rate),
        Kind::Size(bytes) => Literal::Size(bytes),
        Kind::Asn(asn) => Literal::Asn(asn),
        Kind::Ip(ip) => Literal::Ip(ip),
        Kind::Cidr(written, len) => {
            let net = Prefix::new(written, len);
            Literal::Cidr(net, (net.addr() != written).then_some(written))
        }
        Kind::Date(date) => Literal::Date(date),
        Kind::Bad => Literal::Error,
        Kind::Word if i.word() == Some("true") => Literal::Bool(true),
        Kind::Word if i.word() == Some("false") => Literal::Bool(false),
        Kind::Word | Kind::ListRef | Kind::Punct(_) | Kind::Stands(_) | Kind::Eof => {
            return i.miss(Expected::What("a value"));
        }
    };
    Ok((i.next(), Spanned::new(node, token.span)))
}

/// Reads a literal that can be a bare word.
pub(super) fn literal_or_word(i: Input<'_>) -> Read<'_, Spanned<Literal>> {
    let bare = |i| {
        let (i, word) = name("a value")(i)?;
        Ok((i, Spanned::new(Literal::Word(word.node), word.span)))
    };
    alt((literal, bare)).parse(i)
}

/// Reads `{ a, b c }`. Every word is valid inside, reserved or not.
pub(super) fn set(i: Input<'_>) -> Read<'_, Spanned<Vec<Spanned<Literal>>>> {
    let (mut i, open) = sign(Punct::Open)(i)?;
    let mut elements = Vec::new();
    loop {
        if i.is(Punct::Close) {
            let span = open.to(i.peek().span);
            return Ok((i.next(), Spanned::new(elements, span)));
        }
        if ends_unclosed(i) {
            never_closed(i, open);
            let span = open.to(i.behind());
            return Ok((i, Spanned::new(elements, span)));
        }
        let (rest, element) = element(i)?;
        elements.push(element);
        (i, _) = opt(sign(Punct::Comma)).parse(rest)?;
    }
}

fn element(i: Input<'_>) -> Read<'_, Spanned<Literal>> {
    match literal_or_word(i) {
        Ok(read) => Ok(read),
        // Inside a set there is no alternative, so this error is final.
        Err(nom::Err::Error(_)) => {
            let wanted = i.miss::<Spanned<Literal>>(Expected::Sign("}"));
            wanted.map_err(|miss| match miss {
                nom::Err::Error(miss) => nom::Err::Failure(miss),
                other => other,
            })
        }
        Err(other) => Err(other),
    }
}

/// Returns whether a set ends before a clause in a file that lacks a `}`.
fn ends_unclosed(i: Input<'_>) -> bool {
    let Some(word) = i.word() else {
        return i.is_end();
    };
    i.cx.unclosed.get() > 0
        && (matches!(word, "then" | "unless" | "when")
            || (words::begins_statement(word) && i.cx.indent(i.peek().span).is_some()))
}
