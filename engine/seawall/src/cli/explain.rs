//! `seawall explain`: evaluates a policy for one request and shows every rule on the way.
//!
//! The request comes from the command line, a file or a curl command. It is evaluated by the code
//! of the server, with empty counters; a policy test can fill them.

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

use super::common::{PolicyHostArgs, count};
use crate::cli::exit::{ExitStatus, fail, print_err, print_json, print_out};
use crate::policy_loader;

#[cfg(test)]
pub(super) use curl::split;

/// The most bytes of a request file: 64 KiB. A server accepts no longer request header either.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// Show how a policy evaluates one request, rule by rule.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Root policy file
    policy: PathBuf,
    /// Method and URL of the request
    #[arg(num_args = 2, value_names = ["METHOD", "URL"], conflicts_with_all = ["request", "curl"],
        required_unless_present_any = ["request", "curl"])]
    method_and_url: Vec<String>,
    /// Read an HTTP/1.1 request header from FILE; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "curl")]
    request: Option<PathBuf>,
    /// Take the request from a curl command, as browsers copy it
    #[arg(long, value_name = "COMMAND")]
    curl: Option<String>,
    /// Add a header, such as `accept: text/html`; repeatable
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Set the address of the client
    #[arg(long, value_name = "IP", default_value = "192.0.2.1")]
    from: IpAddr,
    #[command(flatten)]
    client: client_flags::ClientFlags,
    /// Set the level of the policy [default: normal]
    #[arg(long, value_name = "NAME")]
    level: Option<String>,
    #[command(flatten)]
    host: PolicyHostArgs,
    /// Print the evaluation as JSON
    #[arg(long)]
    json: bool,
}

/// A request without what its connection adds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ParsedRequest {
    method: String,
    encrypted: bool,
    authority: String,
    target: String,
    /// Names in lower case; without Host.
    headers: Vec<(String, Vec<u8>)>,
}

impl Explain {
    pub(crate) fn run(&self) -> ExitStatus {
        let request = match self.request() {
            Ok(request) => request,
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
            let policy = self.policy.display();
            return fail(ExitStatus::Failure, format!("{policy}: the policy has errors"));
        };
        for member in &built.members {
            print_err(format!(
                "the files of member {} have errors and are not evaluated",
                member.name
            ));
        }
        self.print(rules, &request, now())
    }

    /// Evaluates the request and prints how.
    fn print(
        &self,
        rules: &RuleSet,
        request: &ExplainRequest,
        now: seawall_model::Tick,
    ) -> ExitStatus {
        match rules.explain(request, now) {
            Err(unknown) => {
                let level = self.level.as_deref().unwrap_or_default().escape_debug().to_string();
                let known = unknown.known.join(", ");
                return fail(
                    ExitStatus::Failure,
                    format!("unknown level `{level}`; the policy has {known}"),
                );
            }
            Ok(explanation) if self.json => print_json(as_json(&explanation)),
            Ok(explanation) => lines(&explanation).iter().for_each(print_out),
        }
        ExitStatus::Success
    }

    /// The request that the flags describe.
    fn request(&self) -> Result<ExplainRequest, String> {
        let mut parsed = match (&self.request, &self.curl, self.method_and_url.as_slice()) {
            (Some(file), ..) => raw_request::read(&bytes(file)?)?,
            (_, Some(command), _) => curl::read(command)?,
            (_, _, [method, url]) => ParsedRequest::new(method, url)?,
            _ => return Err("give METHOD and URL, `--request` or `--curl`".to_owned()),
        };
        for line in &self.headers {
            parsed.header(line)?;
        }
        Ok(ExplainRequest {
            method: parsed.method.into(),
            encrypted: parsed.encrypted,
            authority: parsed.authority.into(),
            target: parsed.target.into(),
            from: self.from,
            headers: parsed.headers.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
            level: self.level.as_deref().map(Into::into),
            known: self.client.hints()?,
        })
    }
}

