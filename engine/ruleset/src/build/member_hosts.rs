//! Compares the hosts in policies with the sites of the configuration.
//!
//! A rule for a host without a site never acts, although its author expects it to.

use std::collections::HashSet;

use seawall_model::{HostMap, HostPattern};
use seawall_policy::check::Page;
use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, FileId, nearest};
use seawall_policy::span::Span;
use seawall_policy::syntax::ast::{Item, Literal};

use crate::build::settings::SiteHosts;

/// Most configured hosts that one diagnostic lists.
const LISTED_MAX: usize = 5;
/// Most diagnostics for one owner's pages, because each is compared with all configured hosts.
const UNSERVED_MAX: usize = 100;

/// A host in a policy.
struct Named<'p> {
    text: &'p str,
    file: FileId,
    span: Span,
    /// The member that owns it according to the policy.
    member: Option<&'p str>,
}

/// The configured hosts.
pub(crate) struct Served<'s> {
    sites: &'s [SiteHosts],
    hosts: HostMap<&'s SiteHosts>,
}

impl<'s> Served<'s> {
    pub(crate) fn new(sites: &'s [SiteHosts]) -> Self {
        let mut hosts = HostMap::default();
        for site in sites {
            for pattern in &site.hosts {
                hosts.insert(pattern, site);
            }
        }
        Self { sites, hosts }
    }

    /// Returns diagnostics about hosts that the configuration does not have, at most
    /// [`UNSERVED_MAX`]. Returns none if there are no configured hosts. Hosts in `told` were
    /// already reported.
    pub(crate) fn complaints(&self, pages: &[Page], told: Option<&Page>) -> Vec<Diagnostic> {
        if self.hosts.is_empty() {
            return Vec::new();
        }
        let key =
            |named: &Named<'_>| (named.text.to_ascii_lowercase(), named.member.map(Box::from));
        // The hosts in the member's entry occur again in the member's file: one error, one
        // diagnostic.
        let mut seen: HashSet<(String, Option<Box<str>>)> =
            told.into_iter().flat_map(named).map(|named| key(&named)).collect();
        let named = pages.iter().flat_map(named);
        let named = named.filter(|named| seen.insert(key(named)));
        let complaints = named.filter_map(|named| complaint(&named, self.sites, &self.hosts));
        complaints.take(UNSERVED_MAX).collect()
    }
}

fn named(page: &Page) -> Vec<Named<'_>> {
    let file = page.file;
    match &page.item {
        Item::Member(member) => {
            let hosts = member.hosts.iter().flat_map(|hosts| &hosts.node);
            let host = hosts.filter_map(|host| Some((text(&host.node)?, host.span)));
            let member = Some(&*member.name.node);
            host.map(|(text, span)| Named { text, file, span, member }).collect()
        }
        Item::Site(site) => {
            let member = page.member.as_deref();
            let hosts = site.hosts.iter();
            hosts.map(|host| Named { text: &host.node, file, span: host.span, member }).collect()
        }
        _ => Vec::new(),
    }
}

fn text(literal: &Literal) -> Option<&str> {
    match literal {
        Literal::Str(bytes) => std::str::from_utf8(bytes).ok(),
        Literal::Word(word) => Some(word),
        _ => None,
    }
}

fn complaint(
    named: &Named<'_>,
    sites: &[SiteHosts],
    served: &HostMap<&SiteHosts>,
) -> Option<Diagnostic> {
    let Named { text, file, span, member } = *named;
    // An invalid host is reported by the parser.
    let pattern = HostPattern::parse(text).ok()?;
    let name = pattern.to_string();
    let Some(below) = name.strip_prefix("*.") else {
        return match served.find(&name) {
            None => Some(not_there(text, file, span, sites).warning()),
            Some(site) => of_another(site, text, member)
                .map(|why| Diagnostic::error(Code::UnservedHost, file, span, why).warning()),
        };
    };
    // A wildcard of this length matches any name, so an invented name is a valid test.
    let any = served.find(&format!("x.{below}")).is_some()
        || sites.iter().flat_map(|site| &site.hosts).any(|host| pattern.covers(host));
    (!any).then(|| not_there(text, file, span, sites).note())
}

fn not_there(text: &str, file: FileId, span: Span, sites: &[SiteHosts]) -> Diagnostic {
    let hosts: Vec<String> =
        sites.iter().flat_map(|site| &site.hosts).map(ToString::to_string).collect();
    let help = match nearest(text, hosts.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let more = hosts.len().saturating_sub(LISTED_MAX);
            let listed: Vec<&str> = hosts.iter().take(LISTED_MAX).map(String::as_str).collect();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("the configuration has {}{more}", listed.join(", "))
        }
    };
    let message = format!("no `[[site]]` of the configuration has the host `{text}`");
    Diagnostic::error(Code::UnservedHost, file, span, message).help(help)
}

/// Returns the message about a host that the configuration gives to another owner.
fn of_another(site: &SiteHosts, text: &str, member: Option<&str>) -> Option<String> {
    let (hers, configured) = (member?, site.member.as_deref()?);
    (hers != configured).then(|| {
        format!(
            "`{text}` is a host of `{hers}` in the policy and of `{configured}` in the \
            configuration"
        )
    })
}
