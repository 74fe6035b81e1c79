//! The client that a request's forwarding headers name: what an origin would believe.
//!
//! An origin may read any of these headers, and the first or the last of its values. So it is only
//! safe from forged values if all of them name the same client, and `X-Forwarded-For` appears once.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Different clients that are kept; those past it are counted with the requests only.
const CLIENTS_MAX: usize = 10_000;
/// Fields that hold one address.
const PLAIN: [&str; 6] = [
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "fastly-client-ip",
];

/// What was named, from the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    /// Requests that name one client, once.
    pub(crate) once: u64,
    /// Requests that name no certain client.
    pub(crate) otherwise: u64,
    /// The named clients.
    pub(crate) clients: BTreeSet<String>,
}

/// The client in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Says {
    /// It has no such field.
    Nothing,
    /// One, everywhere.
    One(String),
    /// Several, or one where an origin may read it differently.
    Unsure,
}

impl Says {
    /// Returns the client; `values` returns those of one header.
    pub(crate) fn of(values: impl Fn(&str) -> Vec<String>) -> Self {
        let split = |name: &str, at: char| {
            let each = values(name).into_iter();
            each.flat_map(|value| {
                value.split(at).map(|one| one.trim().to_owned()).collect::<Vec<_>>()
            })
            .collect::<Vec<String>>()
        };
        let first = split("x-forwarded-for", ',');
        let mut others: Vec<String> = PLAIN.iter().flat_map(|name| split(name, ',')).collect();
        let hops = split("forwarded", ',');
        others.extend(hops.iter().filter_map(|hop| client_of(hop)));
        match first.as_slice() {
            [] if others.is_empty() && hops.is_empty() => Self::Nothing,
            [one] if !one.is_empty() && others.iter().all(|other| other == one) => {
                Self::One(one.clone())
            }
            _ => Self::Unsure,
        }
    }
}

/// Returns the address behind `for=` (RFC 7239 §4), without what IPv6 is wrapped in.
fn client_of(hop: &str) -> Option<String> {
    let pairs = hop.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    Some(value.trim_matches(['"', '[', ']']).to_owned())
}

impl Named {
    /// One request more.
    pub(crate) fn note(&mut self, says: &Says) {
        match says {
            Says::Nothing => {}
            Says::Unsure => self.otherwise = self.otherwise.saturating_add(1),
            Says::One(client) => {
                self.once = self.once.saturating_add(1);
                if self.clients.len() < CLIENTS_MAX {
                    self.clients.insert(client.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(fields: &[(&str, &str)]) -> Says {
        Says::of(|name| {
            let named = fields.iter().filter(|(field, _)| *field == name);
            named.map(|(_, value)| (*value).to_owned()).collect()
        })
    }

    #[test]
    fn one_client_is_one_wherever_it_is_named() {
        let one = |text: &str| Says::One(text.to_owned());
        assert_eq!(says(&[]), Says::Nothing);
        assert_eq!(says(&[("x-forwarded-for", "192.0.2.1")]), one("192.0.2.1"));
        let both =
            [("x-forwarded-for", "2001:db8::7"), ("forwarded", "for=\"[2001:db8::7]\";proto=http")];
        assert_eq!(says(&both), one("2001:db8::7"));
    }

    #[test]
    fn an_invention_anywhere_makes_it_unsure() {
        let truth = ("x-forwarded-for", "192.0.2.1");
        for lie in [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-real-ip", "192.0.2.2"),
            ("forwarded", "proto=https; For=192.0.2.2"),
            ("fastly-client-ip", "192.0.2.1, 192.0.2.2"),
        ] {
            assert_eq!(says(&[truth, lie]), Says::Unsure, "{lie:?}");
        }
        for alone in [("x-forwarded-for", "192.0.2.1, 192.0.2.2"), ("x-real-ip", "192.0.2.1")] {
            assert_eq!(says(&[alone]), Says::Unsure, "{alone:?}");
        }
    }

    #[test]
    fn clients_that_are_kept_are_bounded() {
        let mut named = Named::default();
        for n in 0..CLIENTS_MAX + 5 {
            named.note(&Says::One(n.to_string()));
        }
        named.note(&Says::Unsure);
        named.note(&Says::Nothing);
        assert_eq!((named.clients.len(), named.once), (CLIENTS_MAX, CLIENTS_MAX as u64 + 5));
        assert_eq!(named.otherwise, 1);
    }
}
