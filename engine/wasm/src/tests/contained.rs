//! Tests with guests that return invalid values, or run in nested components.

use super::*;

#[test]
fn what_runs_on_before_or_after_the_call_is_ended_by_its_fuel() {
    let f = function("endless-realloc", CallLimits::default());
    assert_eq!(f.call(&[Arg::Bytes(b"text")], NOW), Err(Failure::Fuel));
    fails("endless-post-return", CallLimits::default(), Failure::Fuel);
}

#[test]
fn wide_frames_end_at_the_guests_stack() {
    let limits = CallLimits { fuel: 100_000_000, ..CallLimits::default() };
    fails("deep-frames", limits, Failure::Trap);
}

#[test]
fn a_start_that_fails_is_found_when_it_is_bound() {
    for name in ["trap-in-start", "data-outside"] {
        let broken = component(name);
        let error = broken.bind("f", &broken.exports()[0], CallLimits::default()).unwrap_err();
        assert_eq!(error, BindError::Start(Failure::Trap), "{name}");
    }
}

#[test]
fn answers_that_are_not_of_their_kind_do_no_harm() {
    fails("wrapping-answer", CallLimits::default(), Failure::Answer);
    let f = function("false-bool", CallLimits::default());
    assert_eq!(f.call(&[], NOW), Ok(CallValue::Bool(true)));
}

#[test]
fn what_no_rule_needs_is_refused_at_load() {
    let parts = [
        ("string-answer", "another result than bool, s64 or list<u8>"),
        ("two-memories", "memories count of 2"),
        ("wide-addresses", "memory64"),
        ("shared-memory", "thread"),
        ("tail-call", "tail call"),
        ("wide-table", "table"),
        ("hidden-function", "`inner`, which is not a function"),
    ];
    for (name, part) in parts {
        let said = refused(name).to_string();
        assert!(said.contains(part), "{name}: {said}");
    }
}

#[test]
fn a_rule_that_traps_once_in_a_thousand_calls_goes_on() {
    let f = function("trap-sometimes", CallLimits::default());
    for n in 1..=10_000 {
        let answer = f.call(&[Arg::Int(n)], NOW);
        let meant = if n % 1_000 == 0 { Err(Failure::Trap) } else { Ok(CallValue::Int(1)) };
        assert_eq!(answer, meant, "call {n}");
    }
    assert_eq!((f.stats().failed(Failure::Trap), f.stats().quarantines), (10, 0));
}
