//! CEL (cel-rust): one compiled program for each rule, variables lent by a resolver.
//!
//! The language has no addresses here, so networks are ranges of numbers.

use crate::peer::{Failure, Peer, Verdict};
use crate::requests::Request;
use crate::rules::{Rules, Test, shop_regex};
use cel::common::types::{CelInt, CelString};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::{Context, Env, Program, Value};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The compiled programs.
pub(crate) struct Cel {
    env: Arc<Env>,
    programs: Vec<Program>,
}

impl Cel {
    /// Compiles.
    ///
    /// # Errors
    /// A program does not parse.
    pub(crate) fn load(rules: &Rules) -> Result<Self, Failure> {
        let env = Arc::new(Env::stdlib());
        let compile = |test: &Test| env.compile(&expression(test)).map_err(|why| why.to_string());
        let programs = rules.tests.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { env, programs })
    }
}

fn expression(test: &Test) -> String {
    match test {
        Test::PathIs(path) => format!("path == '{path}'"),
        Test::PathStartsWith(prefix) => format!("path.startsWith('{prefix}')"),
        Test::UaContains(part) => format!("ua.contains('{part}')"),
        Test::ClientIn(a, b) => {
            let first = u32::from(Ipv4Addr::new(10, *a, *b, 0));
            format!("ip >= {first} && ip <= {}", first + 255)
        }
        Test::PostTo(path) => format!("method == 'POST' && path == '{path}'"),
        Test::CountryAndPath(country, prefix) => {
            format!("country == '{country}' && path.startsWith('{prefix}')")
        }
        Test::Asn(asn) => format!("asn == {asn}"),
        Test::ShopRegex(end) => format!("path.matches('{}')", shop_regex(end)),
    }
}

/// The variables of one request.
struct Variables<'r> {
    method: CelString<'r>,
    path: CelString<'r>,
    ua: CelString<'r>,
    ip: CelInt,
    country: CelString<'r>,
    asn: CelInt,
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        Some(match variable {
            "method" => CowVal::Borrowed(&self.method),
            "path" => CowVal::Borrowed(&self.path),
            "ua" => CowVal::Borrowed(&self.ua),
            "ip" => CowVal::Borrowed(&self.ip),
            "country" => CowVal::Borrowed(&self.country),
            "asn" => CowVal::Borrowed(&self.asn),
            _ => return None,
        })
    }
}

impl Peer for Cel {
    fn name(&self) -> &'static str {
        "CEL"
    }

    fn judge(&mut self, request: &Request) -> Verdict {
        let variables = Variables {
            method: CelString::from(request.method),
            path: CelString::from(request.path.as_str()),
            ua: CelString::from(request.ua.as_str()),
            ip: CelInt::from(i64::from(u32::from(request.ip))),
            country: CelString::from(request.country),
            asn: CelInt::from(i64::from(request.asn)),
        };
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.set_variable_resolver(&variables);
        let holds = |program: &Program| match program.execute(&context) {
            Ok(Value::Bool(holds)) => holds,
            other => panic!("a rule says {other:?}"),
        };
        self.programs.iter().position(holds).map_or(Verdict::Pass, Verdict::Block)
    }
}
