//! Clauses that several blocks share.

use nom::Parser;
use nom::combinator::{cut, map, opt};
use nom::sequence::preceded;

use super::input::{Expected, Input, Read, word};
use super::value::{date, duration, int, rate, text};
use super::words;
use crate::span::Spanned;
use crate::syntax::ast::{Hold, Meta, RateOrName, To};

/// Stores the result of `read` in `slot`. The last value wins; a repetition was already reported.
pub(super) fn fill<'a, T>(
    i: Input<'a>,
    slot: &mut Option<T>,
    read: impl Fn(Input<'a>) -> Read<'a, T>,
) -> Read<'a, ()> {
    let (i, value) = cut(read).parse(i)?;
    *slot = Some(value);
    Ok((i, ()))
}

/// Reads `note` and `expires`.
pub(super) fn meta<'a>(i: Input<'a>, word: &str, meta: &mut Meta) -> Read<'a, ()> {
    match word {
        "expires" => fill(i, &mut meta.expires, date),
        _ => fill(i, &mut meta.note, text("text in quotes")),
    }
}

/// Reads `to rate burst n`.
pub(super) fn to(i: Input<'_>) -> Read<'_, Spanned<To>> {
    let start = i.peek().span;
    let burst = preceded(word("burst"), cut(int));
    let (i, (rate, burst)) = (rate_or_name, opt(burst)).parse(i)?;
    Ok((i, Spanned::new(To { rate, burst }, start.to(i.behind()))))
}

fn rate_or_name(i: Input<'_>) -> Read<'_, Spanned<RateOrName>> {
    let span = i.peek().span;
    if let Some(found) = i.word().filter(|found| !words::is_reserved(found)) {
        return Ok((i.next(), Spanned::new(RateOrName::Name(found.into()), span)));
    }
    let (rest, rate) = match rate(i) {
        Err(nom::Err::Error(_)) => return i.miss(Expected::What("the name of a `let`")),
        other => other?,
    };
    Ok((rest, Spanned::new(RateOrName::Rate(rate.node), span)))
}

/// Reads `hold d doubling to m`.
pub(super) fn hold(i: Input<'_>) -> Read<'_, Spanned<Hold>> {
    let start = i.peek().span;
    let doubling = preceded((word("doubling"), cut(word("to"))), cut(duration));
    let read =
        map((duration, opt(doubling)), |(duration, doubling_to)| Hold { duration, doubling_to });
    let (i, hold) = { read }.parse(i)?;
    Ok((i, Spanned::new(hold, start.to(i.behind()))))
}
