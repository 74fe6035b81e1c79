//! One request during its evaluation: the facts that a running program reads through `Context`.
//!
//! It holds the score, the tags and the values computed once for this request: packed headers,
//! query and cookies, results of WASM rules. All of it ends with the request. Operator and member
//! each pay for everything that they use, whichever of them uses it first, so that the fuel of one
//! does not depend on the other.

use std::cell::{Cell, OnceCell, RefCell};

use seawall_model::{CounterId, Facts, Gauges, Prefix, ResponseInfo, Tick};
use seawall_policy::eval::{Context, Value, in_set};
use seawall_policy::fuel::{Fuel, price};
use seawall_policy::program::{
    AtomId, Const, Counter, ExternId, ExternType, LevelId, ListId, Read, Scope,
};
use seawall_policy::schema::FieldId;
use seawall_policy::set::Set;
use seawall_policy::texts::{Search, Searches};
use seawall_state::{Key, State, Unit};
use seawall_wasm::{Arg, Args, Budget, CallValue};
use smallvec::SmallVec;

use crate::eval::fuel::{FuelLimits, Part};
use crate::eval::pairs::{Pairs, price_of};
use crate::eval::trace::TestTrace;
use crate::http::{Field, country, crawler, method};
use crate::ruleset::RuleSet;

/// Most different calls of externs by one part of a policy for one request. Further calls fail.
pub const EXTERN_CALLS_MAX: usize = 32;

/// A finished call of a WASM rule: the function, the arguments as a key, the result.
type CallRecord = (ExternId, Key, Value<'static>);

/// A hashed key.
#[derive(Debug, Clone, Copy)]
struct HashedKey {
    key: Key,
    /// Whether all of its parts are present.
    whole: bool,
}

/// The counts of a request in flight, one for each concurrency limit, until they are dropped.
pub type Units = Vec<Unit>;

/// Number of different keys of one request that are stored without an allocation.
const KEYS_EXPECTED: usize = 6;

/// The differences between the server and a test.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EvalOptions<'g> {
    /// The level.
    pub(crate) level: LevelId,
    /// Lists replaced by a test.
    pub(crate) lists: &'g [GivenList<'g>],
    /// For each list, whether it is empty here if it is not replaced.
    pub(crate) withheld: &'g [bool],
    /// Evaluates rule by rule, without an index and without a fuel limit.
    pub(crate) plain: bool,
    /// The request is not traffic, and failures do not count for a quarantine.
    pub(crate) rehearsed: bool,
}

/// A list replaced by a test.
#[derive(Debug)]
pub(crate) struct GivenList<'g> {
    list: ListId,
    set: &'g Set,
    /// Built on first use; they end with the test.
    searches: Searches,
}

impl<'g> GivenList<'g> {
    pub(crate) fn new((list, set): &'g (ListId, Set)) -> Self {
        Self { list: *list, set, searches: Searches::default() }
    }

    fn stands_in(&self, search: Search, text: &[u8], fuel: &Fuel) -> bool {
        // A list with an empty text or too many texts was rejected by the checker.
        self.searches.ready(search, self.set).is_ok()
            && self.searches.get(search).is_some_and(|texts| texts.found_in(text, fuel))
    }
}

impl EvalOptions<'_> {
    /// Returns the options of the server.
    pub(crate) fn at(level: LevelId) -> Self {
        Self { level, ..Self::default() }
    }
}

/// Values shared between operator and member, as bits of what each has paid for.
mod once {
    pub(super) const QUERY: u8 = 1;
    pub(super) const COOKIES: u8 = 2;
    pub(super) const HEADERS: u8 = 4;
}

