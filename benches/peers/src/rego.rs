//! Rego (regorus): one policy, compiled for its register machine, which is kept between requests.
//!
//! The machine takes a fifth of the interpreter's time. A chain of `else`, which would say which
//! rule hits, needs more registers than it has.

use crate::peer::{Failure, Peer, Verdict};
use crate::requests::Request;
use crate::rules::{Rules, Test, shop_regex};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Rc, Value};

/// What is asked.
const ENTRY: &str = "data.edge.block";

/// The machine, loaded.
pub(crate) struct Rego {
    vm: RegoVM,
    keys: [Value; 6],
}

impl Rego {
    /// Compiles.
    ///
    /// # Errors
    /// The policy does not parse or compile.
    pub(crate) fn load(rules: &Rules) -> Result<Self, Failure> {
        let bodies: String = rules.tests.iter().map(body).collect();
        let text = format!("package edge\ndefault block := false\n{bodies}");
        let mut engine = Engine::new();
        engine.add_policy("edge.rego".to_owned(), text)?;
        let policy = engine.compile_with_entrypoint(&Rc::from(ENTRY))?;
        let program = Compiler::compile_from_policy(&policy, &[ENTRY])?;
        let mut vm = RegoVM::new_with_policy(policy);
        vm.set_max_instructions(usize::MAX);
        vm.load_program(program);
        let keys = ["method", "path", "ua", "ip", "country", "asn"].map(Value::from);
        Ok(Self { vm, keys })
    }
}

fn body(test: &Test) -> String {
    let condition = match test {
        Test::PathIs(path) => format!("input.path == \"{path}\""),
        Test::PathStartsWith(prefix) => format!("startswith(input.path, \"{prefix}\")"),
        Test::UaContains(part) => format!("contains(input.ua, \"{part}\")"),
        Test::ClientIn(a, b) => format!("net.cidr_contains(\"10.{a}.{b}.0/24\", input.ip)"),
        Test::PostTo(path) => format!("input.method == \"POST\"; input.path == \"{path}\""),
        Test::CountryAndPath(country, prefix) => {
            format!("input.country == \"{country}\"; startswith(input.path, \"{prefix}\")")
        }
        Test::Asn(asn) => format!("input.asn == {asn}"),
        Test::ShopRegex(end) => format!("regex.match(`{}`, input.path)", shop_regex(end)),
    };
    format!("block if {{ {condition} }}\n")
}

impl Peer for Rego {
    fn name(&self) -> &'static str {
        "Rego"
    }

    fn judge(&mut self, request: &Request) -> Verdict {
        let values = [
            Value::from(request.method),
            Value::from(request.path.as_str()),
            Value::from(request.ua.as_str()),
            Value::from(request.ip.to_string()),
            Value::from(request.country),
            Value::from(u64::from(request.asn)),
        ];
        let mut input = Value::new_object();
        if let Ok(fields) = input.as_object_mut() {
            fields.extend(self.keys.iter().cloned().zip(values));
        }
        self.vm.set_input(input);
        match self.vm.execute() {
            Ok(Value::Bool(true)) => Verdict::BlockBySome,
            Ok(Value::Bool(false)) => Verdict::Pass,
            other => panic!("the policy says {other:?}"),
        }
    }
}
