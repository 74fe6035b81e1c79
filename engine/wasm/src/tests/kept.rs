//! Tests of state between calls: in a guest, where it is forbidden, and in the result cache.

use super::*;

/// Returns a function for which one call in `every` is repeated.
fn checking(name: &str, every: u64, limits: CallLimits) -> Function {
    let sandbox = Sandbox::new(SandboxLimits { purity_check_every: every, ..small() });
    bound(&sandbox.compile(&guest(name)).unwrap(), "f", limits)
}

#[test]
fn a_rule_that_keeps_something_between_calls_is_caught() {
    let max = small();
    let f = checking("keeps-state", 10, CallLimits::default());
    for call in 1..=9 {
        assert_eq!(f.call(&[], NOW), Ok(CallValue::Int(call)));
    }
    assert_eq!(f.call(&[], NOW), Ok(CallValue::Int(1)), "the fresh instance's answer stands");
    assert_eq!((f.stats().failed(Failure::Impure), f.stats().quarantines), (1, 1));
    assert_eq!(f.instances(), (0, 0), "what it kept is gone");
    assert_eq!(f.call(&[], NOW), Err(Failure::Quarantined));
    let back = NOW.plus_ms(max.quarantine_ms);
    for _ in 0..20 {
        assert_eq!(f.call(&[], back), Ok(CallValue::Int(1)), "it is never reused again");
    }
    assert_eq!((f.stats().failed(Failure::Impure), f.instances()), (1, (0, 0)));
}

#[test]
fn a_pure_rule_passes_its_checks_and_each_call_alone_needs_none() {
    let f = checking("trap-on-demand", 10, CallLimits::default());
    for _ in 0..100 {
        assert_eq!(f.call(&[Arg::Bool(false)], NOW), Ok(CallValue::Int(7)));
    }
    // The first instance is fresh at its first call, so that call is not repeated.
    assert_eq!((f.stats().instances, f.stats().quarantines), (11, 0));
    let alone = CallLimits { isolation: Isolation::PerCall, ..CallLimits::default() };
    let f = checking("keeps-state", 1, alone);
    for _ in 0..10 {
        assert_eq!(f.call(&[], NOW), Ok(CallValue::Int(1)));
    }
    assert_eq!((f.stats().instances, f.stats().failed(Failure::Impure)), (11, 0));
}

#[test]
fn a_check_that_finds_no_place_is_left_out() {
    let limits = SandboxLimits { instances_per_function_max: 1, purity_check_every: 1, ..small() };
    let component = Sandbox::new(limits).compile(&guest("trap-on-demand")).unwrap();
    let f = bound(&component, "f", CallLimits::default());
    for _ in 0..5 {
        assert_eq!(f.call(&[Arg::Bool(false)], NOW), Ok(CallValue::Int(7)));
    }
    assert_eq!((f.stats().instances, f.stats().quarantines), (1, 0));
}

#[test]
fn the_same_arguments_are_answered_from_memory() {
    let sandbox = Sandbox::new(SandboxLimits { memo_answers: 1_024, ..small() });
    let f = bound(&sandbox.compile(&guest("honest")).unwrap(), "three", CallLimits::default());
    let ask = |a: &[u8], n: i64| f.call(&[Arg::Bytes(a), Arg::Bytes(b"c"), Arg::Int(n)], NOW);
    for _ in 0..3 {
        assert_eq!(ask(b"ab", -10), Ok(CallValue::Int(-7)));
        assert_eq!(ask(b"abc", -10), Ok(CallValue::Int(-6)));
        assert_eq!(ask(&[0; 600], 0), Ok(CallValue::Int(601)), "too long to be kept");
    }
    assert_eq!((f.stats().calls, f.stats().memo_hits), (9, 4));
    assert_eq!(f.call(&[Arg::Int(1)], NOW), Err(Failure::Argument));
    assert_eq!((f.stats().calls, f.stats().memo_hits), (10, 4));
}

#[test]
fn failures_are_not_kept_and_nothing_is_answered_for_a_rule_in_quarantine() {
    let limits = SandboxLimits { memo_answers: 1_024, failures_max: 2, ..small() };
    let f = bound(
        &Sandbox::new(limits).compile(&guest("trap-on-demand")).unwrap(),
        "f",
        CallLimits::default(),
    );
    assert_eq!(f.call(&[Arg::Bool(false)], NOW), Ok(CallValue::Int(7)));
    for _ in 0..2 {
        assert_eq!(f.call(&[Arg::Bool(true)], NOW), Err(Failure::Trap));
    }
    assert_eq!(f.call(&[Arg::Bool(false)], NOW), Err(Failure::Quarantined));
    assert_eq!(f.stats().memo_hits, 0);
}

