//! Policy tests: `given`, `request` and `expect`.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, opt};
use nom::sequence::preceded;

use super::action::action;
use super::block::{Shape, block};
use super::input::{Expected, Input, Read, name, sign, word};
use super::recover::misspelt;
use super::value::{asn, bytes, duration, int, ip, list_ref, set, text};
use super::words;
use crate::diagnostic::nearest;
use crate::span::Spanned;
use crate::syntax::ast::{Action, Duration, Literal, Prop, Rate, Request, Step, Test};
use crate::syntax::lex::Punct;

const TEST: Shape = Shape {
    of: "this test",
    words: &["given", "request", "wait", "expect"],
    many: &["given", "request", "wait", "expect"],
};

/// Reads `test "…" { … }` after the keyword.
pub(super) fn test(i: Input<'_>) -> Read<'_, Test> {
    let (i, name) = cut(text("the name of the test in quotes")).parse(i)?;
    let mut steps = Vec::new();
    let (i, _) = block(i, &TEST, &mut |i, word| {
        let start = i.behind();
        let (i, step) = match word {
            "given" => cut(given).parse(i),
            "request" => cut(request).parse(i),
            "wait" => cut(map(duration, Step::Wait)).parse(i),
            _ => cut(expect).parse(i),
        }?;
        steps.push(Spanned::new(step, start.to(i.behind())));
        Ok((i, ()))
    })?;
    Ok((i, Test { name, steps }))
}

fn given(i: Input<'_>) -> Read<'_, Step> {
    let level = preceded(word("level"), cut(name("the name of a level")));
    let client = preceded(word("client"), cut((ip, props)));
    let list = (list_ref, cut((sign(Punct::Assign), set)));
    alt((
        map(level, Step::GivenLevel),
        map(client, |(ip, props)| Step::GivenClient { ip, props }),
        map(list, |(name, (_, elements))| Step::GivenList { name, elements }),
    ))
    .parse(i)
}

fn request(i: Input<'_>) -> Read<'_, Step> {
    let from = preceded(word("from"), cut(ip));
    let over = preceded(word("over"), cut(duration));
    let times = preceded(word("times"), cut((int, opt(over))));
    let head = (method, text("a URL in quotes"), opt(from));
    let (i, ((method, url, from), props, times)) = (head, opt(props), opt(times)).parse(i)?;
    let (times, over) = times.map_or((None, None), |(times, over)| (Some(times), over));
    let props = props.unwrap_or_default();
    Ok((i, Step::Request(Box::new(Request { method, url, from, props, times, over }))))
}

/// Reads a word, or a string for an invalid method.
fn method(i: Input<'_>) -> Read<'_, Spanned<Literal>> {
    alt((
        map(name("a method"), |word| Spanned::new(Literal::Word(word.node), word.span)),
        map(bytes("a method in quotes"), |text| Spanned::new(Literal::Str(text.node), text.span)),
    ))
    .parse(i)
}

fn expect(i: Input<'_>) -> Read<'_, Step> {
    // `pass` comes first, because the branch for actions reports every word that is not an action.
    let (i, action) = match bare(i) {
        Some((rest, action)) => (rest, Some(action)),
        None => alt((passes, map(action, Some))).parse(i)?,
    };
    let (i, by) = opt(preceded(word("by"), cut(name("the name of a rule")))).parse(i)?;
    Ok((i, Step::Expect { action, by }))
}

/// Reads `expect throttle`: omitted arguments match any value, also arguments that a rule needs.
/// They are 0 then, which is invalid in a rule.
fn bare(i: Input<'_>) -> Option<(Input<'_>, Spanned<Action>)> {
    let none = Duration { us: 0 };
    let span = i.peek().span;
    let action = match i.word()? {
        "throttle" => {
            let rate = Spanned::new(Rate { n: 0, window: none }, span);
            Action::Throttle { rate, per: Vec::new() }
        }
        "tarpit" => Action::Tarpit(Spanned::new(none, span)),
        "ban" => Action::Ban { duration: Spanned::new(none, span), per: None },
        _ => return None,
    };
    let rest = i.next();
    let ends = matches!(rest.word(), Some("by" | "given" | "request" | "wait" | "expect"));
    (ends || rest.is(Punct::Close)).then(|| (rest, Spanned::new(action, span)))
}

/// Reads `pass` or a similar word.
fn passes<T>(i: Input<'_>) -> Read<'_, Option<T>> {
    let found = i.word().unwrap_or_default();
    let near = nearest(found, words::ACTIONS.iter().copied().chain(["pass"]));
    if found != "pass" && near == Some("pass") {
        misspelt(i, i.peek().span, "pass");
        return Ok((i.next(), None));
    }
    map(word("pass"), |_| None).parse(i)
}

/// Reads `{ header "accept" "*/*", … }`.
fn props(i: Input<'_>) -> Read<'_, Vec<Spanned<Prop>>> {
    let (mut i, _) = sign(Punct::Open)(i)?;
    let mut all = Vec::new();
    while !i.is(Punct::Close) {
        let start = i.peek().span;
        let (rest, prop) = cut(prop).parse(i)?;
        all.push(Spanned::new(prop, start.to(rest.behind())));
        (i, _) = opt(sign(Punct::Comma)).parse(rest)?;
    }
    Ok((i.next(), all))
}

const PROPS: &[&str] = &[
    "header",
    "cookie",
    "asn",
    "country",
    "crawler",
    "ja4",
    "proto",
    "connections",
    "in_flight",
    "pass",
    "answered",
    "bytes",
];

fn prop(i: Input<'_>) -> Read<'_, Prop> {
    let Some(found) = i.word().filter(|found| PROPS.contains(found)) else {
        for word in PROPS {
            let _ = i.miss::<()>(Expected::Word(word));
        }
        return i.miss(Expected::Sign("}"));
    };
    let after = i.next();
    cut(|i| prop_behind(i, found)).parse(after)
}

fn prop_behind<'a>(i: Input<'a>, found: &str) -> Read<'a, Prop> {
    let pair = || (text("a name in quotes"), bytes("a value in quotes"));
    match found {
        "header" => map(pair(), |(name, value)| Prop::Header(name, value)).parse(i),
        "cookie" => map(pair(), |(name, value)| Prop::Cookie(name, value)).parse(i),
        "asn" => map(asn, |asn| Prop::Asn(asn.node)).parse(i),
        "country" => map(name("a country"), Prop::Country).parse(i),
        "crawler" => map(name("the name of a crawler"), Prop::Crawler).parse(i),
        "ja4" => map(text("a fingerprint in quotes"), |text| Prop::Ja4(text.node)).parse(i),
        "proto" => map(name("`h10`, `h1` or `h2`"), Prop::Proto).parse(i),
        "connections" => map(int, Prop::Connections).parse(i),
        "in_flight" => map(int, Prop::InFlight).parse(i),
        "bytes" => map(int, |n| Prop::Bytes(n.node)).parse(i),
        "answered" => {
            let after = opt(preceded(word("after"), cut(duration)));
            map((int, after), |(status, after)| Prop::Answered { status, after }).parse(i)
        }
        _ => alt((
            map(word("valid"), |_| Prop::PassValid),
            map(word("none"), |_| Prop::PassNone),
            map(preceded(word("age"), cut(duration)), |age| Prop::PassAge(age.node)),
        ))
        .parse(i),
    }
}
