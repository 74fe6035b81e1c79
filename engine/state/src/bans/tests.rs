//! Tests of bans: matches, ends, limits, and comparison with a naive model.

use std::collections::HashMap as Naive;

use proptest::prelude::*;
use seawall_model::ClientPrefixes;

use super::*;

const NOW: Tick = Tick::TEST_START;

fn bans(total_max: usize, per_member_max: usize) -> Bans {
    let limits = BanLimits { total_max, per_member_max, ..BanLimits::default() };
    Bans::new(&Seed([3; 16]), limits)
}

fn client(ip: &str) -> Client {
    Client::of(ip.parse().unwrap(), &ClientPrefixes::default())
}

fn net(text: &str) -> BanTarget {
    BanTarget::Net(Prefix::parse(text).unwrap().0)
}

fn why(rule: &str, generation: u64) -> BanOrigin {
    BanOrigin { rule: rule.into(), generation: Generation(generation) }
}

fn ban(bans: &Bans, unit: BanTarget, for_ms: u64) -> AddBanResult {
    bans.add(unit, for_ms, why("floor.r", 1), BanScope::Host, NOW)
}

fn covered(bans: &Bans, ip: &str, asn: Option<u32>, scope: BanScope<'_>) -> bool {
    bans.covers(&client(ip), asn, scope, NOW).is_some()
}

#[test]
fn each_unit_covers_what_lies_in_it() {
    for (unit, inside, outside) in [
        (net("192.0.2.7"), "192.0.2.7", "192.0.2.8"),
        (net("192.0.2.0/24"), "192.0.2.8", "192.0.3.8"),
        (net("10.0.0.0/9"), "10.127.0.1", "10.128.0.1"),
        (net("0.0.0.0/0"), "10.127.0.1", "2001:db8::1"),
        (net("2001:db8:0:4200::/56"), "2001:db8:0:42ff::9", "2001:db8:0:4301::1"),
        (net("2001:db8::1"), "2001:db8::1", "2001:db8::2"),
    ] {
        let bans = bans(10, 10);
        assert_eq!(ban(&bans, unit, 1_000), AddBanResult::Until(NOW.plus_ms(1_000)));
        assert!(covered(&bans, inside, None, BanScope::Host), "{unit:?}");
        assert!(!covered(&bans, outside, None, BanScope::Host), "{unit:?}");
    }
    let bans = bans(10, 10);
    let unit = BanTarget::Net(client("2001:db8:0:4201::1").key.0);
    ban(&bans, unit, 1_000);
    assert!(covered(&bans, "2001:db8:0:42ff::9", None, BanScope::Host));
    ban(&bans, BanTarget::Asn(64_666), 1_000);
    assert!(covered(&bans, "192.0.2.1", Some(64_666), BanScope::Host));
    assert!(!covered(&bans, "192.0.2.1", Some(64_667), BanScope::Host));
    assert!(!covered(&bans, "192.0.2.1", None, BanScope::Host));
}

#[test]
fn a_members_ban_holds_on_her_sites_only() {
    let bans = bans(10, 10);
    let alice = BanScope::Member("alice");
    bans.add(net("192.0.2.7"), 1_000, why("alice.r", 1), alice, NOW);
    assert!(covered(&bans, "192.0.2.7", None, alice));
    assert!(!covered(&bans, "192.0.2.7", None, BanScope::Member("bob")));
    assert!(!covered(&bans, "192.0.2.7", None, BanScope::Host));
}

#[test]
fn a_ban_ends_by_time_and_never_earlier_for_another() {
    let bans = bans(10, 10);
    ban(&bans, net("192.0.2.7"), 1_000);
    assert_eq!(ban(&bans, net("192.0.2.7"), 500), AddBanResult::Until(NOW.plus_ms(1_000)));
    assert_eq!(ban(&bans, net("192.0.2.7"), 2_000), AddBanResult::Until(NOW.plus_ms(2_000)));
    ban(&bans, net("192.0.2.0/24"), 700);
    let until = |after_ms| {
        let at = NOW.plus_ms(after_ms);
        bans.covers(&client("192.0.2.7"), None, BanScope::Host, at).map(|hit| hit.until)
    };
    assert_eq!(until(0), Some(NOW.plus_ms(2_000)), "the one that ends last");
    assert_eq!(until(1_999), Some(NOW.plus_ms(2_000)));
    assert_eq!(until(2_000), None);
}

#[test]
fn the_exempt_are_never_covered() {
    let bans = bans(10, 10);
    assert_eq!(ban(&bans, net("127.0.0.1"), 1_000), AddBanResult::Exempt);
    assert_eq!(ban(&bans, net("::1"), 1_000), AddBanResult::Exempt);
    assert_eq!(ban(&bans, net("127.0.0.0/8"), 1_000), AddBanResult::Until(NOW.plus_ms(1_000)));
    assert!(!covered(&bans, "127.0.0.1", None, BanScope::Host));
    assert!(covered(&bans, "127.0.0.2", None, BanScope::Host));
    ban(&bans, BanTarget::Asn(1), 1_000);
    assert!(!covered(&bans, "127.0.0.1", Some(1), BanScope::Host));
}