impl ParsedRequest {
    /// A request without headers.
    fn new(method: &str, url: &str) -> Result<Self, String> {
        let (encrypted, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, _)) => {
                return Err(format!("`{}` is neither http nor https", scheme.escape_debug()));
            }
            // As in curl.
            None => (false, url),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let authority = authority.rsplit('@').next().unwrap_or_default();
        if authority.is_empty() {
            return Err(format!("`{}` has no host", url.escape_debug()));
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

    /// Adds a header written `name: value`; Host replaces the host of the URL.
    fn header(&mut self, line: &str) -> Result<(), String> {
        let wrong = || format!("`{}` is not a header: write `name: value`", line.escape_debug());
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
    Err(format!("`{}` is not a method", method.escape_debug()))
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
            Err(format!("{}: longer than {REQUEST_BYTES_MAX} bytes", file.display()))
        }
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// The name of an outcome.
const fn outcome_name(fate: RuleOutcome) -> &'static str {
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

/// A test of a rule as text, with its own result where a `not` or an `or` inverts it.
fn test_line(test: &EvaluatedTest, expected: bool) -> String {
    let EvaluatedTest { text, holds, value } = test;
    let inverted = match (*holds == expected, holds) {
        (true, _) => "",
        (false, true) => " (true)",
        (false, false) => " (false)",
    };
    format!("{text}: {value}{inverted}")
}

/// The reason for an outcome that depends on no test.
const fn reason(fate: RuleOutcome) -> &'static str {
    match fate {
        RuleOutcome::BelowLevel => "the active level is below the level of the rule",
        RuleOutcome::Expired => "its `expires` date is past",
        RuleOutcome::Within => "the limit is not exceeded",
        RuleOutcome::Unmet
        | RuleOutcome::Excused
        | RuleOutcome::Shadowed
        | RuleOutcome::Applied => "it has no condition",
    }
}

fn rule_lines(rule: &RuleTrace, width: usize) -> Vec<String> {
    let expected = rule.fate != RuleOutcome::Unmet;
    let tests: Vec<String> = match rule.fate {
        RuleOutcome::Unmet | RuleOutcome::Excused => {
            rule.tests.last().map(|test| test_line(test, expected)).into_iter().collect()
        }
        RuleOutcome::Applied | RuleOutcome::Shadowed => {
            rule.tests.iter().map(|test| test_line(test, expected)).collect()
        }
        RuleOutcome::BelowLevel | RuleOutcome::Expired | RuleOutcome::Within => Vec::new(),
    };
    let mut tests = tests.into_iter();
    let first = tests.next().unwrap_or_else(|| reason(rule.fate).to_owned());
    let (name, indent) = (&rule.rule, "");
    let mut lines = vec![format!("{name:<width$}  {:<7} {first}", outcome_name(rule.fate))];
    lines.extend(tests.map(|line| format!("{indent:<width$}          {line}")));
    if !rule.effects.is_empty() {
        let effects = rule.effects.join(", ");
        lines.push(format!("{indent:<width$}          does {effects}; score {}", rule.score));
    }
    lines
}

fn lines(explanation: &Explanation) -> Vec<String> {
    let width =
        explanation.considered.iter().map(|rule| rule.rule.chars().count()).max().unwrap_or(0);
    let mut lines = vec![format!("{} by {}", explanation.verdict, explanation.by), String::new()];
    lines.extend(explanation.considered.iter().flat_map(|rule| rule_lines(rule, width)));
    lines.push(format!("{} not reached", count(explanation.unreached, "rule")));
    if !explanation.tags.is_empty() {
        lines.push(format!("tags: {}", explanation.tags.join(", ")));
    }
    lines.push("counters and bans are empty in this evaluation".to_owned());
    lines
}

fn as_json(explanation: &Explanation) -> Value {
    let test = |t: &EvaluatedTest| json!({ "text": t.text, "holds": t.holds, "value": t.value });
    let rule = |rule: &RuleTrace| {
        json!({
            "rule": rule.rule,
            "outcome": outcome_name(rule.fate),
            "applied": rule.fate == RuleOutcome::Applied,
            "tests": rule.tests.iter().map(test).collect::<Vec<_>>(),
            "effects": rule.effects,
            "score": rule.score,
        })
    };
    json!({
        "verdict": explanation.verdict,
        "by": explanation.by,
        "rules": explanation.considered.iter().map(rule).collect::<Vec<_>>(),
        "not_reached": explanation.unreached,
        "score": explanation.score,
        "tags": explanation.tags,
    })
}

#[cfg(test)]
mod tests;
