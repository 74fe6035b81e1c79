//! One request while it is judged: what the running program sees through `Context`.
//!
//! It holds the walk's own memory (score, tags) and what was worked out once for this request:
//! packed headers, answers of rules. Nothing of it outlives the request.

use std::cell::{Cell, OnceCell, RefCell};

use seawall_model::{Answered, CounterId, Facts, Prefix, Proto, Tick};
use seawall_policy::program::{
    AtomId, Const, Counter, ExternId, ExternType, LevelId, ListId, Read, Scope,
};
use seawall_policy::run::{Context, Value, in_set};
use seawall_policy::schema::FieldId;
use seawall_policy::set::Set;
use seawall_state::{Key, State};
use seawall_wasm::{Answer, Arg, Args};
use smallvec::SmallVec;

use crate::explain::Trace;
use crate::http::{Field, country, crawler, method};
use crate::ruleset::RuleSet;

/// The most different calls of rules whose answers are kept for one request.
const ANSWERS_MAX: usize = 32;

/// A call of a rule that was answered: the function, the arguments as a key, the answer.
type Asked = (ExternId, Key, Value<'static>);

/// A key that was hashed.
#[derive(Debug, Clone, Copy)]
struct Hashed {
    key: Key,
    /// Whether none of its parts was absent.
    whole: bool,
}

/// So many different keys of one request are kept without asking for memory.
const KEYS_EXPECTED: usize = 6;

/// What differs between the server and a test.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Given<'g> {
    /// How bad it is.
    pub(crate) level: LevelId,
    /// Lists replaced by a test.
    pub(crate) lists: &'g [(ListId, Set)],
    /// Of each list, whether it is empty here where it was not replaced.
    pub(crate) withheld: &'g [bool],
    /// Rule after rule, without an index.
    pub(crate) plain: bool,
}

impl Given<'_> {
    /// What the server gives.
    pub(crate) fn at(level: LevelId) -> Self {
        Self { level, ..Self::default() }
    }
}

/// A request that is being judged.
pub(crate) struct Judging<'j> {
    pub(crate) rules: &'j RuleSet,
    pub(crate) facts: &'j Facts<'j>,
    pub(crate) state: &'j State,
    pub(crate) now: Tick,
    pub(crate) given: Given<'j>,
    pub(crate) tenant: Option<&'j str>,
    /// The member layer that the host belongs to.
    pub(crate) site: Option<usize>,
    /// How it was answered, once the answer has ended.
    pub(crate) answered: Option<Answered>,
    /// Where tests are written down, for `explain`.
    pub(crate) trace: Option<&'j Trace>,
    score: Cell<i64>,
    tags: RefCell<Vec<&'j str>>,
    headers: OnceCell<Option<Vec<u8>>>,
    answers: RefCell<Vec<Asked>>,
    keys: RefCell<SmallVec<[(u16, Hashed); KEYS_EXPECTED]>>,
}

impl<'j> Judging<'j> {
    pub(crate) fn new(
        rules: &'j RuleSet,
        facts: &'j Facts<'j>,
        state: &'j State,
        now: Tick,
        given: Given<'j>,
    ) -> Self {
        Self {
            rules,
            facts,
            state,
            now,
            given,
            tenant: None,
            site: None,
            answered: None,
            trace: None,
            score: Cell::new(0),
            tags: RefCell::new(Vec::new()),
            headers: OnceCell::new(),
            answers: RefCell::new(Vec::new()),
            keys: RefCell::default(),
        }
    }

    pub(crate) fn add_score(&self, n: i64) {
        self.score.set(self.score.get().saturating_add(n));
    }

    pub(crate) fn add_tag(&self, tag: &'j str) {
        self.tags.borrow_mut().push(tag);
    }

    /// The key of a counter for this request. A limit counts all absentees as one key, a track does
    /// not count them. Counters with the same `per` have the same key, which is hashed once.
    pub(crate) fn key(&self, id: CounterId, absent_counts: bool) -> Option<Key> {
        let shape = self.rules.key_shapes.get(id.0 as usize).copied().flatten();
        let known = shape.and_then(|shape| {
            self.keys.borrow().iter().find(|(known, _)| *known == shape).map(|known| known.1)
        });
        let hashed = match known {
            Some(hashed) => hashed,
            None => {
                let hashed = self.hashed(self.rules.program.counters.get(id.0 as usize)?);
                if let Some(shape) = shape {
                    self.keys.borrow_mut().push((shape, hashed));
                }
                hashed
            }
        };
        (hashed.whole || absent_counts).then_some(hashed.key)
    }