#[test]
fn a_full_table_refuses_the_new_and_keeps_the_old() {
    let bans = bans(3, 2);
    let add = |n: u8, scope, for_ms, now| {
        let unit = BanTarget::Net(Prefix::host([192, 0, 2, n].into()));
        bans.add(unit, for_ms, why("r", 1), scope, now)
    };
    let member = BanScope::Member("alice");
    let until = AddBanResult::Until(NOW.plus_ms(100));
    assert_eq!(add(1, member, 100, NOW), until);
    assert_eq!(add(2, member, 100, NOW), until);
    assert_eq!(add(3, member, 100, NOW), AddBanResult::Full, "her share is two");
    assert_eq!(add(3, BanScope::Host, 100, NOW), until);
    assert_eq!(add(4, BanScope::Host, 100, NOW), AddBanResult::Full);
    assert_eq!((bans.len(), bans.refused()), (3, 2));
    assert_eq!(
        add(3, BanScope::Host, 200, NOW),
        AddBanResult::Until(NOW.plus_ms(200)),
        "no new entry"
    );
    assert!(covered(&bans, "192.0.2.1", None, member));
    // Ended bans free their entries.
    let later = NOW.plus_ms(100);
    assert_eq!(add(4, BanScope::Host, 100, later), AddBanResult::Until(later.plus_ms(100)));
    assert_eq!(bans.len(), 2);
}

#[test]
fn the_ended_are_cleared_in_portions_and_never_in_the_way() {
    let (total, bans) = (200, bans(200, 200));
    let unit = |n| BanTarget::Asn(n);
    (0..total).for_each(|n| _ = ban(&bans, unit(n), 100));
    assert_eq!((ban(&bans, unit(total), 100), bans.refused()), (AddBanResult::Full, 1));
    let later = NOW.plus_ms(100);
    for n in 0..total {
        let added = bans.add(unit(1_000 + n), 100, why("r", 1), BanScope::Host, later);
        assert_eq!(added, AddBanResult::Until(later.plus_ms(100)), "{n}");
        if n == 0 {
            assert_eq!(bans.len(), 200 - CLEARED_AT_ONCE_MAX + 1);
        }
    }
    assert_eq!((bans.len(), bans.list(later).len()), (200, 200));
}

#[test]
fn bans_are_lifted_by_hand_by_rule_and_by_generation() {
    let bans = bans(10, 10);
    let member = BanScope::Member("alice");
    bans.add(net("192.0.2.1"), 300, why("floor.a", 1), BanScope::Host, NOW);
    bans.add(net("192.0.2.2"), 200, why("floor.b", 2), BanScope::Host, NOW);
    bans.add(net("192.0.2.3"), 100, why("alice.c", 2), member, NOW);
    let listed: Vec<_> = bans.list(NOW).into_iter().map(|ban| ban.why.rule.clone()).collect();
    assert_eq!(listed, ["alice.c".into(), "floor.b".into(), Box::from("floor.a")]);
    assert_eq!(bans.list(NOW.plus_ms(100)).len(), 2);
    assert!(bans.remove(&net("192.0.2.1"), BanScope::Host));
    assert!(!bans.remove(&net("192.0.2.1"), BanScope::Host));
    assert_eq!(bans.remove_matching(|origin| &*origin.rule == "floor.b", NOW), 1);
    assert_eq!(bans.remove_matching(|origin| origin.generation == Generation(1), NOW), 0);
    assert_eq!(bans.clear(NOW), 1);
    assert!(bans.is_empty() && bans.list(NOW).is_empty());
}

#[test]
fn what_is_banned_is_not_printed() {
    let bans = bans(10, 10);
    ban(&bans, net("192.0.2.1"), 300);
    assert!(!format!("{bans:?}").contains("192"));
}

#[test]
fn the_far_end_of_time_does_not_wrap() {
    let bans = bans(10, 10);
    assert_eq!(ban(&bans, net("192.0.2.1"), u64::MAX), AddBanResult::Until(Tick(u64::MAX)));
    assert!(covered(&bans, "192.0.2.1", None, BanScope::Host));
}

