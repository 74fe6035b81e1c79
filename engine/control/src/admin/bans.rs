//! Bans on the admin socket.
//!
//! Besides the encrypted snapshot, only this module writes out a banned address: to a client of the
//! admin socket, and never to a log.

use std::sync::Arc;

use seawall_admin_api::{BanEntry, BanList, BanRequest, BanResponse, BanSource};
use seawall_model::{Client, ClientPrefixes, Now, Prefix};
use seawall_ruleset::RuleSetHandle;
use seawall_state::{AddBanResult, BanOrigin, BanScope, BanTarget, ListedBan};

use crate::reload::backend::MANUAL_BAN;

/// Maximum of bans in one response; those that end first come first.
pub const BANS_LISTED_MAX: usize = 10_000;
/// Maximum duration of a manual ban, in milliseconds: that of a policy's.
pub const BAN_MS_MAX: u64 = 30 * 86_400_000;

/// Sets, ends and lists bans.
pub(crate) struct BanAdmin {
    pub(crate) handle: Arc<RuleSetHandle>,
    pub(crate) units: ClientPrefixes,
    pub(crate) now: Now,
}

impl BanAdmin {
    pub(crate) fn list(&self) -> BanList {
        let live = self.handle.load();
        let now = (self.now)();
        let listed = live.state.bans().first(BANS_LISTED_MAX, now);
        let line = |ban: &ListedBan| BanEntry {
            target: unit_text(&ban.unit),
            member: ban.member.as_deref().map(str::to_owned),
            remaining_ms: ban.until.since_ms(now),
            source: if *ban.why.rule == *MANUAL_BAN { BanSource::Manual } else { BanSource::Rule },
            rule: (*ban.why.rule != *MANUAL_BAN).then(|| ban.why.rule.to_string()),
            generation: ban.why.generation.0,
        };
        let bans: Vec<BanEntry> = listed.iter().map(line).collect();
        // If all are listed, the number is exact; otherwise it may include some that have just
        // ended.
        let all = bans.len() < BANS_LISTED_MAX;
        let total = if all { bans.len() } else { live.state.bans().len() };
        BanList { bans, total, rejected: live.state.bans().refused() }
    }

    pub(crate) fn run(&self, order: &BanRequest) -> BanResponse {
        let live = self.handle.load();
        let (bans, now) = (live.state.bans(), (self.now)());
        let refused = |why: &str| BanResponse::Rejected { reason: why.to_owned() };
        match order {
            BanRequest::Add { for_ms, .. } if !(1..=BAN_MS_MAX).contains(for_ms) => {
                refused("a ban must last more than 0 s and at most 30 days")
            }
            BanRequest::Add { target: unit, for_ms } => {
                let Some(unit) = read_unit(unit, &self.units) else { return refused(NO_UNIT) };
                let why = BanOrigin { rule: MANUAL_BAN.into(), generation: live.generation };
                match bans.add(unit, *for_ms, why, BanScope::Host, now) {
                    AddBanResult::Until(until) => BanResponse::Set {
                        target: unit_text(&unit),
                        remaining_ms: until.since_ms(now),
                    },
                    AddBanResult::Exempt => {
                        refused("the target is never banned (`never_ban`, or a trusted proxy)")
                    }
                    AddBanResult::Full => {
                        refused("the maximum of bans is reached: ban networks instead")
                    }
                }
            }
            BanRequest::Remove { target: unit, member } => {
                let scope = member.as_deref().map_or(BanScope::Host, BanScope::Member);
                let Some(wide) = read_unit(unit, &self.units) else { return refused(NO_UNIT) };
                // An address alone means its client, unless exactly that address is banned.
                let exact = Prefix::parse(unit).ok().map(|(net, _)| BanTarget::Net(net));
                let removed = exact.is_some_and(|exact| bans.remove(&exact, scope))
                    || bans.remove(&wide, scope);
                if removed {
                    BanResponse::Cleared { bans: 1 }
                } else {
                    refused("the target is not banned")
                }
            }
            BanRequest::Clear { rule, generation } => {
                let wrong = |why: &BanOrigin| {
                    rule.as_ref().is_none_or(|rule| **rule == *why.rule)
                        && generation.is_none_or(|number| number == why.generation.0)
                };
                BanResponse::Cleared { bans: bans.remove_matching(wrong, now) }
            }
        }
    }
}

const NO_UNIT: &str =
    "not an address, a network such as 192.0.2.0/24, or an AS number such as AS64500";

/// Parses the target of a ban. An address alone means its client, which is a network in IPv6.
fn read_unit(text: &str, units: &ClientPrefixes) -> Option<BanTarget> {
    let number = text.strip_prefix("AS").or_else(|| text.strip_prefix("as"));
    if let Some(number) = number {
        return number.parse().ok().map(BanTarget::Asn);
    }
    if let Ok(ip) = text.parse() {
        return Some(BanTarget::Net(Client::of(ip, units).key.0));
    }
    Prefix::parse(text).ok().map(|(net, _)| BanTarget::Net(net))
}