    fn hashed(&self, counter: &Counter) -> Hashed {
        let mut builder = self.state.key();
        let mut whole = true;
        if counter.scope == Scope::PerSite {
            builder.part(self.facts.site.as_bytes());
        }
        for operand in &counter.per {
            match self.rules.program.value(*operand, self) {
                Value::Absent => {
                    builder.absent();
                    whole = false;
                }
                value => with_key_bytes(&value, |bytes| builder.part(bytes)),
            }
        }
        Hashed { key: builder.finish(), whole }
    }

    /// A value as a key of its own, for `distinct`.
    pub(crate) fn value_key(&self, value: &Value<'_>) -> Key {
        let mut builder = self.state.key();
        with_key_bytes(value, |bytes| builder.part(bytes));
        builder.finish()
    }

    fn counter_value(&self, read: Read, id: CounterId) -> Option<u64> {
        let counter = self.rules.program.counters.get(id.0 as usize)?;
        let table = self.state.track(id)?;
        let key = self.key(id, false)?;
        Some(match read {
            Read::Count => table.count(key, counter.window_ms, self.now),
            Read::Bytes => table.bytes(key, counter.window_ms, self.now),
            Read::Distinct => table.distinct(key, counter.window_ms, self.now),
            Read::Share => table.share_percent(key, counter.window_ms, self.now),
            Read::Top(n) => u64::from(table.top(key, n as usize, counter.window_ms, self.now)),
        })
    }

