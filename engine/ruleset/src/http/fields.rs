//! The fields, as one table.

use seawall_policy::schema::{
    CounterMemory, EnumId, EnumSpec, FieldId, FieldSpec, Form, Phase, Presence, Schema, Type,
};

use super::country_names::COUNTRIES_ELSEWHERE;
use super::enums;
use super::impossible_values::HABITS;

const METHOD: EnumId = EnumId(0);
const PROTO: EnumId = EnumId(1);
const CRAWLER: EnumId = EnumId(2);
const PASS_KIND: EnumId = EnumId(3);
const LEVEL: EnumId = EnumId(4);
const COUNTRY: EnumId = EnumId(5);
const SCHEME: EnumId = EnumId(6);

macro_rules! fields {
    ($($variant:ident $name:literal $ty:expr, $form:ident, $presence:expr, $phase:ident, $forgeable:literal, $doc:literal;)*) => {
        /// The fields, in the order of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Field { $(#[doc = $doc] $variant,)* }

        impl Field {
            const ALL: &[Self] = &[$(Self::$variant,)*];
        }

        const FIELDS: &[FieldSpec] = &[$(FieldSpec {
            name: $name,
            ty: $ty,
            form: Form::$form,
            presence: $presence,
            phase: Phase::$phase,
            forgeable: $forgeable,
            doc: $doc,
        },)*];
    };
}

use Presence::{Always, Maybe, Source};

fields! {
    Client "client" Type::Cidr, Plain, Always, Request, false, "the client that counters count: the IPv4 address or the IPv6 /56";
    ClientIp "client.ip" Type::Ip, Plain, Always, Request, false, "the address";
    ClientNet "client.net" Type::Cidr, Plain, Always, Request, false, "the network around it: IPv4 /24, IPv6 /56";
    ClientAsn "client.asn" Type::Asn, Plain, Source("geo.asn"), Request, false, "the autonomous system that announces the address";
    ClientCountry "client.country" Type::Enum(COUNTRY), Plain, Source("geo.country"), Request, false, "the country according to the address tables";
    ClientCrawler "client.crawler" Type::Enum(CRAWLER), Plain, Source("geo.crawler"), Request, false, "a crawler whose address was verified";
    ClientConnections "client.connections" Type::Int, Plain, Maybe, Request, false, "open connections of the client, this one included; absent behind a trusted proxy";
    ClientInFlight "client.in_flight" Type::Int, Plain, Always, Request, false, "requests of the client in flight, this one included";
    ClientPort "client.port" Type::Int, Plain, Always, Request, false, "the source port";
    ConnProto "conn.proto" Type::Enum(PROTO), Plain, Always, Request, false, "the protocol of the connection";
    ConnJa4 "conn.ja4" Type::Str, Plain, Maybe, Request, true, "the JA4 fingerprint of the TLS ClientHello";
    ConnSni "conn.sni" Type::Str, Plain, Maybe, Request, true, "the server name of the TLS ClientHello";
    ConnTls "conn.tls" Type::Str, Plain, Maybe, Request, false, "the TLS version, `TLSv1.2` or `TLSv1.3`";
    ConnRequests "conn.requests" Type::Int, Plain, Always, Request, false, "requests on this connection, this one included";
    ConnAge "conn.age" Type::Duration, Plain, Always, Request, false, "how long the connection has been open";
    ConnStreams "conn.streams" Type::Int, Plain, Always, Request, false, "open HTTP/2 streams";
    ConnGlitches "conn.glitches" Type::Int, Plain, Always, Request, false, "protocol anomalies on this connection";
    ConnResets "conn.resets" Type::Int, Plain, Always, Request, false, "streams reset by the client";
    Scheme "scheme" Type::Enum(SCHEME), Plain, Always, Request, false, "the scheme that the client used";
    Method "method" Type::Enum(METHOD), Plain, Always, Request, true, "the method";
    Host "host" Type::Str, Plain, Always, Request, true, "the requested host, lower case, without port";
    Path "path" Type::Str, Plain, Always, Request, true, "the path, decoded once and normalized";
    RawPath "raw_path" Type::Str, Plain, Always, Request, true, "the path as received";
    PathExt "path.ext" Type::Str, Plain, Maybe, Request, true, "the extension after the last dot of the last segment";
    PathScript "path.script" Type::Str, Plain, Maybe, Request, true, "the script that the origin runs, if its site has `scripts`";
    QueryString "query_string" Type::Str, Plain, Maybe, Request, true, "the query after `?`, as received";
    Ua "ua" Type::Str, Plain, Maybe, Request, true, "the User-Agent header";
    Referer "referer" Type::Str, Plain, Maybe, Request, true, "the Referer header";
    ContentLength "content_length" Type::Size, Plain, Maybe, Request, true, "the Content-Length header";
    ContentType "content_type" Type::Str, Plain, Maybe, Request, true, "the Content-Type header";
    Header "header" Type::Str, Named, Maybe, Request, true, "all values of a header field";
    Cookie "cookie" Type::Str, Named, Maybe, Request, true, "all values of a cookie";
    Query "query" Type::Str, Named, Maybe, Request, true, "all values of a query parameter, decoded once";
    Headers "headers" Type::Headers, Plain, Always, Request, true, "all header fields, as an argument of an extern";
    PassValid "pass.valid" Type::Bool, Plain, Source("passes"), Request, false, "whether the request has a valid pass";
    PassKind "pass.kind" Type::Enum(PASS_KIND), Plain, Source("passes"), Request, false, "the kind of proof of the pass";
    PassAge "pass.age" Type::Duration, Plain, Source("passes"), Request, false, "the age of the pass";
    PassFailures "pass.failures" Type::Int, Plain, Source("passes"), Request, false, "failed challenges of this client";
    Level "level" Type::Enum(LEVEL), Plain, Always, Request, false, "the active level";
    Score "score" Type::Int, Plain, Always, Request, false, "the sum of the scores of earlier rules";
    SiteName "site.name" Type::Str, Plain, Always, Request, false, "the site's first host";
    SiteMember "site.member" Type::Str, Plain, Maybe, Request, false, "the member that owns the site";
    OriginLatency "origin.latency" Type::Duration, Plain, Maybe, Request, false, "the origin's median time to the first byte";
    OriginErrors "origin.errors" Type::Percent, Plain, Maybe, Request, false, "the percentage of requests that failed at the origin";
    OriginInflight "origin.inflight" Type::Int, Plain, Maybe, Request, false, "requests in flight at the origin";
    CpuLoad "cpu.load" Type::Percent, Plain, Maybe, Request, false, "the CPU load of the server, or its delay if that is higher";
    Status "status" Type::Int, Plain, Always, Response, false, "the status of the response";
    BytesOut "bytes_out" Type::Size, Plain, Always, Response, false, "the bytes of the response body";
    Latency "latency" Type::Duration, Plain, Always, Response, false, "the time from the request header to the end of the response";
}