/// A request during its evaluation.
pub(crate) struct EvalContext<'j> {
    pub(crate) rules: &'j RuleSet,
    pub(crate) facts: &'j Facts<'j>,
    pub(crate) state: &'j State,
    pub(crate) now: Tick,
    pub(crate) given: EvalOptions<'j>,
    pub(crate) member: Option<&'j str>,
    /// The member layer of the host.
    pub(crate) site: Option<usize>,
    /// The response, after its end.
    pub(crate) answered: Option<ResponseInfo>,
    /// The record of tests for `explain`.
    pub(crate) trace: Option<&'j TestTrace>,
    /// The counts of the concurrency limits that accepted the request.
    pub(crate) units: RefCell<Units>,
    score: Cell<i64>,
    tags: RefCell<Vec<&'j str>>,
    headers: OnceCell<Option<Vec<u8>>>,
    query: OnceCell<Box<Pairs<'j>>>,
    cookies: OnceCell<Box<Pairs<'j>>>,
    /// The results of calls; the flag is true for those of a member.
    answers: RefCell<Vec<(bool, CallRecord)>>,
    keys: RefCell<SmallVec<[(u32, HashedKey); KEYS_EXPECTED]>>,
    /// The fuel of the running part: the operator's, except inside [`EvalContext::for_site`].
    pub(crate) fuel: Fuel,
    /// The fuel of the other part.
    pub(crate) others_fuel: Fuel,
    /// The remaining budgets for calls of the operator and of the member.
    calls: [Cell<Budget>; 2],
    /// What each of them has paid for, as bits of [`once`].
    paid: [Cell<u8>; 2],
    /// Whether the running part is the member's.
    is_member: Cell<bool>,
    /// The member's part, unless it is skipped.
    part: Cell<Option<&'j Part>>,
}

impl<'j> EvalContext<'j> {
    #[inline]
    pub(crate) fn new(
        rules: &'j RuleSet,
        facts: &'j Facts<'j>,
        state: &'j State,
        now: Tick,
        given: EvalOptions<'j>,
    ) -> Self {
        let fuel = if given.plain { &FuelLimits::UNBOUNDED } else { &rules.fuel };
        Self {
            rules,
            facts,
            state,
            now,
            given,
            member: None,
            site: None,
            answered: None,
            trace: None,
            units: RefCell::default(),
            score: Cell::new(0),
            tags: RefCell::new(Vec::new()),
            headers: OnceCell::new(),
            query: OnceCell::new(),
            cookies: OnceCell::new(),
            answers: RefCell::new(Vec::new()),
            keys: RefCell::default(),
            fuel: Fuel::new(fuel.decision),
            others_fuel: Fuel::new(fuel.member),
            calls: [
                Cell::new(Budget::new(fuel.externs, fuel.externs_ms)),
                Cell::new(Budget::new(fuel.externs / 2, fuel.externs_ms / 2)),
            ],
            paid: [Cell::new(0), Cell::new(0)],
            is_member: Cell::new(false),
            part: Cell::new(None),
        }
    }

    /// Finds the member layer of the host.
    pub(crate) fn find_site(&mut self) {
        self.site = self.rules.sites.find(self.facts.host).copied();
        let Some(at) = self.site else { return };
        self.member = self.rules.program.sites.get(at).and_then(|site| site.member.as_deref());
        let part = self.rules.parts.of_site(at);
        self.part.set(part.filter(|part| self.given.rehearsed || part.is_heard(self.now)));
    }