    fn header(&self, name: &str) -> Value<'_> {
        self.facts.headers.first(name).map_or(Value::Absent, Value::bytes)
    }

    fn packed_headers(&self) -> Option<&[u8]> {
        let packed = self.headers.get_or_init(|| {
            let mut out = Vec::with_capacity(1_024);
            let max = self.rules.sandbox.limits().arg_bytes_max;
            seawall_wasm::pack_headers(self.facts.headers, &mut out, max).ok().map(|()| out)
        });
        packed.as_deref()
    }

    fn of_client(&self, field: Field) -> Value<'_> {
        let (client, geo) = (&self.facts.client, &self.facts.geo);
        match field {
            Field::Client => Value::Net(client.key.0),
            Field::ClientIp => Value::Ip(client.ip),
            Field::ClientNet => Value::Net(client.net),
            Field::ClientAsn => Value::number(geo.asn.map(u64::from)),
            Field::ClientCountry => geo.country.and_then(country).map_or(Value::Absent, Value::Int),
            Field::ClientCrawler => geo.crawler.and_then(crawler).map_or(Value::Absent, Value::Int),
            _ => Value::Absent,
        }
    }

    fn of_conn(&self, field: Field) -> Value<'_> {
        let conn = &self.facts.conn;
        match field {
            Field::ClientPort => Value::Int(conn.port.into()),
            Field::ConnProto => Value::Int(i64::from(conn.proto == Proto::H2)),
            Field::ConnJa4 => Value::text(conn.ja4),
            Field::ConnSni => Value::text(conn.sni),
            Field::ConnTls => Value::text(conn.tls),
            Field::ConnRequests => Value::Int(conn.requests.into()),
            Field::ConnAge => Value::number(Some(conn.age_ms.saturating_mul(1_000))),
            Field::ConnStreams => Value::Int(conn.streams.into()),
            Field::ConnGlitches => Value::Int(conn.glitches.into()),
            Field::ConnResets => Value::Int(conn.resets.into()),
            _ => Value::Absent,
        }
    }

    fn of_request(&self, field: Field) -> Value<'_> {
        let facts = self.facts;
        match field {
            Field::Method => Value::Int(method(facts.method)),
            Field::Host => Value::bytes(facts.host.as_bytes()),
            Field::Path => Value::bytes(facts.path),
            Field::RawPath => Value::bytes(facts.raw_path),
            Field::PathExt => extension(facts.path).map_or(Value::Absent, Value::bytes),
            Field::QueryString => facts.query.map_or(Value::Absent, Value::bytes),
            Field::Ua => self.header("user-agent"),
            Field::Referer => self.header("referer"),
            Field::ContentType => self.header("content-type"),
            Field::ContentLength => match self.header("content-length") {
                Value::Bytes(digits) => {
                    let text = std::str::from_utf8(&digits).ok();
                    Value::number(text.and_then(|text| text.trim().parse().ok()))
                }
                _ => Value::Absent,
            },
            Field::Headers => Value::Headers,
            _ => Value::Absent,
        }
    }

    fn of_answer(&self, field: Field) -> Value<'_> {
        let Some(answered) = self.answered else { return Value::Absent };
        match field {
            Field::Status => Value::Int(answered.status.into()),
            Field::BytesOut => Value::number(Some(answered.bytes_out)),
            Field::Latency => Value::number(Some(answered.latency_ms.saturating_mul(1_000))),
            _ => Value::Absent,
        }
    }

    fn of_state(&self, field: Field) -> Value<'_> {
        let (facts, origin) = (self.facts, &self.facts.origin);
        let age = |pass: seawall_model::Pass| self.now.since_ms(pass.issued).saturating_mul(1_000);
        match field {
            Field::PassValid => Value::Bool(facts.pass.is_some()),
            Field::PassKind => {
                facts.pass.map_or(Value::Absent, |pass| Value::Int(pass.kind as i64))
            }
            Field::PassAge => Value::number(facts.pass.map(age)),
            Field::PassFailures => Value::Int(facts.pass_failures.into()),
            Field::Level => Value::Int(self.given.level.0.into()),
            Field::Score => Value::Int(self.score.get()),
            Field::SiteName => Value::bytes(facts.site.as_bytes()),
            Field::SiteTenant => Value::text(self.tenant),
            Field::OriginLatency => {
                Value::number(origin.latency_ms.map(|ms| ms.saturating_mul(1_000)))
            }
            Field::OriginErrors => Value::number(origin.errors_percent.map(u64::from)),
            Field::OriginInflight => Value::number(origin.inflight.map(u64::from)),
            Field::CpuLoad => Value::number(facts.cpu_percent.map(u64::from)),
            _ => Value::Absent,
        }
    }

    /// Asks the rule, with the arguments as the contract wants them.
    fn ask(&self, id: ExternId, args: &[Value<'_>]) -> Option<Value<'static>> {
        let loaded = self.rules.externs.get(id.0 as usize)?;
        let declared = self.rules.program.externs.get(id.0 as usize)?;
        let mut given = Args::default();
        for (value, param) in args.iter().zip(&declared.params) {
            self.give(value, *param, &mut given)?;
        }
        match loaded.call_with(&given, self.now).ok()? {
            Answer::Bool(value) => Some(Value::Bool(value)),
            Answer::Int(n) => Some(Value::Int(n)),
            Answer::Text(bytes) => Some(Value::Bytes(bytes.into())),
        }
    }

    /// An absent text is empty, absent headers are none; an absent address has no bytes to give, so
    /// the call is not made (LANGUAGE §10).
    fn give<'a>(
        &'a self,
        value: &'a Value<'_>,
        param: ExternType,
        to: &mut Args<'a>,
    ) -> Option<()> {
        to.push(match (param, value) {
            (ExternType::Ip, Value::Ip(ip)) => {
                to.push_address(*ip);
                return Some(());
            }
            (ExternType::Ip, _) => return None,
            (ExternType::Bool, Value::Bool(value)) => Arg::Bool(*value),
            (ExternType::Bool, _) => Arg::Bool(false),
            (ExternType::Int, Value::Int(n)) => Arg::Int(*n),
            (ExternType::Int, _) => Arg::Int(0),
            (ExternType::Str, Value::Bytes(bytes)) => Arg::Bytes(bytes),
            (ExternType::Str, _) => Arg::Bytes(b""),
            (ExternType::Headers, _) => Arg::Bytes(self.packed_headers()?),
        });
        Some(())
    }

    fn on_failure(&self, id: ExternId) -> Value<'static> {
        match self.rules.program.externs.get(id.0 as usize).map(|item| &item.on_failure) {
            Some(Const::Bool(value)) => Value::Bool(*value),
            Some(Const::Int(n)) => Value::Int(*n),
            Some(Const::Bytes(bytes)) => Value::Bytes(bytes.to_vec().into()),
            _ => Value::Absent,
        }
    }
}