impl Field {
    /// Returns the field with this number.
    #[must_use]
    pub fn of(id: FieldId) -> Option<Self> {
        Self::ALL.get(usize::from(id.0)).copied()
    }

    /// Returns its number in the table.
    #[must_use]
    pub const fn id(self) -> FieldId {
        FieldId(self as u16)
    }
}

/// An enumeration without values other than its words; the words have no order, and case matters.
const CLOSED: EnumSpec = EnumSpec {
    name: "a word",
    words: &[],
    ordered: false,
    exact_case: true,
    others: None,
    elsewhere: &[],
};

const ENUMS: &[EnumSpec] = &[
    EnumSpec {
        name: "an HTTP method",
        words: enums::METHODS,
        exact_case: false,
        others: Some(enums::is_method),
        ..CLOSED
    },
    EnumSpec { name: "a protocol", words: enums::PROTOS, ..CLOSED },
    EnumSpec { name: "a verified crawler", words: enums::CRAWLERS, ..CLOSED },
    EnumSpec { name: "a kind of pass", words: enums::PASS_KINDS, ordered: true, ..CLOSED },
    EnumSpec { name: "a level", words: enums::LEVELS, ordered: true, ..CLOSED },
    EnumSpec {
        name: "a country",
        words: enums::COUNTRIES,
        exact_case: false,
        elsewhere: COUNTRIES_ELSEWHERE,
        ..CLOSED
    },
    EnumSpec { name: "a scheme", words: enums::SCHEMES, ..CLOSED },
];

/// The fields that policies can read.
pub const SCHEMA: Schema = Schema {
    fields: FIELDS,
    enums: ENUMS,
    aliases: &[
        ("user_agent", "ua"),
        ("useragent", "ua"),
        ("http.user_agent", "ua"),
        ("http_user_agent", "ua"),
        ("ip", "client.ip"),
        ("src", "client.ip"),
        ("ip.src", "client.ip"),
        ("remote_addr", "client.ip"),
        ("remoteAddress", "client.ip"),
        ("client_ip", "client.ip"),
        ("asn", "client.asn"),
        ("ip.src.asnum", "client.asn"),
        ("ip.geoip.asnum", "client.asn"),
        ("country", "client.country"),
        ("ip.src.country", "client.country"),
        ("ip.geoip.country", "client.country"),
        ("uri", "path"),
        ("url", "path"),
        ("request_uri", "raw_path"),
        ("http.request.uri.path", "path"),
        ("http.request.method", "method"),
        ("request_method", "method"),
        ("http.host", "host"),
        ("http_host", "host"),
        ("hdr", "header"),
        ("query_params", "query"),
        ("ja4", "conn.ja4"),
        ("sni", "conn.sni"),
        ("site.tenant", "site.member"),
    ],
    level: LEVEL,
    level_field: Field::Level.id(),
    score_field: Field::Score.id(),
    repeating: &[
        (Field::Ua.id(), ""),
        (Field::ConnJa4.id(), ""),
        (Field::Header.id(), "user-agent"),
        (Field::Header.id(), "accept"),
        (Field::Header.id(), "accept-encoding"),
        (Field::Header.id(), "accept-language"),
    ],
    counters: CounterMemory {
        limit_key: seawall_state::LIMIT_KEY_BYTES,
        concurrent_key: seawall_state::CONCURRENT_KEY_BYTES,
        requests_key: seawall_state::REQUESTS_KEY_BYTES,
        bytes_key: seawall_state::BYTES_KEY_BYTES,
        distinct_key: seawall_state::DISTINCT_KEY_BYTES,
        heavy: seawall_state::HEAVY_BYTES,
        most: super::COUNTER_MEMORY_MAX,
    },
    habits: HABITS,
};

