//! The choice of origins, the order, and the case that none is available.

use seawall_admin_api::OriginState;

use super::*;
use crate::limits::millis;
use crate::routing::{test_origin, test_site};
use seawall_config::SiteConfig;

const NOW: Tick = Tick::TEST_START;

fn site(origins: &[&str]) -> SiteConfig {
    let origins = origins.iter().map(|origin| test_origin(origin)).collect();
    SiteConfig { origins, ..test_site("a.example", "127.0.0.1:9") }
}

fn limits() -> ProxyLimits {
    let mut limits = ProxyLimits::default();
    limits.settings.origins.max_requests_per_origin = 3;
    limits.settings.origins.max_uploads_per_origin = 2;
    limits
}

fn origins(count: u16) -> OriginSet {
    let all: Vec<_> = (1..=count).map(|port| format!("127.0.0.1:{port}")).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    OriginSet::resolve(&site(&all), &limits()).unwrap()
}

fn choose(origins: &OriginSet, tries: &AttemptHistory) -> Option<Attempt> {
    origins.choose(SlotKind::Request, tries, NOW)
}

fn ports(attempts: &[Attempt]) -> Vec<u16> {
    attempts.iter().map(|attempt| attempt.address().port()).collect()
}

#[test]
fn an_origin_that_is_none_is_told_with_its_site() {
    let resolve = |all: &[&str]| OriginSet::resolve(&site(all), &limits()).unwrap_err().to_string();
    let error = resolve(&["not a host:1"]);
    assert!(error.contains("a.example") && error.contains("not a host:1"), "{error}");
    assert!(resolve(&[]).contains("a.example"));
}

#[test]
fn who_has_the_least_to_do_is_asked_and_equals_take_turns() {
    let origins = origins(2);
    let none = AttemptHistory::default();
    let one_by_one: Vec<_> =
        (0..4).map(|_| choose(&origins, &none).unwrap().address().port()).collect();
    assert_eq!(one_by_one, [1, 2, 1, 2], "each was over before the next");
    let busy = [choose(&origins, &none).unwrap(), choose(&origins, &none).unwrap()];
    let [first, _second] = busy;
    let freed = first.address();
    drop(first);
    assert_eq!(choose(&origins, &none).unwrap().address(), freed);
}

#[test]
fn each_origin_has_its_places_and_not_one_more() {
    let origins = origins(2);
    let none = AttemptHistory::default();
    assert_eq!(origins.places(), 6);
    let held: Vec<_> = (0..6).map(|_| choose(&origins, &none).unwrap()).collect();
    let of_first = ports(&held).iter().filter(|port| **port == 1).count();
    assert_eq!(of_first, 3);
    assert!(choose(&origins, &none).is_none());
    let upload = || origins.choose(SlotKind::Upload, &none, NOW);
    let beside: Vec<_> = std::iter::from_fn(upload).collect();
    assert_eq!(beside.len(), 4, "beside them");
    drop(held);
    assert!(choose(&origins, &none).is_some());
}

#[test]
fn one_that_fails_is_left_alone_and_the_other_serves_all() {
    let origins = origins(2);
    let mut failed = 0;
    for _ in 0..200 {
        let mut attempt = choose(&origins, &AttemptHistory::default()).unwrap();
        if attempt.address().port() == 1 {
            attempt.unreached(NOW);
            failed += 1;
        } else {
            assert_eq!(attempt.answered(200, NOW), Some(0));
        }
    }
    assert_eq!(failed, limits().settings.circuit_breaker.consecutive_failures);
    assert_eq!(origins.snapshot("a.example", NOW)[0].down_transitions, 1);
    assert_eq!(origins.places(), 3, "the other's");
    let states: Vec<_> = origins.snapshot("a.example", NOW).iter().map(|o| o.state).collect();
    assert_eq!(states, [OriginState::Down, OriginState::Up]);
    let later = NOW.plus_ms(millis(limits().settings.circuit_breaker.open_time));
    let first = || {
        let mut not_second = AttemptHistory::default();
        not_second.note_failed(1);
        origins.choose(SlotKind::Request, &not_second, later)
    };
    let trials: Vec<_> = std::iter::from_fn(first).collect();
    assert_eq!(trials.len(), limits().settings.circuit_breaker.half_open_requests as usize);
}

#[test]
fn what_a_request_can_bring_about_does_not_fell_an_origin_by_a_few() {
    let origins = origins(1);
    let unanswered = |stay| {
        let attempt = origins.choose(stay, &AttemptHistory::default(), NOW);
        attempt.map(|mut attempt| attempt.unanswered(NOW))
    };
    for _ in 1..limits().settings.circuit_breaker.min_requests {
        assert_eq!(unanswered(SlotKind::Request), Some(()));
    }
    for _ in 0..100 {
        assert_eq!(unanswered(SlotKind::Upload), Some(()), "who sends slowly proves nothing");
    }
    assert_eq!(unanswered(SlotKind::Request), Some(()));
    assert_eq!(unanswered(SlotKind::Request), None);
}

#[test]
fn a_retry_goes_to_another_origin_while_it_is_earned() {
    let mut few = limits();
    few.settings.retries.max_saved_retries = 1;
    few.settings.retries.min_retries_per_second = 0;
    let site = site(&["127.0.0.1:1", "127.0.0.1:2"]);
    let origins = OriginSet::resolve(&site, &few).unwrap();
    let mut tries = AttemptHistory::default();
    let may = |tries: &AttemptHistory| origins.may_retry(SlotKind::Request, tries, &few, NOW);
    tries.note_begun();
    tries.note_failed(0);
    assert_eq!(may(&tries), RetryDecision::Allowed);
    for _ in 0..4 {
        assert_eq!(choose(&origins, &tries).unwrap().address().port(), 2);
    }
    assert_eq!(may(&tries), RetryDecision::BudgetExhausted);
    (0..5).for_each(|_| drop(choose(&origins, &AttemptHistory::default())));
    assert_eq!(may(&tries), RetryDecision::Allowed, "five requests earn one");
    tries.note_failed(1);
    assert_eq!(may(&tries), RetryDecision::NoCandidate, "nobody is left");
    assert!(choose(&origins, &tries).is_none());
    let mut often = AttemptHistory::default();
    (0..few.settings.retries.max_attempts).for_each(|_| often.note_begun());
    assert_eq!(may(&often), RetryDecision::NoCandidate);
}