impl Context for Judging<'_> {
    fn field(&self, id: FieldId) -> Value<'_> {
        let Some(field) = Field::of(id) else { return Value::Absent };
        let at = field as u16;
        if at < Field::ClientPort as u16 {
            self.of_client(field)
        } else if at < Field::Method as u16 {
            self.of_conn(field)
        } else if at < Field::PassValid as u16 {
            self.of_request(field)
        } else if at < Field::Status as u16 {
            self.of_state(field)
        } else {
            self.of_answer(field)
        }
    }

    fn any_value(&self, id: FieldId, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        match Field::of(id) {
            Some(Field::Header) => self.facts.headers.any_value(name, visit),
            Some(Field::Cookie) => self.facts.headers.any_value("cookie", &mut |line| {
                cookies(line).any(|(key, value)| key == name.as_bytes() && visit(value))
            }),
            Some(Field::Query) => parameters(self.facts.query.unwrap_or_default())
                .any(|(key, value)| key == name.as_bytes() && visit(&value)),
            _ => false,
        }
    }

    fn tagged(&self, tag: &str) -> bool {
        self.tags.borrow().contains(&tag)
    }

    fn list_holds(&self, list: ListId, value: &Value<'_>) -> bool {
        let replaced = self.given.lists.iter().find(|(id, _)| *id == list);
        match replaced {
            Some((_, set)) => in_set(set, value),
            None if self.given.withheld.get(list.0 as usize) == Some(&true) => false,
            None => {
                self.rules.lists.get(list.0 as usize).is_some_and(|list| in_set(&list.set, value))
            }
        }
    }

    fn counter(&self, read: Read, counter: CounterId) -> i64 {
        let value = self.counter_value(read, counter).unwrap_or(0);
        i64::try_from(value).unwrap_or(i64::MAX)
    }

    fn sample(&self, percent: u8, key: &Value<'_>) -> bool {
        let mut builder = self.state.key();
        builder.part(b"sample");
        with_key_bytes(key, |bytes| builder.part(bytes));
        builder.finish().percentile() < percent
    }

    fn call(&self, id: ExternId, args: &[Value<'_>]) -> Value<'static> {
        let mut builder = self.state.key();
        args.iter().for_each(|arg| with_key_bytes(arg, |bytes| builder.part(bytes)));
        let key = builder.finish();
        let known =
            self.answers.borrow().iter().find(|a| a.0 == id && a.1 == key).map(|a| a.2.clone());
        if let Some(answer) = known {
            return answer;
        }
        let answer = self.ask(id, args).unwrap_or_else(|| self.on_failure(id));
        let mut answers = self.answers.borrow_mut();
        if answers.len() < ANSWERS_MAX {
            answers.push((id, key, answer.clone()));
        }
        answer
    }

    fn made(&self, atom: AtomId, holds: bool) {
        if let Some(trace) = self.trace {
            trace.made(self, atom, holds);
        }
    }
}

/// A value as the bytes of a key; values of different types never share them within one key, since
/// a key's parts have fixed types.
fn with_key_bytes<R>(value: &Value<'_>, with: impl FnOnce(&[u8]) -> R) -> R {
    match value {
        Value::Absent => with(&[]),
        Value::Bool(value) => with(&[u8::from(*value)]),
        Value::Int(n) => with(&n.to_le_bytes()),
        Value::Bytes(bytes) => with(bytes),
        Value::Ip(ip) => with(&Prefix::host(*ip).key_bytes()),
        Value::Net(net) => with(&net.key_bytes()),
        Value::Headers => with(b"headers"),
    }
}

/// What stands behind the last dot of the last segment.
fn extension(path: &[u8]) -> Option<&[u8]> {
    let name = path.rsplit(|b| *b == b'/').next()?;
    let dot = name.iter().rposition(|b| *b == b'.')?;
    name.get(dot.saturating_add(1)..).filter(|ext| !ext.is_empty() && dot > 0)
}

/// The pairs of a Cookie header (RFC 6265 §5.4), quotes and all.
fn cookies(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    line.split(|b| *b == b';').filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|b| *b == b'=')?;
        let (key, value) = pair.split_at_checked(at)?;
        Some((key, value.get(1..)?))
    })
}

/// The pairs of a query string, decoded once; a broken escape stays as it came.
fn parameters(query: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at_checked(at).unwrap_or((pair, b""));
        (unescape(key), unescape(value.strip_prefix(b"=").unwrap_or(value)))
    })
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let pair = tail.first().and_then(digit).zip(tail.get(1).and_then(digit));
        match (first, pair) {
            (b'+', _) => out.push(b' '),
            (b'%', Some((high, low))) => {
                out.push((high << 4) | low);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => out.push(*first),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_belong_to_the_last_segment() {
        assert_eq!(extension(b"/a/b.css"), Some(&b"css"[..]));
        assert_eq!(extension(b"/a.b/c"), None);
        assert_eq!(extension(b"/.htaccess"), None);
        assert_eq!(extension(b"/a."), None);
    }

    #[test]
    fn cookies_and_parameters_come_apart() {
        let found: Vec<_> = cookies(b"a=1; b=x=y;c; d=").collect();
        assert_eq!(found, [(&b"a"[..], &b"1"[..]), (b"b", b"x=y"), (b"d", b"")]);
        let found: Vec<_> = parameters(b"a=1&b=%41+c&&d&e=%zz").collect();
        let text = |k: &str, v: &str| (k.as_bytes().to_vec(), v.as_bytes().to_vec());
        assert_eq!(found, [text("a", "1"), text("b", "A c"), text("d", ""), text("e", "%zz")]);
    }
}
