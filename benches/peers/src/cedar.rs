//! Cedar: everything is permitted, and each rule forbids. No schema, no entities.
//!
//! It has no regular expressions; `like` says what the one of these rules means.

use crate::peer::{Failure, Peer, Verdict};
use crate::requests::Request;
use crate::rules::{Rules, Test};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicyId, PolicySet,
    Request as Question, RestrictedExpression as Value,
};

/// The policies.
pub(crate) struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    client: EntityUid,
    site: EntityUid,
    /// The methods of the requests.
    actions: [(&'static str, EntityUid); 3],
}

impl Cedar {
    /// Parses.
    ///
    /// # Errors
    /// A policy does not parse.
    pub(crate) fn load(rules: &Rules) -> Result<Self, Failure> {
        let mut policies = PolicySet::new();
        let permit = "permit(principal, action, resource);";
        policies.add(Policy::parse(Some(PolicyId::new("permit")), permit)?)?;
        for (i, test) in rules.tests.iter().enumerate() {
            policies.add(Policy::parse(Some(PolicyId::new(i.to_string())), forbid(test))?)?;
        }
        let action = |method: &str| format!("Action::\"{method}\"").parse();
        Ok(Self {
            authorizer: Authorizer::new(),
            policies,
            entities: Entities::empty(),
            client: "Client::\"any\"".parse()?,
            site: "Site::\"www\"".parse()?,
            actions: [("GET", action("GET")?), ("POST", action("POST")?), ("PUT", action("PUT")?)],
        })
    }
}

fn forbid(test: &Test) -> String {
    let mut action = "action";
    let condition = match test {
        Test::PathIs(path) => format!("context.path == \"{path}\""),
        Test::PathStartsWith(prefix) => format!("context.path like \"{prefix}*\""),
        Test::UaContains(part) => format!("context.ua like \"*{part}*\""),
        Test::ClientIn(a, b) => format!("context.ip.isInRange(ip(\"10.{a}.{b}.0/24\"))"),
        Test::PostTo(path) => {
            action = "action == Action::\"POST\"";
            format!("context.path == \"{path}\"")
        }
        Test::CountryAndPath(country, prefix) => {
            format!("context.country == \"{country}\" && context.path like \"{prefix}*\"")
        }
        Test::Asn(asn) => format!("context.asn == {asn}"),
        Test::ShopRegex(end) => format!("context.path like \"/shop/*{end}\""),
    };
    format!("forbid(principal, {action}, resource) when {{ {condition} }};")
}

impl Cedar {
    fn question(&self, request: &Request) -> Result<Question, Failure> {
        let context = Context::from_pairs([
            ("path".to_owned(), Value::new_string(request.path.clone())),
            ("ua".to_owned(), Value::new_string(request.ua.clone())),
            ("ip".to_owned(), Value::new_ip(request.ip.to_string())),
            ("country".to_owned(), Value::new_string(request.country.to_owned())),
            ("asn".to_owned(), Value::new_long(i64::from(request.asn))),
        ])?;
        let action = self.actions.iter().find(|(method, _)| *method == request.method);
        let (_, action) = action.ok_or("a method without an action")?;
        let (client, site) = (self.client.clone(), self.site.clone());
        Ok(Question::new(client, action.clone(), site, context, None)?)
    }
}

impl Peer for Cedar {
    fn name(&self) -> &'static str {
        "Cedar"
    }

    fn judge(&mut self, request: &Request) -> Verdict {
        let question = self.question(request).expect("a question of plain values");
        let answer = self.authorizer.is_authorized(&question, &self.policies, &self.entities);
        let mut errors = answer.diagnostics().errors();
        assert!(errors.next().is_none(), "a policy that fails is skipped, and would be fast");
        match answer.decision() {
            Decision::Allow => Verdict::Pass,
            // It evaluates all, and names all that forbid.
            Decision::Deny => {
                let forbade = answer.diagnostics().reason();
                let numbers = forbade.filter_map(|id| id.to_string().parse().ok());
                numbers.min().map_or(Verdict::BlockBySome, Verdict::Block)
            }
        }
    }
}