const SCOPES: [BanScope<'static>; 2] = [BanScope::Host, BanScope::Member("m")];

proptest! {
    #[test]
    fn bans_are_what_a_naive_list_says(
        steps in prop::collection::vec((0_u8..8, 24_u8..=32, 0_usize..2, 0_u64..400, 0_u64..50, 0_u8..10), 1..150)
    ) {
        let bans = bans(1_000, 1_000);
        let mut twin: Naive<(Prefix, usize), Tick> = Naive::new();
        let mut now = NOW;
        for (host, len, scope, for_ms, wait, removes) in steps {
            now = now.plus_ms(wait);
            let ip: IpAddr = [198, 51, 100, host * 32].into();
            let net = Prefix::new(ip, len);
            if removes == 0 {
                bans.remove(&BanTarget::Net(net), SCOPES[scope]);
                twin.remove(&(net, scope));
            } else {
                bans.add(BanTarget::Net(net), for_ms, why("r", 1), SCOPES[scope], now);
                let until = twin.entry((net, scope)).or_default();
                *until = now.plus_ms(for_ms).max(*until);
            }
            for (i, scope) in SCOPES.iter().enumerate() {
                let client = Client::of(ip, &ClientPrefixes::default());
                let hit = bans.covers(&client, None, *scope, now).map(|hit| hit.until);
                let expected = twin
                    .iter()
                    .filter(|((net, s), until)| *s == i && net.contains(ip) && now < **until)
                    .map(|(_, until)| *until)
                    .max();
                prop_assert_eq!(hit, expected);
            }
            let running = twin.values().filter(|until| now < **until).count();
            prop_assert_eq!(bans.list(now).len(), running);
        }
    }
}

#[test]
fn who_follows_sees_what_is_set_and_lifted_and_how_much_was_lost() {
    let bans = Bans::new(&Seed([1; 16]), BanLimits::default());
    let why = || BanOrigin { rule: "floor.x".into(), generation: Generation(1) };
    let unit = |n: u8| BanTarget::Net(Prefix::host([192, 0, 2, n].into()));
    let now = Tick::TEST_START;
    let following = bans.subscribe(2);
    let add = |n, ms| bans.add(unit(n), ms, why(), BanScope::Member("ann"), now);
    assert_eq!((bans.changes(), add(1, 1_000)), (0, AddBanResult::Until(now.plus_ms(1_000))));
    let _shorter = add(1, 500);
    assert_eq!(bans.changes(), 1, "a shorter one changes nothing");
    assert!(bans.remove(&unit(1), BanScope::Member("ann")));
    let event = |until| BanEvent { unit: unit(1), member: Some("ann".into()), until };
    assert_eq!(following.next(), Some(event(Some(now.plus_ms(1_000)))));
    assert_eq!(following.next(), Some(event(None)));
    assert_eq!((following.next(), following.lost()), (None, 0));
    (2..=5).for_each(|n| assert_ne!(add(n, 1_000), AddBanResult::Full));
    assert_eq!((following.lost(), following.lost()), (2, 0));
    drop(following);
    let _nobody_listens = add(6, 1_000);
    assert_eq!(bans.len(), 5);
}

#[test]
fn looking_and_lifting_take_a_page_at_a_time() {
    let (pages, rules) = (4, ["floor.wrong", "floor.right"]);
    let total = pages * PAGE;
    let bans = bans(2 * total, 10);
    for n in 0..total {
        let ip = IpAddr::from(u32::try_from(n).unwrap().wrapping_add(0x0a00_0000).to_be_bytes());
        let unit = BanTarget::Net(Prefix::host(ip));
        let for_ms = 1_000 + n as u64 / 3;
        bans.add(unit, for_ms, why(rules[n % 2], 1), BanScope::Host, NOW);
    }
    let listed = bans.list(NOW);
    assert!(listed.is_sorted_by_key(|ban| ban.until));
    assert_eq!((listed.len(), bans.first(PAGE + 1, NOW)), (total, listed[..PAGE + 1].to_vec()));
    let ended = listed[PAGE - 1].until;
    let left = listed.iter().filter(|ban| ban.until > ended).count();
    assert_eq!(bans.list(ended).len(), left, "those that run no more are left out");
    let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let wrong = |origin: &BanOrigin| {
        assert!(bans.ledgers.try_write().is_some(), "nobody waits while it is judged");
        seen.borrow_mut().insert(bans.len());
        // Added during the call. If these were removed too, the call would never end.
        let unit = BanTarget::Asn(u32::try_from(seen.borrow().len()).unwrap());
        bans.add(unit, 1_000_000, why(rules[0], 2), BanScope::Host, NOW);
        &*origin.rule == rules[0]
    };
    assert_eq!(bans.remove_matching(wrong, NOW), total / 2);
    assert!(seen.borrow().len() >= pages, "{:?}", seen.borrow());
    let after = bans.list(NOW);
    let stay = |rule: &str| after.iter().filter(|ban| &*ban.why.rule == rule).count();
    assert_eq!(stay(rules[1]), total / 2);
    assert_eq!(stay(rules[0]), after.len() - total / 2);
    assert_eq!(bans.clear(NOW), after.len());
    assert_eq!((bans.len(), bans.list(NOW)), (0, Vec::new()));
}
