//! `test` blocks: resolves names, parses URLs and checks values.

use std::net::{IpAddr, Ipv4Addr};

use seawall_model::{HostPattern, Proto, RuleId, VerdictKind, fold};

use super::build::Builder;
use super::declaration::text_of;
use super::layer::is_final;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, nearest};
use crate::policy_test::{Expected, PolicyTest, TestClient, TestPass, TestRequest, TestStep};
use crate::program::ListId;
use crate::schema::Type;
use crate::set::Set;
use crate::span::{Span, Spanned};
use crate::syntax::ast::{Action, Literal, Name, Prop, Request, Step, Test};

/// The client of a request that names none: a documentation address of RFC 5737.
const CLIENT_DEFAULT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Most requests that one line of a test can send.
pub const TIMES_MAX: i64 = 1_000_000;
/// Size of the origin's response if a test does not set it.
const ANSWER_BYTES_DEFAULT: u64 = 1_024;

impl Builder<'_> {
    /// Builds a test.
    pub(super) fn build_case(&mut self, test: &Test) {
        if !self.begins(test.name.span) {
            return;
        }
        self.may("test", test.name.span);
        if !self.claim_full("test", &self.qualified(&test.name.node), test.name.span) {
            return;
        }
        let mut case = PolicyTest {
            name: test.name.node.clone(),
            file: self.file,
            span: test.name.span,
            member: self.member.clone(),
            level: None,
            lists: Vec::new(),
            clients: Vec::new(),
            steps: Vec::new(),
        };
        let mut asked = false;
        let mut expects = false;
        for step in &test.steps {
            match &step.node {
                Step::Request(_) => asked = true,
                Step::Expect { .. } if !asked => {
                    self.error(Code::Misplaced, step.span, "`expect` needs a request before it");
                }
                Step::Expect { .. } => expects = true,
                _ => {}
            }
            self.case_step(step, &mut case);
        }
        if !expects {
            self.missing(
                test.name.span,
                "a test",
                "expect",
                "add the expected result: `expect \
                pass`",
            );
        }
        self.begins(test.name.span);
        if self.note_case(&case) {
            self.program.cases.push(case);
        }
        self.weigh();
    }

    fn case_step(&mut self, step: &Spanned<Step>, case: &mut PolicyTest) {
        match &step.node {
            Step::GivenLevel(name) => case.level = self.level_id(&name.node, name.span),
            Step::GivenClient { ip, props } => {
                let mut request = blank_request(step.span);
                self.props(props, &mut request);
                case.clients.push((fold(ip.node), request.client));
            }
            Step::GivenList { name, elements } => {
                case.lists.extend(self.given_list(name, elements))
            }
            Step::Request(request) => {
                if let Some(request) = self.request(request, step.span) {
                    case.steps.push(TestStep::Request(Box::new(request)));
                }
            }
            Step::Wait(duration) => case.steps.push(TestStep::Wait { ms: duration.node.ms() }),
            Step::Expect { action, by } => {
                let expected = match action {
                    None => Some(Expected::Pass),
                    Some(action) => self.expected(action),
                };
                let by = match by {
                    None => Some(None),
                    Some(name) => self.rule_by_name(name).map(Some),
                };
                if let (Some(expected), Some(by)) = (expected, by) {
                    case.steps.push(TestStep::Expect { expected, by, span: step.span });
                }
            }
        }
    }

    fn given_list(
        &mut self,
        name: &Name,
        elements: &Spanned<Vec<Spanned<Literal>>>,
    ) -> Option<(ListId, Set)> {
        let full = self.resolve(&self.names.lists, &name.node);
        let Some((list, element)) = full.and_then(|full| self.names.lists.get(&full).copied())
        else {
            let known = self.names.lists.keys();
            let near = nearest(&name.node, known.map(|full| &**full));
            let help = near.map_or("declare it with `list`".to_owned(), |near| {
                format!("did you mean `@{near}`?")
            });
            let message = format!("there is no list `@{}`", name.node);
            self.complain(
                Diagnostic::error(Code::UnknownList, self.file, name.span, message).help(help),
            );
            return None;
        };
        self.given_elements((list, element), name, elements).map(|set| (list, set))
    }

    /// Returns a rule by its full name, or by the last part of the name if only one rule ends with
    /// it.
    fn rule_by_name(&mut self, name: &Name) -> Option<RuleId> {
        let full = self.resolve(&self.names.rules, &name.node);
        if let Some(id) = full.and_then(|full| self.names.rules.get(&full).copied()) {
            return Some(id);
        }
        let tail = format!(".{}", name.node);
        let mut ends = self.names.rules.iter().filter(|(full, _)| full.ends_with(&tail));
        let found = (ends.next().map(|(_, id)| *id), ends.next().is_some());
        drop(ends);
        if let (Some(id), false) = found {
            return Some(id);
        }
        let known = self.names.rules.keys().map(|full| &**full);
        let near = nearest(&name.node, known).map(String::from);
        let mut diagnostic = Diagnostic::error(
            Code::UnknownRule,
            self.file,
            name.span,
            format!("there is no rule or limit `{}`", name.node),
        );
        diagnostic = match near {
            Some(near) => diagnostic.label(format!("did you mean `{near}`?")).fix(name.span, near),
            None => diagnostic.help("add its layer to the name, as in `defaults.login`"),
        };
        self.complain(diagnostic);
        None
    }

    fn expected(&mut self, action: &Spanned<Action>) -> Option<Expected> {
        if matches!(action.node, Action::Error) {
            return None;
        }
        if !is_final(&action.node) {
            self.error(
                Code::WrongAction,
                action.span,
                "a test must expect `pass` or a final action",
            );
            return None;
        }
        let (kind, status, proof, for_ms) = match &action.node {
            Action::Allow => (VerdictKind::Allow, None, None, None),
            Action::Block { status, .. } => {
                let status = match status {
                    None => None,
                    Some(status) => Some(self.in_range("block", status, 400, 599)?),
                };
                (VerdictKind::Block, status.and_then(|s| u16::try_from(s).ok()), None, None)
            }
            Action::Drop => (VerdictKind::Drop, None, None, None),
            Action::Ban { duration, .. } => {
                (VerdictKind::Ban, None, None, written(duration.node.ms()))
            }
            Action::Challenge { kind, valid } => {
                let proof = kind.as_ref().map(|kind| kind.node);
                (VerdictKind::Challenge, None, proof, valid.as_ref().map(|valid| valid.node.ms()))
            }
            Action::Throttle { .. } => (VerdictKind::Throttle, None, None, None),
            Action::Tarpit(hold) => (VerdictKind::Tarpit, None, None, written(hold.node.ms())),
            Action::Tag(_) | Action::Score(_) | Action::Log(_) | Action::Error => return None,
        };
        Some(Expected::Verdict { kind, status, proof, for_ms })
    }

    fn request(&mut self, request: &Request, span: Span) -> Option<TestRequest> {
        let url = &request.url;
        let split = url.node.split_once("://").and_then(|(scheme, rest)| {
            let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, target) = rest.split_at_checked(at)?;
            matches!(scheme, "http" | "https").then_some((scheme == "https", authority, target))
        });
        let Some((encrypted, authority, target)) = split.filter(|(_, host, _)| !host.is_empty())
        else {
            self.complain(
                Diagnostic::error(
                    Code::OutOfRange,
                    self.file,
                    url.span,
                    "a test needs a complete URL",
                )
                .help("as in `\"https://alice.example/\"`"),
            );
            return None;
        };
        self.own_authority(authority, url.span)?;
        let times = match &request.times {
            None => 1,
            Some(times) => self.in_range("times", times, 1, TIMES_MAX)?,
        };
        let target =
            if target.starts_with('/') { target.into() } else { format!("/{target}").into() };
        let mut built = TestRequest {
            method: self.case_method(&request.method)?,
            encrypted,
            authority: authority.into(),
            target,
            from: request.from.as_ref().map_or(CLIENT_DEFAULT, |from| fold(from.node)),
            times: u64::try_from(times).unwrap_or(1),
            over_ms: request.over.as_ref().map(|over| over.node.ms()),
            ..blank_request(span)
        };
        self.props(&request.props, &mut built);
        Some(built)
    }

    /// Returns the method of a request, as sent.
    fn case_method(&mut self, written: &Spanned<Literal>) -> Option<Box<str>> {
        let (_, spec) = self.given.schema.field("method")?;
        let Type::Enum(id) = spec.ty else { return None };
        match &written.node {
            Literal::Word(word) => {
                let code = self.word_code(id, word, written.span)?;
                self.given.schema.words(id)?.word(code).map(Box::from)
            }
            Literal::Str(bytes) => {
                let words = self.given.schema.words(id)?.words;
                if !words.iter().any(|word| word.as_bytes() == &**bytes) {
                    self.other_value(id, bytes, written.span)?;
                }
                String::from_utf8(bytes.to_vec()).ok().map(Box::from)
            }
            _ => None,
        }
    }

    /// Checks that a test can send requests to this host. A member's tests can use the member's
    /// hosts only.
    fn own_authority(&mut self, authority: &str, span: Span) -> Option<()> {
        if self.member.is_none() {
            return Some(());
        }
        let host = host_of(authority);
        match HostPattern::parse(host) {
            Ok(pattern) => self.own_host(&pattern, host, span).then_some(()),
            Err(why) => {
                self.error(Code::MemberHost, span, format!("`{host}` is not a valid host: {why}"));
                None
            }
        }
    }

    fn props(&mut self, props: &[Spanned<Prop>], request: &mut TestRequest) {
        let mut cookies: Vec<u8> = Vec::new();
        for prop in props {
            match &prop.node {
                Prop::Header(name, value) => {
                    request
                        .headers
                        .push((name.node.to_ascii_lowercase().into(), value.node.clone()));
                }
                Prop::Cookie(name, value) => {
                    if !cookies.is_empty() {
                        cookies.extend_from_slice(b"; ");
                    }
                    cookies.extend_from_slice(name.node.as_bytes());
                    cookies.push(b'=');
                    cookies.extend_from_slice(&value.node);
                }
                Prop::Asn(asn) => request.client.asn = Some(*asn),
                Prop::Country(name) => request.client.country = self.country(name),
                Prop::Crawler(name) => {
                    if self.enum_word("a verified crawler", name).is_some() {
                        request.client.crawler = Some(name.node.clone());
                    }
                }
                Prop::Ja4(text) => request.ja4 = Some(text.clone()),
                Prop::Proto(name) => match &*name.node {
                    "h10" => request.proto = Proto::H10,
                    "h1" => request.proto = Proto::H1,
                    "h2" => request.proto = Proto::H2,
                    other => self.one_of(other, name.span, "a protocol", &["h10", "h1", "h2"]),
                },
                Prop::Connections(n) => request.connections = self.gauge("connections", n),
                Prop::InFlight(n) => request.in_flight = self.gauge("in_flight", n),
                Prop::PassValid => request.pass = TestPass::Fresh,
                Prop::PassNone => request.pass = TestPass::None,
                Prop::PassAge(age) => request.pass = TestPass::Aged(age.ms()),
                Prop::Answered { status, after } => {
                    if let Some(n) = self.in_range("answered", status, 100, 599) {
                        request.status = u16::try_from(n).unwrap_or(200);
                    }
                    request.answered_after_ms = after.as_ref().map_or(0, |after| after.node.ms());
                }
                Prop::Bytes(n) => request.answer_bytes = u64::try_from(*n).unwrap_or(0),
            }
        }
        if !cookies.is_empty() {
            request.headers.push(("cookie".into(), cookies.into()));
        }
    }

    /// Returns a number of connections or requests of a client, with the current one.
    fn gauge(&mut self, name: &str, n: &Spanned<i64>) -> Option<u32> {
        self.in_range(name, n, 1, u32::MAX.into()).and_then(|n| u32::try_from(n).ok())
    }

    fn country(&mut self, name: &Name) -> Option<[u8; 2]> {
        self.enum_word("a country", name)?;
        let upper = name.node.to_ascii_uppercase();
        match *upper.as_bytes() {
            [a, b] => Some([a, b]),
            _ => None,
        }
    }

    /// Checks a word against the enumeration with this description.
    fn enum_word(&mut self, description: &str, name: &Name) -> Option<i64> {
        let at = self.given.schema.enums.iter().position(|spec| spec.name == description)?;
        let id = crate::schema::EnumId(u16::try_from(at).ok()?);
        let literal = Literal::Word(name.node.clone());
        self.word_code(id, &text_of(&literal)?, name.span)
    }
}

/// Returns the host of an authority, without port and final dot.
fn host_of(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// Returns `None` for 0, which stands for an omitted argument.
fn written(ms: u64) -> Option<u64> {
    (ms > 0).then_some(ms)
}

fn blank_request(span: Span) -> TestRequest {
    TestRequest {
        method: "GET".into(),
        encrypted: false,
        authority: Box::default(),
        target: "/".into(),
        from: CLIENT_DEFAULT,
        headers: Vec::new(),
        client: TestClient::default(),
        ja4: None,
        proto: Proto::H1,
        connections: None,
        in_flight: None,
        pass: TestPass::None,
        status: 200,
        answered_after_ms: 0,
        answer_bytes: ANSWER_BYTES_DEFAULT,
        times: 1,
        over_ms: None,
        span,
    }
}
