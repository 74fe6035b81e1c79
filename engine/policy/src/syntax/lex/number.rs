//! Literals that begin with a digit, and addresses, which can begin with a letter.
//!
//! The forms overlap (`10/1m` and `10.0.0.0/8`, `5M` and `5m`, `1:2` and `a: b`). Each form must
//! therefore end where the run of characters ends. Text that matches no form is one invalid token:
//! half a number and half a word would give two diagnostics for one error.

use std::net::IpAddr;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while_m_n, take_while1};
use nom::character::complete::{char, digit0, digit1};
use nom::combinator::{eof, map, opt, recognize, value as yields, verify};
use nom::multi::many1;
use nom::{IResult, Parser};
use seawall_model::{Prefix, fold};

use super::token::{Kind, Problem, Read};
use crate::code::Code;
use crate::syntax::ast::{Date, Duration, Rate};

type Value = Result<Kind, Problem>;

/// Reads an address, a date, a number with or without a unit, or an AS number.
pub(super) fn value(i: &str) -> Read<'_, Value> {
    alt((asn, address, number)).parse(i)
}

/// The duration that `text` is, if it is one and nothing else.
pub(crate) fn whole_duration(text: &str) -> Option<Duration> {
    match duration(text) {
        Ok((_, Ok(Kind::Duration(duration)))) => Some(duration),
        _ => None,
    }
}

/// The bytes of the size that `text` is, if it is one and nothing else.
pub(crate) fn whole_size(text: &str) -> Option<u64> {
    match size(text) {
        Ok((_, Ok(Kind::Size(bytes)))) => Some(bytes),
        _ => None,
    }
}

fn asn(i: &str) -> Read<'_, Value> {
    let (after, digits) =
        (tag("AS"), digit1).parse(i).map(|(after, (_, digits))| (after, digits))?;
    if after.starts_with(super::token::in_word) {
        return fail(i);
    }
    Ok((after, digits.parse().map(Kind::Asn).map_err(|_| range("an AS number", u32::MAX))))
}

fn fail<T>(i: &str) -> Read<'_, T> {
    Err(nom::Err::Error(nom::error::Error::new(i, nom::error::ErrorKind::Verify)))
}

fn range(what: &str, most: impl std::fmt::Display) -> Problem {
    Problem::new(Code::NumberRange, format!("{what} is at most {most}"), "too large")
}

fn too_long(what: &str) -> Problem {
    Problem::new(Code::NumberRange, format!("{what} does not fit"), "too large")
}

/// Reads an address. The text must have two `:` or three `.`. A single `:` separates a name from
/// its type, and `1.5` is another kind of error.
fn address(i: &str) -> Read<'_, Value> {
    let hex = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
    let (_, run) = take_while1(hex).parse(i)?;
    let colons = run.bytes().filter(|b| *b == b':').count();
    let dots = run.bytes().filter(|b| *b == b'.').count();
    let worded = run.starts_with(|c: char| c.is_ascii_alphabetic());
    if colons < 2 && (dots < 3 || worded) {
        return fail(i);
    }
    let (after, whole) = take_while1(in_run).parse(i)?;
    if whole.contains('/') {
        return Ok((after, network(whole)));
    }
    let read = whole.parse::<IpAddr>().map(|ip| Kind::Ip(fold(ip)));
    Ok((after, read.map_err(|_| bad_address(whole))))
}

fn network(text: &str) -> Value {
    let read = Prefix::parse(text);
    read.map(|(net, written)| Kind::Cidr(written.unwrap_or(net.addr()), net.len())).map_err(
        |wrong| match wrong {
            seawall_model::PrefixError::Address => bad_address(text),
            seawall_model::PrefixError::Length => {
                let what = format!("`{text}` has an invalid prefix length");
                Problem::new(Code::NumberRange, what, "out of range")
                    .help("from 0 to 32 for IPv4, from 0 to 128 for IPv6")
            }
        },
    )
}

