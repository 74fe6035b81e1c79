//! The client of a request: its network, TLS fingerprint, protocol and pass.

use clap::Args;
use seawall_model::PassKind;
use seawall_ruleset::{ClientHints, enum_lines, nearest};

use crate::cli::duration::duration_ms;

/// Flags for what the text of a request does not contain.
#[derive(Debug, Args)]
pub(super) struct ClientFlags {
    /// Set the autonomous system of the client
    #[arg(long, value_name = "NUMBER")]
    asn: Option<String>,
    /// Set the country of the client, as a code of two letters
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
    /// Set the JA4 fingerprint of the client
    #[arg(long, value_name = "TEXT")]
    ja4: Option<String>,
    /// Add a pass: cookie, pow or page, with its age, such as page:10m
    #[arg(long, value_name = "KIND[:AGE]")]
    pass: Option<String>,
    /// Send the request over HTTP/2
    #[arg(long)]
    h2: bool,
}

impl ClientFlags {
    /// The values of the flags.
    pub(super) fn hints(&self) -> Result<ClientHints, String> {
        let ja4 = match self.ja4.as_deref() {
            Some(text) if text.is_empty() || text.contains(char::is_control) => {
                return Err(format!("`{}` is not a fingerprint", text.escape_debug()));
            }
            text => text.map(Into::into),
        };
        Ok(ClientHints {
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
    number.ok_or_else(|| {
        format!("`{}` is not an AS number: write it as `64500`", text.escape_debug())
    })
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
    Err(format!("`{}` is not a country code{near}", text.escape_debug()))
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
            return Err(format!("`{kind}` is not a kind of pass: use cookie, pow or page"));
        }
    };
    Ok((kind, after.map_or(Ok(0), duration_ms)?))
}
