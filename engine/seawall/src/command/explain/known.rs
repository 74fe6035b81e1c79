//! What the text of a request does not say: who sends it, how, and with which pass.

use clap::Args;
use seawall_model::PassKind;
use seawall_ruleset::{Known, enum_lines, nearest};

/// The units of an age and their milliseconds, as a policy writes them.
const UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// The flags that say it.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// The autonomous system it comes from
    #[arg(long, value_name = "NUMBER")]
    asn: Option<String>,
    /// The country it comes from, in two letters
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
    /// The JA4 fingerprint of its TLS client
    #[arg(long, value_name = "TEXT")]
    ja4: Option<String>,
    /// The pass it carries: cookie, pow or page, and its age, as in `page:10m`
    #[arg(long, value_name = "KIND[:AGE]")]
    pass: Option<String>,
    /// It comes over HTTP/2
    #[arg(long)]
    h2: bool,
}

impl Flags {
    /// What they say.
    pub(super) fn known(&self) -> Result<Known, String> {
        let ja4 = match self.ja4.as_deref() {
            Some(text) if text.is_empty() || text.contains(char::is_control) => {
                return Err(format!("`{}` is no fingerprint", text.escape_debug()));
            }
            text => text.map(Into::into),
        };
        Ok(Known {
            asn: self.asn.as_deref().map(asn).transpose()?,
            country: self.country.as_deref().map(country).transpose()?,
            ja4,
            h2: self.h2,
            pass: self.pass.as_deref().map(pass).transpose()?,
        })
    }
}

fn asn(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("AS").unwrap_or(text);
    let number = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
    number.ok_or_else(|| format!("`{}` is no AS number, as `64500` is", text.escape_debug()))
}

fn country(text: &str) -> Result<[u8; 2], String> {
    let code = text.to_ascii_uppercase();
    let countries = enum_lines().into_iter().find(|line| line.name == "country");
    let words = countries.map_or(&[][..], |line| line.words);
    if let (true, &[a, b]) = (words.contains(&&*code), code.as_bytes()) {
        return Ok([a, b]);
    }
    let near = nearest(&code, words.iter().copied());
    let near = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
    Err(format!("`{}` is no country{near}", text.escape_debug()))
}

fn pass(text: &str) -> Result<(PassKind, u64), String> {
    let (kind, after) = match text.split_once(':') {
        Some((kind, after)) => (kind, Some(after)),
        None => (text, None),
    };
    let kind = match kind {
        "cookie" => PassKind::Cookie,
        "pow" => PassKind::Pow,
        "page" => PassKind::Page,
        _ => {
            let kind = kind.escape_debug();
            return Err(format!("`{kind}` is no kind of pass, only cookie, pow and page"));
        }
    };
    Ok((kind, after.map_or(Ok(0), age)?))
}

/// An age as a policy writes a duration, in milliseconds.
fn age(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{}` is no age, as `90s` and `1h30m` are", text.escape_debug());
    if text.is_empty() {
        return Err(wrong());
    }
    let (mut rest, mut ms) = (text, 0_u64);
    while !rest.is_empty() {
        let at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (digits, behind) = rest.split_at_checked(at).ok_or_else(wrong)?;
        let end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at_checked(end).ok_or_else(wrong)?;
        let (_, factor) = UNITS.iter().find(|(known, _)| *known == unit).ok_or_else(wrong)?;
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        ms = count.checked_mul(*factor).and_then(|more| ms.checked_add(more)).ok_or_else(wrong)?;
        rest = next;
    }
    Ok(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_as_in_a_policy() {
        for (text, ms) in [("0s", 0), ("90s", 90_000), ("1h30m", 5_400_000), ("5ms", 5)] {
            assert_eq!(age(text), Ok(ms), "{text}");
        }
        for text in ["", "90", "s", "1x", "-1s", "1 s", "99999999999999999999s", "999999999999999w"]
        {
            assert!(age(text).unwrap_err().contains("is no age"), "{text}");
        }
    }
}
