//! `seawall explain`: one request, and every rule that it came to.
//!
//! The request is typed, read from a file or pasted as a curl command. It is judged by the code
//! that serves, with empty counters; what it would take to fill them is a test's business.

mod client_flags;
mod curl;
mod raw_request;

use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use seawall_control::clock;
use seawall_ruleset::{
    EvaluatedTest, ExplainRequest, Explanation, Purpose, RuleOutcome, RuleSet, RuleTrace, Severity,
    Style, render,
};
use serde_json::{Value, json};

use super::common::{Format, PolicyHostArgs};
use crate::cli::exit::{ExitStatus, fail, print_err, print_json, print_out};
use crate::policy_loader;

/// The most bytes of a request file: 64 KiB. A server takes no longer head either.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// Say for one request what every rule did, and why.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The root policy
    policy: PathBuf,
    /// The method, then the URL
    #[arg(num_args = 2, value_names = ["METHOD", "URL"], conflicts_with_all = ["request", "curl"],
        required_unless_present_any = ["request", "curl"])]
    typed: Vec<String>,
    /// A file with the head of an HTTP/1.1 request; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "curl")]
    request: Option<PathBuf>,
    /// A curl command, as browsers copy it
    #[arg(long, value_name = "COMMAND")]
    curl: Option<String>,
    /// One more header field: `name: value`
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    headers: Vec<String>,
    /// From whom it comes
    #[arg(long, value_name = "IP", default_value = "192.0.2.1")]
    from: IpAddr,
    #[command(flatten)]
    known: client_flags::ClientFlags,
    /// The level that holds
    #[arg(long, value_name = "NAME")]
    level: Option<String>,
    #[command(flatten)]
    host: PolicyHostArgs,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// A request as far as its text says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ParsedRequest {
    method: String,
    encrypted: bool,
    authority: String,
    target: String,
    /// Names in lower case; Host is not among them.
    headers: Vec<(String, Vec<u8>)>,
}

impl Explain {
    pub(crate) fn run(&self) -> ExitStatus {
        let question = match self.question() {
            Ok(question) => question,
            Err(why) => return fail(ExitStatus::Failure, why),
        };
        let host = match self.host.load() {
            Ok(host) => host,
            Err(exit) => return exit,
        };
        let now = clock();
        let loader = match policy_loader::loader(&self.policy, &host, now.clone()) {
            Ok(loader) => loader,
            Err(error) => return fail(ExitStatus::InternalError, error),
        };
        let sources = loader.gather_settled();
        let built = loader.build(&sources, Purpose::Check, None);
        let Some(rules) = &built.rules else {
            let errors = built.diagnostics.iter().filter(|d| d.severity == Severity::Error);
            let errors: Vec<_> = errors.cloned().collect();
            print_err(render(&errors, &sources, Style::Plain).trim_end());
            return fail(ExitStatus::Failure, format!("{}: it has errors", self.policy.display()));
        };
        for member in &built.members {
            print_err(format!("the files of {} have errors: explained without them", member.name));
        }
        self.tell(rules, &question, now())
    }

    fn tell(
        &self,
        rules: &RuleSet,
        question: &ExplainRequest,
        now: seawall_model::Tick,
    ) -> ExitStatus {
        match rules.explain(question, now) {
            Err(wrong) => {
                let level = self.level.as_deref().unwrap_or_default().escape_debug().to_string();
                let known = wrong.known.join(", ");
                return fail(
                    ExitStatus::Failure,
                    format!("there is no level `{level}`, only {known}"),
                );
            }
            Ok(told) => match self.format {
                Format::Human => human(&told).iter().for_each(print_out),
                Format::Json => print_json(as_json(&told)),
            },
        }
        ExitStatus::Success
    }

    fn question(&self) -> Result<ExplainRequest, String> {
        let mut asked = match (&self.request, &self.curl, self.typed.as_slice()) {
            (Some(file), ..) => raw_request::read(&bytes(file)?)?,
            (_, Some(command), _) => curl::read(command)?,
            (_, _, [method, url]) => ParsedRequest::new(method, url)?,
            _ => return Err("say METHOD and URL, --request or --curl".to_owned()),
        };
        for line in &self.headers {
            asked.header(line)?;
        }
        Ok(ExplainRequest {
            method: asked.method.into(),
            encrypted: asked.encrypted,
            authority: asked.authority.into(),
            target: asked.target.into(),
            from: self.from,
            headers: asked.headers.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
            level: self.level.as_deref().map(Into::into),
            known: self.known.known()?,
        })
    }
}

impl ParsedRequest {
    /// A request without header fields.
    fn new(method: &str, url: &str) -> Result<Self, String> {
        let (encrypted, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, _)) => {
                return Err(format!("`{}` is neither http nor https", scheme.escape_debug()));
            }
            // As curl takes it.
            None => (false, url),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let authority = authority.rsplit('@').next().unwrap_or_default();
        if authority.is_empty() {
            return Err(format!("`{}` names no host", url.escape_debug()));
        }
        good_method(method)?;
        Ok(Self {
            method: method.to_owned(),
            encrypted,
            authority: authority.to_owned(),
            target: if target.starts_with('/') { target.into() } else { format!("/{target}") },
            headers: Vec::new(),
        })
    }

    /// Adds a field written `name: value`; Host takes the URL's place.
    fn header(&mut self, line: &str) -> Result<(), String> {
        let wrong = || format!("`{}` is no header field: `name: value`", line.escape_debug());
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        if !is_token(name) || value.contains(['\r', '\n', '\0']) {
            return Err(wrong());
        }
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("host") {
            value.clone_into(&mut self.authority);
        } else {
            self.headers.push((name.to_ascii_lowercase(), value.as_bytes().to_vec()));
        }
        Ok(())
    }
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(good)
}