fn bad_address(text: &str) -> Problem {
    Problem::new(Code::BadToken, format!("`{text}` is not an IP address"), "not an address")
        .help("for example `192.0.2.1`, `2001:db8::1`, `192.0.2.0/24`")
}

/// Returns whether the character belongs to the same run, so that an error in it is reported once.
fn in_run(c: char) -> bool {
    super::token::in_word(c) || matches!(c, ':' | '/' | '%')
}

fn number(i: &str) -> Read<'_, Value> {
    let digit = |c: char| c.is_ascii_digit();
    let unsigned = i.strip_prefix('-').unwrap_or(i);
    if !unsigned.starts_with(digit) {
        return fail(i);
    }
    let (after, run) = recognize((opt(char('-')), take_while1(in_run))).parse(i)?;
    let read: IResult<&str, Value> = alt((date, rate, duration, size, percent, int)).parse(run);
    Ok((after, read.map_or_else(|_| Err(no_number(run)), |(_, value)| value)))
}

fn no_number(run: &str) -> Problem {
    let problem =
        Problem::new(Code::BadToken, format!("`{run}` is not a valid value"), "invalid value");
    let digits = run.bytes().take_while(u8::is_ascii_digit).count();
    let (head, unit) = run.split_at_checked(digits).unwrap_or((run, ""));
    let better = match unit {
        "K" => "k",
        "KB" | "kB" | "kb" | "kiB" => "KiB",
        "MB" | "mb" | "MIB" => "MiB",
        "GB" | "gb" | "G" => "GiB",
        "sec" | "secs" | "S" => "s",
        "min" | "mins" => "m",
        "hr" | "hrs" | "H" => "h",
        "D" => "d",
        _ => "",
    };
    if !better.is_empty() {
        return problem.help(format!("use the unit `{better}`")).fix(format!("{head}{better}"));
    }
    problem.help(
        "numbers are written `10`, `20k`, `30%`, `1h30m`, `10/1m`, `1MiB`, `2036-11-25`; \
         names begin with a letter",
    )
}

fn digits_value(digits: &str) -> Option<u64> {
    digits.parse().ok()
}

/// Returns a number with its suffix: `k` is 1,000 and `M` is 1,000,000.
fn scaled(digits: &str, suffix: Option<char>) -> Option<u64> {
    let factor = match suffix {
        Some('k') => 1_000,
        Some(_) => 1_000_000,
        None => 1,
    };
    digits_value(digits)?.checked_mul(factor)
}

fn suffix(i: &str) -> Read<'_, Option<char>> {
    opt(alt((char('k'), char('M')))).parse(i)
}

/// Reads a unit and returns its microseconds.
fn unit(i: &str) -> Read<'_, u64> {
    const SECOND: u64 = 1_000_000;
    alt((
        yields(1_000, tag("ms")),
        yields(1, tag("us")),
        yields(SECOND, tag("s")),
        yields(60 * SECOND, tag("m")),
        yields(3_600 * SECOND, tag("h")),
        yields(86_400 * SECOND, tag("d")),
        yields(7 * 86_400 * SECOND, tag("w")),
    ))
    .parse(i)
}

fn int(i: &str) -> Read<'_, Value> {
    let (after, (digits, suffix, _)) = (digit1, suffix, eof).parse(i)?;
    let read = scaled(digits, suffix).and_then(|n| i64::try_from(n).ok());
    Ok((after, read.map(Kind::Int).ok_or_else(|| range("a number", i64::MAX))))
}

fn percent(i: &str) -> Read<'_, Value> {
    let (after, (digits, _, _)) = (digit1, char('%'), eof).parse(i)?;
    let read = digits_value(digits).and_then(|n| i64::try_from(n).ok());
    Ok((after, read.map(Kind::Percent).ok_or_else(|| range("a percentage", i64::MAX))))
}