    /// Returns the value of the running part.
    fn own<'c, T>(&self, [hosts, members]: &'c [T; 2]) -> &'c T {
        if self.is_member.get() { members } else { hosts }
    }

    /// Takes the fuel for a value that is computed once, at the first use by the running part.
    fn pays_once(&self, bit: u8, price: impl FnOnce() -> u64) -> bool {
        let paid = self.own(&self.paid);
        if paid.get() & bit == 0 && self.fuel.take(price()) {
            paid.set(paid.get() | bit);
        }
        paid.get() & bit != 0
    }

    /// Returns whether a member wrote the layer of this site.
    fn is_members(&self) -> bool {
        self.member.is_some()
    }

    /// Returns whether the layer of this site is evaluated. A layer of the operator always is.
    pub(crate) fn hears_site(&self) -> bool {
        !self.is_members() || self.part.get().is_some()
    }

    /// Runs code of the site's layer: a member's layer uses the member's fuel. Returns `None` if
    /// the fuel is exhausted; the layer is then skipped for the rest of the request.
    pub(crate) fn for_site<T>(&self, run: impl FnOnce() -> T) -> Option<T> {
        if !self.is_members() {
            return Some(run());
        }
        let part = self.part.get()?;
        self.is_member.set(true);
        self.fuel.swap(&self.others_fuel);
        let told = run();
        self.fuel.swap(&self.others_fuel);
        self.is_member.set(false);
        if !self.others_fuel.is_empty() {
            return Some(told);
        }
        self.part.set(None);
        if !self.given.rehearsed {
            part.note_empty(self.now);
        }
        None
    }

    /// Returns whether the running part stopped because its fuel is exhausted.
    pub(crate) fn has_stopped(&self) -> bool {
        self.fuel.is_empty()
    }

    /// Returns the current score and number of tags, for [`EvalContext::forget`].
    pub(crate) fn said(&self) -> (i64, usize) {
        (self.score.get(), self.tags.borrow().len())
    }

    /// Removes the changes to score and tags since then.
    pub(crate) fn forget(&self, (score, tags): (i64, usize)) {
        self.score.set(score);
        self.tags.borrow_mut().truncate(tags);
    }

    pub(crate) fn add_score(&self, n: i64) {
        self.score.set(self.score.get().saturating_add(n));
    }

    pub(crate) fn add_tag(&self, tag: &'j str) {
        self.tags.borrow_mut().push(tag);
    }

    /// Returns the key of a counter for this request. A limit counts all absent values as one key,
    /// a track ignores them. Counters with the same `per` have the same key, which is hashed once.
    pub(crate) fn key(&self, id: CounterId, absent_counts: bool) -> Option<Key> {
        let shape = self.rules.key_shapes.get(id.0 as usize).copied().flatten();
        let shape = shape.map(|shape| self.whose(shape));
        let known = match shape {
            Some(shape) => {
                let keys = self.keys.borrow();
                if keys.len() > KEYS_EXPECTED && !self.fuel.take(self.own_keys(&keys)) {
                    return None;
                }
                keys.iter().find(|(known, _)| *known == shape).map(|known| known.1)
            }
            None => None,
        };
        let hashed = match known {
            Some(hashed) => hashed,
            None => {
                let hashed = self.hashed(self.rules.program.counters.get(id.0 as usize)?);
                if self.fuel.is_empty() {
                    return None;
                }
                if let Some(shape) = shape {
                    self.keys.borrow_mut().push((shape, hashed));
                }
                hashed
            }
        };
        (hashed.whole || absent_counts).then_some(hashed.key)
    }

    /// Returns a kind of key, separate for the operator and the member.
    fn whose(&self, shape: u16) -> u32 {
        u32::from(shape) | u32::from(self.is_member.get()) << 16
    }

    /// Returns the cost of a search in many keys, without the keys of the other part, because they
    /// must not cost this part anything.
    #[cold]
    fn own_keys(&self, keys: &[(u32, HashedKey)]) -> u64 {
        let whose = self.whose(0);
        let own = keys.iter().filter(|(shape, _)| shape >> 16 == whose >> 16).count();
        own.saturating_sub(KEYS_EXPECTED) as u64
    }

    fn hashed(&self, counter: &Counter) -> HashedKey {
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
                value => with_key_bytes(&value, |bytes| {
                    if self.fuel().take(hashing(bytes)) {
                        builder.part(bytes);
                    }
                }),
            }
        }
        HashedKey { key: builder.finish(), whole }
    }

    /// Returns a value as a key, for `distinct`.
    pub(crate) fn value_key(&self, value: &Value<'_>) -> Key {
        let mut builder = self.state.key();
        with_key_bytes(value, |bytes| {
            if self.fuel().take(hashing(bytes)) {
                builder.part(bytes);
            }
        });
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

    /// Takes the fuel to find a field by name. Most of the work is for fields of the same length.
    fn pays_for_field(&self, name: &str) -> bool {
        let each = price::NAMED_EACH.saturating_add(name.len() as u64 / 8);
        let fields = self.facts.headers.count() as u64;
        self.fuel().take(price::NAMED.saturating_add(fields.saturating_mul(each)))
    }

    fn header(&self, name: &str) -> Value<'_> {
        if !self.pays_for_field(name) {
            return Value::Absent;
        }
        self.facts.headers.first(name).map_or(Value::Absent, Value::bytes)
    }

    fn parameters(&self) -> Option<&Pairs<'j>> {
        let query = self.facts.query.unwrap_or_default();
        let paid = self.pays_once(once::QUERY, || price_of(query, b'&'));
        paid.then(|| &**self.query.get_or_init(|| Box::new(Pairs::of_query(query))))
    }

    fn cookies(&self) -> Option<&Pairs<'j>> {
        let headers = self.facts.headers;
        let each = |visit: &mut dyn FnMut(&'j [u8])| {
            headers.any_value("cookie", &mut |line| {
                visit(line);
                false
            });
        };
        let paid = self.pays_once(once::COOKIES, || {
            let mut sum = (headers.count() as u64).saturating_mul(price::NAMED_EACH);
            each(&mut |line| sum = sum.saturating_add(price_of(line, b';')));
            sum
        });
        paid.then(|| {
            &**self.cookies.get_or_init(|| {
                let mut pairs = Box::<Pairs<'_>>::default();
                each(&mut |line| pairs.add_cookies(line));
                pairs
            })
        })
    }

    fn any_pair(
        &self,
        pairs: Option<&Pairs<'_>>,
        name: &str,
        visit: &mut dyn FnMut(&[u8]) -> bool,
    ) -> bool {
        let Some(pairs) = pairs else { return false };
        let fuel = self.fuel();
        let pay = |amount| fuel.take(amount);
        fuel.take(pairs.price()) && pairs.any_value(name.as_bytes(), pay, visit)
    }

    fn packed_headers(&self) -> Option<&[u8]> {
        let paid = self.pays_once(once::HEADERS, || {
            let mut bytes = 0_usize;
            let mut add = |name: &[u8], value: &[u8]| {
                bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
            };
            self.facts.headers.each(&mut add);
            let fields = (self.facts.headers.count() as u64).saturating_mul(price::PAIR);
            price::MADE.saturating_add(bytes as u64).saturating_add(fields)
        });
        if !paid {
            return None;
        }
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
            Field::ClientConnections => Value::number(
                self.facts.conn.gauges.map_or(Some(1), Gauges::connections).map(u64::from),
            ),
            Field::ClientInFlight => {
                Value::Int(self.facts.conn.gauges.map_or(1, Gauges::in_flight).into())
            }
            Field::ClientCrawler => geo.crawler.and_then(crawler).map_or(Value::Absent, Value::Int),
            _ => Value::Absent,
        }
    }

    fn of_conn(&self, field: Field) -> Value<'_> {
        let conn = &self.facts.conn;
        match field {
            Field::ClientPort => Value::Int(conn.port.into()),
            Field::ConnProto => Value::Int(conn.proto as i64),
            Field::Scheme => Value::Int(conn.scheme as i64),
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
            Field::PathScript => facts.script.map_or(Value::Absent, Value::bytes),
            // Each unregistered method is a value of its own.
            Field::Method => match method(facts.method) {
                Some(known) => Value::Int(known),
                None => Value::bytes(facts.method.as_bytes()),
            },
            Field::Host => Value::bytes(facts.host.as_bytes()),
            Field::Path => Value::bytes(facts.path),
            Field::RawPath => Value::bytes(facts.raw_path),
            Field::PathExt if self.fuel().take(facts.path.len() as u64) => {
                extension(facts.path).map_or(Value::Absent, Value::bytes)
            }
            Field::QueryString => facts.query.map_or(Value::Absent, Value::bytes),
            Field::Ua => self.header("user-agent"),
            Field::Referer => self.header("referer"),
            Field::ContentType => self.header("content-type"),
            Field::ContentLength => match self.header("content-length") {
                Value::Bytes(digits) if self.fuel().take(digits.len() as u64) => {
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
            Field::SiteMember => Value::text(self.member),
            Field::OriginLatency => {
                Value::number(origin.latency_ms.map(|ms| ms.saturating_mul(1_000)))
            }
            Field::OriginErrors => Value::number(origin.errors_percent.map(u64::from)),
            Field::OriginInflight => Value::number(origin.inflight.map(u64::from)),
            Field::CpuLoad => Value::number(facts.cpu_percent.map(u64::from)),
            _ => Value::Absent,
        }
    }

    /// Returns the list with which a test replaces a list.
    fn replaced(&self, list: ListId) -> Option<&GivenList<'j>> {
        self.given.lists.iter().find(|given| given.list == list)
    }

    /// Returns the number of different calls by the running part.
    fn answers_kept(&self) -> usize {
        let is_member = self.is_member.get();
        self.answers.borrow().iter().filter(|(whose, _)| *whose == is_member).count()
    }

    /// Calls the WASM rule, with the arguments converted.
    fn evaluate(&self, id: ExternId, args: &[Value<'_>]) -> Option<Value<'static>> {
        let loaded = self.rules.externs.get(id.0 as usize)?;
        let declared = self.rules.program.externs.get(id.0 as usize)?;
        let mut given = Args::default();
        for (value, param) in args.iter().zip(&declared.params) {
            self.resolve_operand(value, *param, &mut given)?;
        }
        let calls = self.own(&self.calls);
        let mut left = calls.get();
        if self.answers_kept() >= EXTERN_CALLS_MAX {
            left.fuel = 0;
        }
        let answer = loaded.call_with(&given, self.now, &mut left);
        calls.set(left);
        match answer.ok()? {
            CallValue::Bool(value) => Some(Value::Bool(value)),
            CallValue::Int(n) => Some(Value::Int(n)),
            CallValue::Text(bytes) => Some(Value::Bytes(bytes.into())),
        }
    }

    /// Returns a value as an argument. An absent text is empty, absent headers are none. An absent
    /// address has no bytes, so the call is not made and fails.
    fn resolve_operand<'a>(
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
            (ExternType::Headers, _) => {
                let packed = self.packed_headers()?;
                self.fuel().take(price::bytes(packed.len())).then_some(Arg::Bytes(packed))?
            }
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

impl Context for EvalContext<'_> {
    #[inline]
    fn fuel(&self) -> &Fuel {
        &self.fuel
    }

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
            Some(Field::Header) => {
                self.pays_for_field(name)
                    && self.facts.headers.any_value(name, &mut |value| visit(value))
            }
            Some(Field::Cookie) => self.any_pair(self.cookies(), name, visit),
            Some(Field::Query) => self.any_pair(self.parameters(), name, visit),
            _ => false,
        }
    }

    fn tagged(&self, tag: &str) -> bool {
        let tags = self.tags.borrow();
        self.fuel().take(tags.len() as u64) && tags.contains(&tag)
    }

    fn list_holds(&self, list: ListId, value: &Value<'_>) -> bool {
        match self.replaced(list) {
            Some(given) => in_set(given.set, value),
            None if self.given.withheld.get(list.0 as usize) == Some(&true) => false,
            None => {
                self.rules.lists.get(list.0 as usize).is_some_and(|list| in_set(&list.set, value))
            }
        }
    }

    fn list_stands_in(&self, list: ListId, search: Search, text: &[u8]) -> bool {
        if let Some(given) = self.replaced(list) {
            return given.stands_in(search, text, &self.fuel);
        }
        let texts =
            self.rules.lists.get(list.0 as usize).and_then(|list| list.searches.get(search));
        texts.is_some_and(|texts| texts.found_in(text, &self.fuel))
    }

    fn counter(&self, read: Read, counter: CounterId) -> i64 {
        let price = match read {
            Read::Count | Read::Bytes => price::COUNTER,
            Read::Distinct | Read::Share | Read::Top(_) => price::COUNTER_HEAVY,
        };
        if !self.fuel().take(price) {
            return 0;
        }
        let value = self.counter_value(read, counter).unwrap_or(0);
        i64::try_from(value).unwrap_or(i64::MAX)
    }

    fn sample(&self, percent: u8, key: &Value<'_>) -> bool {
        let mut builder = self.state.key();
        builder.part(b"sample");
        with_key_bytes(key, |bytes| {
            if self.fuel().take(hashing(bytes)) {
                builder.part(bytes);
            }
        });
        builder.finish().percentile() < percent
    }

    fn call(&self, id: ExternId, args: &[Value<'_>]) -> Value<'static> {
        let is_member = self.is_member.get();
        let mut builder = self.state.key();
        for arg in args {
            let paid = with_key_bytes(arg, |bytes| {
                let paid = self.fuel.take(hashing(bytes));
                if paid {
                    builder.part(bytes);
                }
                paid
            });
            if !paid {
                return Value::Absent;
            }
        }
        let key = builder.finish();
        let is_known =
            |(whose, of): &&(bool, CallRecord)| *whose == is_member && of.0 == id && of.1 == key;
        let known = self.answers.borrow().iter().find(is_known).map(|(_, of)| of.2.clone());
        if let Some(answer) = known {
            return answer;
        }
        if !self.fuel.take(price::CALL) {
            return Value::Absent;
        }
        let answer = self.evaluate(id, args).unwrap_or_else(|| self.on_failure(id));
        if self.answers_kept() < EXTERN_CALLS_MAX {
            self.answers.borrow_mut().push((is_member, (id, key, answer.clone())));
        }
        answer
    }

    fn made(&self, atom: AtomId, holds: bool) {
        if let Some(trace) = self.trace {
            trace.made(self, atom, holds);
        }
    }
}

/// Returns the fuel to hash bytes with a key.
fn hashing(bytes: &[u8]) -> u64 {
    price::MADE.saturating_add(bytes.len() as u64)
}

/// Passes a value as the bytes of a key. Values of different types can have the same bytes, but the
/// parts of one key have fixed types.
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

/// Returns the text after the last dot of the last segment.
fn extension(path: &[u8]) -> Option<&[u8]> {
    let name = path.rsplit(|b| *b == b'/').next()?;
    let dot = name.iter().rposition(|b| *b == b'.')?;
    name.get(dot.saturating_add(1)..).filter(|ext| !ext.is_empty() && dot > 0)
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
}
