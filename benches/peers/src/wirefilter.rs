//! wirefilter, the last version that its registry has: all rules in one filter, joined by `or`.
//!
//! A filter for each rule would say which one hits, and takes about a tenth longer.

use crate::peer::{Failure, Peer, Verdict};
use crate::requests::Request;
use crate::rules::{Rules, Test, shop_regex};
use wirefilter::{ExecutionContext, Filter, Scheme, Type};

/// The compiled filter; none of no rules, which cannot be written.
pub(crate) struct Wirefilter {
    scheme: &'static Scheme,
    filter: Option<Filter<'static>>,
}

impl Wirefilter {
    /// Parses and compiles.
    ///
    /// # Errors
    /// A filter does not parse.
    pub(crate) fn load(rules: &Rules) -> Result<Self, Failure> {
        let fields = [
            ("method", Type::Bytes),
            ("path", Type::Bytes),
            ("ua", Type::Bytes),
            ("ip", Type::Ip),
            ("country", Type::Bytes),
            ("asn", Type::Int),
        ];
        let scheme = Scheme::try_from_iter(fields.map(|(name, kind)| (name.to_owned(), kind)))
            .map_err(|why| why.to_string())?;
        // A filter borrows its scheme; a run loads a handful.
        let scheme: &'static Scheme = Box::leak(Box::new(scheme));
        let parts: Vec<String> = rules.tests.iter().map(expression).collect();
        let filter = match parts.as_slice() {
            [] => None,
            parts => match scheme.parse(&parts.join(" or ")) {
                Ok(filter) => Some(filter.compile()),
                Err(why) => return Err(why.to_string().into()),
            },
        };
        Ok(Self { scheme, filter })
    }
}

fn expression(test: &Test) -> String {
    let condition = match test {
        Test::PathIs(path) => format!("path == \"{path}\""),
        Test::PathStartsWith(prefix) => starts_with(prefix),
        Test::UaContains(part) => format!("ua contains \"{part}\""),
        Test::ClientIn(a, b) => format!("ip in {{10.{a}.{b}.0/24}}"),
        Test::PostTo(path) => format!("method == \"POST\" and path == \"{path}\""),
        Test::CountryAndPath(country, prefix) => {
            format!("country == \"{country}\" and {}", starts_with(prefix))
        }
        Test::Asn(asn) => format!("asn == {asn}"),
        Test::ShopRegex(end) => format!("path matches \"{}\"", shop_regex(end)),
    };
    format!("({condition})")
}

/// There is no operator for it. A range of strings says the same, since `0` follows `/`, and takes
/// no longer than a regular expression.
fn starts_with(prefix: &str) -> String {
    let next = format!("{}0", prefix.trim_end_matches('/'));
    format!("path >= \"{prefix}\" and path < \"{next}\"")
}

/// # Safety
/// What comes out must not be used after `text` is gone.
unsafe fn forever(text: &str) -> &'static str {
    // SAFETY: the same reference; how long it holds is the caller's promise.
    unsafe { std::mem::transmute::<&str, &'static str>(text) }
}

impl Peer for Wirefilter {
    fn name(&self) -> &'static str {
        "wirefilter"
    }

    fn judge(&mut self, request: &Request) -> Verdict {
        // This version's filters are invariant in one lifetime, shared by scheme and values, so
        // that values must live as long as filters do; its own C binding stretches them as well.
        // SAFETY: `context` is dropped before `request`, and the filter keeps nothing of it.
        let (path, ua) = unsafe { (forever(&request.path), forever(&request.ua)) };
        let mut context = ExecutionContext::new(self.scheme);
        let told = context
            .set_field_value("method", request.method)
            .and_then(|()| context.set_field_value("path", path))
            .and_then(|()| context.set_field_value("ua", ua))
            .and_then(|()| context.set_field_value("ip", std::net::IpAddr::V4(request.ip)))
            .and_then(|()| context.set_field_value("country", request.country))
            .and_then(|()| context.set_field_value("asn", request.asn as i32));
        assert!(told.is_ok(), "the types are those of the scheme");
        match &self.filter {
            Some(filter) if filter.execute(&context) == Ok(true) => Verdict::BlockBySome,
            _ => Verdict::Pass,
        }
    }
}