fn size(i: &str) -> Read<'_, Value> {
    let unit = alt((
        yields(1_u64 << 10, tag("KiB")),
        yields(1 << 20, tag("MiB")),
        yields(1 << 30, tag("GiB")),
        yields(1, tag("B")),
    ));
    let (after, (digits, factor, _)) = (digit1, unit, eof).parse(i)?;
    let read = digits_value(digits).and_then(|n| n.checked_mul(factor));
    Ok((after, read.map(Kind::Size).ok_or_else(|| too_long("this size"))))
}

fn duration(i: &str) -> Read<'_, Value> {
    let (after, (parts, _)) = (many1((digit1, unit)), eof).parse(i)?;
    let sum = parts.iter().try_fold(0_u64, |sum, (digits, unit)| {
        sum.checked_add(digits_value(digits)?.checked_mul(*unit)?)
    });
    let read = sum.map(|us| Kind::Duration(Duration { us }));
    Ok((after, read.ok_or_else(|| too_long("this duration"))))
}

fn rate(i: &str) -> Read<'_, Value> {
    let (after, (digits, suffix, _, times, unit, _)) =
        (digit1, suffix, char('/'), digit0, unit, eof).parse(i)?;
    let times = if times.is_empty() { Some(1) } else { digits_value(times) };
    let window = times.and_then(|n| n.checked_mul(unit));
    let read = scaled(digits, suffix).zip(window);
    let rate = match read {
        None => Err(too_long("this rate")),
        Some((_, 0)) => Err(Problem::new(
            Code::NumberRange,
            "a rate needs a window longer than 0",
            "the window is zero",
        )),
        Some((n, us)) => Ok(Kind::Rate(Rate { n, window: Duration { us } })),
    };
    Ok((after, rate))
}

fn digits<'t>(
    n: usize,
) -> impl Parser<&'t str, Output = &'t str, Error = nom::error::Error<&'t str>> {
    verify(take_while(|c: char| c.is_ascii_digit()), move |d: &str| d.len() == n)
}

fn date(i: &str) -> Read<'_, Value> {
    let digit = |c: char| c.is_ascii_digit();
    let ymd = map(
        (digits(4), char('-'), digits(2), char('-'), take_while_m_n(2, 2, digit)),
        |(year, _, month, _, day): (&str, char, &str, char, &str)| (year, month, day),
    );
    let time = (char('T'), digits(2), char(':'), digits(2), opt(char('Z')));
    let (after, ((year, month, day), time, _)) = (ymd, opt(time), eof).parse(i)?;
    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    let (hour, minute, zone) =
        time.map_or((0, 0, true), |(_, h, _, m, zone)| (number(h), number(m), zone.is_some()));
    let read = unix_days(number(year), number(month), number(day))
        .filter(|_| hour < 24 && minute < 60)
        .map(|days| days * 86_400 + hour * 3_600 + minute * 60);
    let value = match read {
        None => {
            Err(Problem::new(Code::BadDate, format!("`{i}` is not a valid date"), "invalid date"))
        }
        Some(_) if !zone => {
            Err(Problem::new(Code::BadToken, format!("`{i}` has no time zone"), "add `Z` for UTC")
                .fix(format!("{i}Z")))
        }
        Some(unix_s) => Ok(Kind::Date(Date { unix_s })),
    };
    Ok((after, value))
}

/// Returns the days since 1970-01-01 in the Gregorian calendar, for the years from 0 to 9999.
///
/// The year is counted from March, so that the leap day is its last day. A cycle of 400 years has
/// 146,097 days, and 719,468 days lie between 0000-03-01 and 1970-01-01.
fn unix_days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day < 1 || day > last {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let cycle = year.div_euclid(400);
    let in_cycle = year.rem_euclid(400);
    let in_year = (153 * month + 2) / 5 + day - 1;
    let days = in_cycle * 365 + in_cycle / 4 - in_cycle / 100 + in_year;
    Some(cycle * 146_097 + days - 719_468)
}