/// Returns the number of a word of an enumeration.
pub(crate) fn word(id: EnumId, word: &str) -> Option<i64> {
    SCHEMA.words(id)?.code(word)
}

/// Returns the number of a registered method.
pub(crate) fn method(name: &str) -> Option<i64> {
    // Methods are case-sensitive (RFC 9110 §9.1): `get` is not GET.
    let known = enums::METHODS.iter().position(|known| *known == name);
    known.and_then(|at| i64::try_from(at).ok())
}

/// Returns the number of a crawler.
pub(crate) fn crawler(name: &str) -> Option<i64> {
    word(CRAWLER, name)
}

/// Returns the number of a country.
pub(crate) fn country(code: [u8; 2]) -> Option<i64> {
    let code = std::str::from_utf8(&code).ok()?;
    let at = enums::COUNTRIES.binary_search(&code).ok()?;
    i64::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_found_by_its_place() {
        for (at, code) in enums::COUNTRIES.iter().enumerate() {
            let code: [u8; 2] = code.as_bytes().try_into().unwrap();
            assert_eq!(country(code), Some(at as i64), "{code:?}");
        }
        assert_eq!(country(*b"ZZ"), None);
    }

    #[test]
    fn what_a_country_is_called_elsewhere_leads_to_one() {
        let mut seen = std::collections::HashSet::new();
        for (theirs, ours) in COUNTRIES_ELSEWHERE {
            assert!(enums::COUNTRIES.contains(ours), "{theirs} leads to nothing");
            assert!(!enums::COUNTRIES.contains(theirs), "{theirs} is a country");
            assert!(seen.insert(theirs.to_ascii_lowercase()), "{theirs} twice");
        }
        let meant = |word| SCHEMA.words(COUNTRY).unwrap().meant(word);
        assert_eq!(
            (meant("deu"), meant("Germany"), meant("UK")),
            (Some("DE"), Some("DE"), Some("GB"))
        );
        assert_eq!(meant("ZZ"), None, "no country is near enough to another");
    }

    #[test]
    fn a_method_is_a_token() {
        for method in ["PURGE", "M-SEARCH", "get", "x.y_z|~!#$%&'*+^`"] {
            assert_eq!(enums::is_method(method.as_bytes()), Ok(()), "{method}");
        }
        for none in ["", "GET /", "A(B)", "\u{e9}", "A\u{0}"] {
            assert!(enums::is_method(none.as_bytes()).is_err(), "{none}");
        }
        assert!(enums::METHODS.iter().all(|word| enums::is_method(word.as_bytes()).is_ok()));
        assert_eq!(
            (method("PROPFIND").is_some(), method("propfind"), method("PURGE")),
            (true, None, None)
        );
    }

    #[test]
    fn the_enum_and_the_table_are_one_list() {
        assert_eq!(Field::ALL.len(), FIELDS.len());
        for (at, field) in Field::ALL.iter().enumerate() {
            assert_eq!(*field as usize, at);
        }
        assert_eq!(SCHEMA.field("path").map(|(id, _)| Field::of(id)), Some(Some(Field::Path)));
        assert_eq!(SCHEMA.words(COUNTRY).map(|spec| spec.name), Some("a country"));
    }

    #[test]
    fn names_and_aliases_are_unique_and_aliases_lead_somewhere() {
        let mut seen = std::collections::HashSet::new();
        for field in FIELDS {
            assert!(seen.insert(field.name), "{} twice", field.name);
        }
        for (theirs, ours) in SCHEMA.aliases {
            assert!(SCHEMA.field(ours).is_some(), "{theirs} leads to nothing");
            assert!(SCHEMA.field(theirs).is_none(), "{theirs} is a field");
        }
    }
}