fn good_method(method: &str) -> Result<(), String> {
    if is_token(method) {
        return Ok(());
    }
    Err(format!("`{}` is no method", method.escape_debug()))
}

fn bytes(file: &Path) -> Result<Vec<u8>, String> {
    let read = |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        from.take(REQUEST_BYTES_MAX + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = if file == Path::new("-") {
        read(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(file).and_then(|mut open| read(&mut open))
    };
    match bytes {
        Ok(bytes) if bytes.len() as u64 > REQUEST_BYTES_MAX => {
            Err(format!("{}: a request has at most {REQUEST_BYTES_MAX} bytes", file.display()))
        }
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// What became of a rule, in a word.
const fn word(fate: RuleOutcome) -> &'static str {
    match fate {
        RuleOutcome::BelowLevel => "level",
        RuleOutcome::Expired => "expired",
        RuleOutcome::Unmet => "no",
        RuleOutcome::Excused => "unless",
        RuleOutcome::Within => "within",
        RuleOutcome::Shadowed => "shadow",
        RuleOutcome::Applied => "yes",
    }
}

/// A test of a rule in words. Where a `not` or an `or` turns it round, it says what it is itself.
fn test_line(test: &EvaluatedTest, expected: bool) -> String {
    let EvaluatedTest { text, holds, value } = test;
    let turned = match (*holds == expected, holds) {
        (true, _) => "",
        (false, true) => " (true)",
        (false, false) => " (false)",
    };
    format!("{text}: {value}{turned}")
}

/// Where no test settled it, what did.
const fn reason(fate: RuleOutcome) -> &'static str {
    match fate {
        RuleOutcome::BelowLevel => "its level is not reached",
        RuleOutcome::Expired => "its `expires` is over",
        RuleOutcome::Within => "the limit is not exceeded",
        RuleOutcome::Unmet
        | RuleOutcome::Excused
        | RuleOutcome::Shadowed
        | RuleOutcome::Applied => "it asks for nothing",
    }
}

fn rule_lines(rule: &RuleTrace, wide: usize) -> Vec<String> {
    let expected = rule.fate != RuleOutcome::Unmet;
    let told: Vec<String> = match rule.fate {
        RuleOutcome::Unmet | RuleOutcome::Excused => {
            rule.tests.last().map(|test| test_line(test, expected)).into_iter().collect()
        }
        RuleOutcome::Applied | RuleOutcome::Shadowed => {
            rule.tests.iter().map(|test| test_line(test, expected)).collect()
        }
        RuleOutcome::BelowLevel | RuleOutcome::Expired | RuleOutcome::Within => Vec::new(),
    };
    let mut told = told.into_iter();
    let first = told.next().unwrap_or_else(|| reason(rule.fate).to_owned());
    let (name, indent) = (&rule.rule, "");
    let mut lines = vec![format!("{name:<wide$}  {:<7} {first}", word(rule.fate))];
    lines.extend(told.map(|line| format!("{indent:<wide$}          {line}")));
    if !rule.effects.is_empty() {
        let effects = rule.effects.join(", ");
        lines.push(format!("{indent:<wide$}          does {effects}; score {}", rule.score));
    }
    lines
}

fn human(told: &Explanation) -> Vec<String> {
    let wide = told.considered.iter().map(|rule| rule.rule.chars().count()).max().unwrap_or(0);
    let mut lines = vec![format!("{} by {}", told.verdict, told.by), String::new()];
    lines.extend(told.considered.iter().flat_map(|rule| rule_lines(rule, wide)));
    let rules = if told.unreached == 1 { "rule" } else { "rules" };
    lines.push(format!("{} {rules} not reached", told.unreached));
    if !told.tags.is_empty() {
        lines.push(format!("tags: {}", told.tags.join(", ")));
    }
    lines.push("counters and bans are taken to be empty".to_owned());
    lines
}

fn as_json(told: &Explanation) -> Value {
    let test = |t: &EvaluatedTest| json!({ "text": t.text, "holds": t.holds, "value": t.value });
    let rule = |c: &RuleTrace| {
        json!({
            "rule": c.rule,
            "outcome": word(c.fate),
            "applied": c.fate == RuleOutcome::Applied,
            "tests": c.tests.iter().map(test).collect::<Vec<_>>(),
            "effects": c.effects,
            "score": c.score,
        })
    };
    json!({
        "verdict": told.verdict,
        "by": told.by,
        "rules": told.considered.iter().map(rule).collect::<Vec<_>>(),
        "not_reached": told.unreached,
        "score": told.score,
        "tags": told.tags,
    })
}

#[cfg(test)]
mod tests;