#[test]
fn what_was_caught_is_not_believed_from_memory() {
    let limits = SandboxLimits { memo_answers: 1_024, purity_check_every: 2, ..small() };
    let component = Sandbox::new(limits).compile(&guest("counts-and-adds")).unwrap();
    let f = bound(&component, "f", CallLimits::default());
    let ask = |n, now| f.call(&[Arg::Int(n)], now);
    assert_eq!(ask(10, NOW), Ok(CallValue::Int(11)));
    assert_eq!(
        ask(20, NOW),
        Ok(CallValue::Int(21)),
        "the second call, answered by a fresh instance"
    );
    assert_eq!(f.stats().failed(Failure::Impure), 1);
    let back = NOW.plus_ms(small().quarantine_ms);
    assert_eq!(ask(20, back), Ok(CallValue::Int(21)));
    assert_eq!(ask(20, back), Ok(CallValue::Int(21)));
    assert_eq!(f.stats().memo_hits, 0);
}

#[test]
fn arguments_can_be_gathered_one_by_one() {
    let length = bound(&component("honest"), "length", CallLimits::default());
    let mut args = Args::default();
    args.push_address("192.0.2.1".parse().unwrap());
    assert_eq!(length.call_with(&args, NOW, &mut Budget::UNBOUNDED.clone()), Ok(CallValue::Int(4)));
    args.push(Arg::Int(1));
    assert_eq!(
        length.call_with(&args, NOW, &mut Budget::UNBOUNDED.clone()),
        Err(Failure::Argument)
    );
}

#[test]
fn what_is_dropped_is_no_longer_counted() {
    let sandbox = sandbox();
    let alive = |components, functions, instances| {
        assert_eq!(sandbox.alive(), LiveCounts { components, functions, instances });
    };
    alive(0, 0, 0);
    let component = sandbox.compile(&guest("honest")).unwrap();
    let again = component.clone();
    alive(1, 0, 0);
    let one = bound(&component, "nothing", CallLimits::default());
    let two = bound(&component, "nothing", CallLimits::default());
    alive(1, 2, 2);
    one.call(&[], NOW).unwrap();
    alive(1, 2, 2);
    drop((one, component));
    alive(1, 1, 1);
    drop((two, again));
    alive(0, 0, 0);
    let failing = sandbox.compile(&guest("endless-loop")).unwrap();
    let failing = bound(&failing, "f", CallLimits::default());
    failing.call(&[], NOW).unwrap_err();
    alive(1, 1, 0);
}

#[test]
fn an_answer_from_memory_takes_from_the_request_what_finding_it_took() {
    let sandbox = Sandbox::new(SandboxLimits { memo_answers: 1_024, ..small() });
    let f = bound(&sandbox.compile(&guest("honest")).unwrap(), "three", CallLimits::default());
    let args = [Arg::Bytes(b"four"), Arg::Bytes(b"c"), Arg::Int(1)];
    let mut spent = Vec::new();
    for _ in 0..2 {
        let mut left = Budget::new(100_000, 10);
        assert!(f.call_within(&args, NOW, &mut left).is_ok());
        spent.push(100_000 - left.fuel);
    }
    assert!(spent[0] > 0 && spent[0] == spent[1], "{spent:?}");
    assert_eq!(f.stats().memo_hits, 1);
    let short = &mut Budget { fuel: spent[0] - 1, ..Budget::new(100_000, 10) };
    assert_eq!(f.call_within(&args, NOW, short), Err(Failure::Budget));
    assert_eq!(short.fuel, 0);
}

#[test]
fn calls_of_one_request_share_what_there_is_and_only_who_had_it_is_to_blame() {
    let sandbox = sandbox();
    let endless = bound(
        &sandbox.compile(&guest("endless-loop")).unwrap(),
        "f",
        CallLimits { fuel: 1_000_000, ..CallLimits::default() },
    );
    let mut left = Budget::new(10_000, 10);
    assert_eq!(endless.call_within(&[], NOW, &mut left), Err(Failure::Fuel));
    assert_eq!(left.fuel, 0);
    for _ in 0..100 {
        assert_eq!(endless.call_within(&[], NOW, &mut left), Err(Failure::Budget));
    }
    let mut some = Budget { fuel: 4_999, ..Budget::new(10_000, 10) };
    assert_eq!(endless.call_within(&[], NOW, &mut some), Err(Failure::Budget), "others had half");
    let stats = endless.stats();
    assert_eq!((stats.failed(Failure::Fuel), stats.failed(Failure::Budget)), (1, 101));
    assert_eq!(stats.quarantines, 0, "what others used up is no fault of it");
    let mut late = Budget { time_ms: 0, ..Budget::new(10_000, 10) };
    assert_eq!(endless.call_within(&[], NOW, &mut late), Err(Failure::Budget));
}