fn unit_text(unit: &BanTarget) -> String {
    match unit {
        BanTarget::Asn(number) => format!("AS{number}"),
        BanTarget::Net(net) => {
            let all = if net.addr().is_ipv4() { 32 } else { 128 };
            if net.len() == all { net.addr().to_string() } else { net.to_string() }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use seawall_model::{Generation, Tick};
    use seawall_ruleset::{
        ActiveGeneration, MemoryStore, Purpose, RuleSetBuilder, Sandbox, SandboxLimits,
        ServerSettings, Sources,
    };
    use seawall_state::{DecisionCounters, Seed, State};

    pub(crate) fn desk() -> BanAdmin {
        let workshop =
            RuleSetBuilder::new(ServerSettings::default(), Sandbox::new(SandboxLimits::default()));
        let store = MemoryStore::default().with("a.wall", "policy 1\n");
        let sources = Sources::gather("a.wall", &store);
        let rules = Arc::new(workshop.build(&sources, Purpose::Run, None).rules.unwrap());
        let state = Arc::new(State::new(Seed([1; 16]), rules.counter_specs()));
        let live = ActiveGeneration {
            generation: Generation(3),
            rules,
            state,
            tally: Arc::new(DecisionCounters::new(0)),
        };
        let now: Now = Arc::new(|| Tick::TEST_START);
        BanAdmin {
            handle: Arc::new(RuleSetHandle::new(live)),
            units: ClientPrefixes::default(),
            now,
        }
    }

    fn add(desk: &BanAdmin, unit: &str) -> BanResponse {
        desk.run(&BanRequest::Add { target: unit.into(), for_ms: 60_000 })
    }

    #[test]
    fn what_is_added_is_listed_and_ended_by_its_name() {
        let desk = desk();
        for (unit, is) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.9/24", "192.0.2.0/24"),
            ("2001:db8:1:2::3", "2001:db8:1::/56"),
            ("2001:db8:1:2::3/128", "2001:db8:1:2::3"),
            ("AS64500", "AS64500"),
        ] {
            assert_eq!(
                add(&desk, unit),
                BanResponse::Set { target: is.into(), remaining_ms: 60_000 }
            );
            let BanList { bans, total, .. } = desk.list();
            assert_eq!((total, &*bans[0].target, &bans[0].rule), (1, is, &None));
            assert_eq!(bans[0].source, BanSource::Manual);
            assert_eq!(bans[0].generation, 3);
            let order = BanRequest::Remove { target: is.into(), member: None };
            assert_eq!(desk.run(&order), BanResponse::Cleared { bans: 1 }, "{is}");
            assert!(matches!(desk.run(&order), BanResponse::Rejected { .. }));
        }
    }

    #[test]
    fn what_cannot_be_banned_says_why() {
        let desk = desk();
        for unit in ["", "here", "192.0.2.0/33", "AS", "ASx"] {
            assert_eq!(
                add(&desk, unit),
                BanResponse::Rejected { reason: NO_UNIT.into() },
                "{unit}"
            );
        }
        let exempt = add(&desk, "127.0.0.1");
        assert!(
            matches!(exempt, BanResponse::Rejected { reason } if reason.contains("never banned"))
        );
        for for_ms in [0, BAN_MS_MAX + 1] {
            let order = BanRequest::Add { target: "192.0.2.7".into(), for_ms };
            assert!(matches!(desk.run(&order), BanResponse::Rejected { .. }), "{for_ms}");
        }
    }

    #[test]
    fn bans_of_a_rule_or_a_generation_are_ended_together() {
        let desk = desk();
        let live = desk.handle.load();
        for (n, rule, generation) in [(1, "floor.a", 1), (2, "floor.a", 2), (3, "floor.b", 2)] {
            let unit = BanTarget::Net(Prefix::host([192, 0, 2, n].into()));
            let why = BanOrigin { rule: rule.into(), generation: Generation(generation) };
            let _ = live.state.bans().add(unit, 1_000, why, BanScope::Host, Tick::TEST_START);
        }
        let clear = |rule: Option<&str>, generation| {
            desk.run(&BanRequest::Clear { rule: rule.map(str::to_owned), generation })
        };
        assert_eq!(clear(Some("floor.a"), Some(2)), BanResponse::Cleared { bans: 1 });
        assert_eq!(clear(Some("floor.none"), None), BanResponse::Cleared { bans: 0 });
        assert_eq!(clear(None, None), BanResponse::Cleared { bans: 2 });
    }
}
