//! Tests with hostile guests and a regular one. Each file in `tests/fixtures/guests` begins with
//! the expected outcome, which the tests check.

mod bombs;
mod contained;
mod kept;
mod large;

use crate::*;
use seawall_model::Tick;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const NOW: Tick = Tick::TEST_START;

/// Few slots, because each reserves address space and the tests run concurrently. No result cache,
/// because the guests are tested.
fn small() -> SandboxLimits {
    SandboxLimits { instances_max: 8, memo_answers: 0, ..SandboxLimits::default() }
}

pub(crate) fn guest(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/fixtures/guests/{name}.wat", env!("CARGO_MANIFEST_DIR"));
    wat::parse_file(path).unwrap()
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(small())
}

/// Returns a sandbox with practically unlimited fuel, in which the time limit ends a call.
pub(crate) fn fuelled() -> Sandbox {
    Sandbox::new(SandboxLimits { fuel_max: 1 << 50, ..small() })
}

fn component(name: &str) -> Component {
    sandbox().compile(&guest(name)).unwrap()
}

pub(crate) fn bound(component: &Component, export: &str, limits: CallLimits) -> Function {
    let want = component.exports().iter().find(|have| &*have.name == export).unwrap().clone();
    component.bind(export, &want, limits).unwrap()
}

fn function(name: &str, limits: CallLimits) -> Function {
    bound(&component(name), "f", limits)
}

fn refused(name: &str) -> LoadError {
    sandbox().compile(&guest(name)).unwrap_err()
}

/// Calls `f` of a guest without parameters that must fail, and checks the counts.
fn fails(name: &str, limits: CallLimits, failure: Failure) {
    let f = function(name, limits);
    assert_eq!(f.call(&[], NOW), Err(failure), "{name}");
    assert_eq!(f.stats().failed(failure), 1, "{name}");
    assert_eq!(f.instances(), (0, 0), "{name}: a failed instance is dropped");
}

#[test]
fn every_shape_answers() {
    let honest = component("honest");
    let call = |export: &str, args: &[Arg<'_>]| {
        bound(&honest, export, CallLimits::default()).call(args, NOW).unwrap()
    };
    assert_eq!(call("nothing", &[]), CallValue::Int(7));
    assert_eq!(call("negate", &[Arg::Bool(true)]), CallValue::Bool(false));
    assert_eq!(call("length", &[Arg::Bytes(b"four")]), CallValue::Int(4));
    assert_eq!(call("length", &[Arg::Bytes(b"")]), CallValue::Int(0));
    assert_eq!(call("echo", &[Arg::Bytes(b"\xff\0")]), CallValue::Text(b"\xff\0".to_vec()));
    let three = [Arg::Bytes(b"ab"), Arg::Bytes(b"c"), Arg::Int(-10)];
    assert_eq!(call("three", &three), CallValue::Int(-7));
    let six = [
        Arg::Bytes(b"abc"),
        Arg::Bool(true),
        Arg::Int(100),
        Arg::Bool(false),
        Arg::Int(20),
        Arg::Bytes(b"de"),
    ];
    assert_eq!(call("six", &six), CallValue::Int(126));
    let int = Arg::Int(0);
    let six_echo = [Arg::Bool(true), int, int, int, int, Arg::Bytes(b"xyz")];
    assert_eq!(call("six-echo", &six_echo), CallValue::Text(b"xyz".to_vec()));
}

#[test]
fn reflection_reads_what_a_component_exports() {
    let honest = component("honest");
    let shown: Vec<String> = honest.exports().iter().map(ToString::to_string).collect();
    assert!(shown.contains(&"three(bytes, bytes, int) -> int".to_owned()), "{shown:?}");
    assert!(shown.contains(&"negate(bool) -> bool".to_owned()), "{shown:?}");
    assert!(honest.code_bytes() > 0);
}

#[test]
fn the_same_call_takes_the_same_fuel() {
    let honest = component("honest");
    let call = |fuel| {
        let length = bound(&honest, "length", CallLimits { fuel, ..CallLimits::default() });
        (length.call(&[Arg::Bytes(b"four")], NOW), length.stats().fuel_peak)
    };
    let (answer, used) = call(50_000);
    assert_eq!(answer, Ok(CallValue::Int(4)));
    // Fuel is checked where a function or a loop iteration begins, so the rest after the last check
    // is free: the minimum is a little less than the fuel used, and always the same.
    let least = || (1..=used).find(|fuel| call(*fuel).0.is_ok()).unwrap();
    assert_eq!((least(), call(50_000).1), (least(), used));
    assert_eq!(call(least() - 1).0, Err(Failure::Fuel));
}

#[test]
fn bulk_operations_cost_fuel_by_the_bytes_that_they_move() {
    let limits = CallLimits { memory_bytes: 16 << 20, ..CallLimits::default() };
    for name in ["bulk-fill", "endless-copy"] {
        fails(name, limits, Failure::Fuel);
    }
}

#[test]
fn what_runs_on_is_ended_by_its_fuel() {
    fails("endless-loop", CallLimits::default(), Failure::Fuel);
}

/// Calls `f` while the clock runs as fast as possible: the wall time of the call is not tested.
fn hurried(name: &str) -> Function {
    let sandbox = fuelled();
    let limits = CallLimits {
        fuel: sandbox.limits().fuel_max,
        memory_bytes: 16 << 20,
        ..CallLimits::default()
    };
    let f = bound(&sandbox.compile(&guest(name)).unwrap(), "f", limits);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                sandbox.raise_epoch();
                std::thread::yield_now();
            }
        });
        let _failed = f.call(&[], NOW);
        done.store(true, Relaxed);
    });
    f
}

#[test]
fn what_burns_time_and_has_fuel_is_ended_by_the_clock() {
    for name in ["bulk-fill", "endless-copy", "endless-table-fill"] {
        let stats = hurried(name).stats();
        assert_eq!(stats.failed(Failure::Time), 1, "{name}: {stats:?}");
        assert_eq!(stats.failed(Failure::Fuel), 0, "{name}");
    }
}

#[test]
fn a_clock_that_stands_still_ends_nothing_and_fuel_still_does() {
    fails("endless-loop", CallLimits { fuel: 10_000_000, ..CallLimits::default() }, Failure::Fuel);
}

#[test]
fn memory_ends_at_its_limit() {
    fails("memory-growth", CallLimits::default(), Failure::Memory);
    let limits = CallLimits { memory_bytes: 5 << 16, ..CallLimits::default() };
    assert_eq!(function("memory-limit", limits).call(&[], NOW), Ok(CallValue::Int(5)));
    let limits = CallLimits { memory_bytes: (5 << 16) - 1, ..limits };
    assert_eq!(function("memory-limit", limits).call(&[], NOW), Ok(CallValue::Int(4)));
    let most = CallLimits { memory_bytes: 16 << 20, ..limits };
    assert_eq!(function("memory-limit", most).call(&[], NOW), Ok(CallValue::Int(256)));
}

#[test]
fn tables_end_at_their_limit() {
    fails("table-growth", CallLimits::default(), Failure::Memory);
}

#[test]
fn recursion_ends_at_the_guests_stack() {
    let limits = CallLimits { fuel: 100_000_000, ..CallLimits::default() };
    fails("deep-recursion", limits, Failure::Trap);
}

#[test]
fn a_trap_costs_one_call_and_its_instance() {
    fails("division", CallLimits::default(), Failure::Trap);
    let f = function("trap-on-demand", CallLimits::default());
    assert_eq!(f.call(&[Arg::Bool(true)], NOW), Err(Failure::Trap));
    assert_eq!(f.call(&[Arg::Bool(false)], NOW), Ok(CallValue::Int(7)));
    assert_eq!((f.stats().calls, f.stats().instances), (2, 2));
}

#[test]
fn a_text_ends_at_its_limit() {
    let limits = CallLimits { memory_bytes: 1 << 20, ..CallLimits::default() };
    let f = function("giant-answer", limits);
    let max = small().text_result_bytes_max;
    let text = |bytes: usize| f.call(&[Arg::Int(i64::try_from(bytes).unwrap())], NOW);
    assert_eq!(text(max), Ok(CallValue::Text(vec![0; max])));
    assert_eq!(text(max + 1), Err(Failure::Answer));
    // Above the limit on copied bytes: the length is rejected before a byte is read.
    assert_eq!(text(small().hostcall_fuel + 1), Err(Failure::Answer));
    assert_eq!(text(u32::MAX as usize), Err(Failure::Answer));
    assert_eq!(text(0), Ok(CallValue::Text(Vec::new())));
}

#[test]
fn what_lies_about_its_memory_is_not_believed() {
    let limits = CallLimits { memory_bytes: 1 << 20, ..CallLimits::default() };
    assert_eq!(function("lying-answer", limits).call(&[Arg::Int(8)], NOW), Err(Failure::Answer));
    let f = function("lying-realloc", limits);
    assert_eq!(f.call(&[Arg::Bytes(b"some text")], NOW), Err(Failure::Answer));
}

#[test]
fn arguments_are_refused_whole_and_nobody_is_blamed() {
    let length = bound(&component("honest"), "length", CallLimits::default());
    let most = vec![b'a'; small().arg_bytes_max];
    // The guest's allocator has less memory and fails by its own rules. The test is that the server
    // passes the maximum and rejects one byte more.
    assert_ne!(length.call(&[Arg::Bytes(&most)], NOW), Err(Failure::Argument));
    let long = vec![b'a'; small().arg_bytes_max + 1];
    assert_eq!(length.call(&[Arg::Bytes(&long)], NOW), Err(Failure::Argument));
    assert_eq!(length.call(&[Arg::Int(1)], NOW), Err(Failure::Argument));
    assert_eq!(length.call(&[], NOW), Err(Failure::Argument));
    for _ in 0..100 {
        assert_eq!(length.call(&[], NOW), Err(Failure::Argument));
    }
    assert_eq!(length.stats().quarantines, 0);
}

#[test]
fn imports_are_refused_and_type_names_are_none() {
    assert_eq!(refused("import-function"), LoadError::Imports("now".to_owned()));
    let clock = "wasi:clocks/monotonic-clock@0.2.0".to_owned();
    assert_eq!(refused("import-wasi"), LoadError::Imports(clock));
    assert_eq!(refused("import-resource"), LoadError::Imports("file".to_owned()));
    let types = "seawall:rule/types@0.1.0".to_owned();
    assert_eq!(refused("import-false-types"), LoadError::Imports(types));
    let f = function("import-types", CallLimits::default());
    assert_eq!(f.call(&[], NOW), Ok(CallValue::Int(1)));
}

#[test]
fn what_cannot_be_called_is_refused_at_load() {
    let refused_for = |name: &str, part: &str| {
        let said = refused(name).to_string();
        assert!(said.contains(part), "{name}: {said}");
    };
    refused_for("wrong-kind", "the parameter `it` of another type");
    refused_for("no-result", "another result than");
    refused_for("seven-parameters", "more than 6 parameters");
    refused_for("too-wide-memory", "memory");
    assert_eq!(refused("core-module"), LoadError::CoreModule);
    assert_eq!(refused("no-functions"), LoadError::Exports { count: 0, max: 32 });
}

#[test]
fn a_start_that_runs_on_is_found_when_it_is_bound() {
    let slow = component("endless-start");
    let want = slow.exports()[0].clone();
    let error = slow.bind("f", &want, CallLimits::default()).unwrap_err();
    assert_eq!(error, BindError::Start(Failure::Fuel));
    let wide = component("wide-memory");
    let error = wide.bind("f", &want, CallLimits::default()).unwrap_err();
    assert_eq!(error, BindError::Start(Failure::Memory));
}

#[test]
fn a_signature_that_differs_names_both() {
    let honest = component("honest");
    let want = Signature {
        name: "three".into(),
        params: vec![ParamKind::Text, ParamKind::Headers],
        result: ResultKind::Bool,
    };
    let error = honest.bind("three", &want, CallLimits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the policy declares `three(string, headers) -> bool`, \
         but the component has `three(bytes, bytes, int) -> int`"
    );
    let fits = Signature {
        params: vec![ParamKind::Text, ParamKind::Headers, ParamKind::Int],
        result: ResultKind::Int,
        ..want.clone()
    };
    assert!(honest.bind("three", &fits, CallLimits::default()).is_ok());
    let error = honest.bind("four", &want, CallLimits::default()).unwrap_err();
    assert!(error.to_string().starts_with("the component has no function `four`; it has `"));
}

#[test]
fn limits_are_checked_at_and_past_their_end() {
    let honest = component("honest");
    let want = honest.exports().iter().find(|have| &*have.name == "nothing").unwrap().clone();
    let max = SandboxLimits::default();
    let bind = |limits: CallLimits| honest.bind("nothing", &want, limits).map(|_| ());
    let all = CallLimits {
        fuel: max.fuel_max,
        time_ms: max.time_ms_max,
        memory_bytes: max.memory_bytes_max,
        isolation: Isolation::Reused,
    };
    assert_eq!(bind(all), Ok(()));
    let past = [
        CallLimits { fuel: max.fuel_max + 1, ..all },
        CallLimits { time_ms: max.time_ms_max + 1, ..all },
        CallLimits { memory_bytes: max.memory_bytes_max + 1, ..all },
        CallLimits { fuel: 0, ..all },
    ];
    for limits in past {
        assert!(matches!(bind(limits), Err(BindError::Limit { .. })), "{limits:?}");
    }
}

#[test]
fn a_component_ends_at_its_size_limit() {
    let bytes = guest("honest");
    let ends_at = |len: usize| SandboxLimits {
        component_bytes_max: 1,
        large_component_bytes_max: len,
        ..small()
    };
    let limits = ends_at(bytes.len());
    assert!(Sandbox::new(limits).compile(&bytes).is_ok());
    let limits = ends_at(bytes.len() - 1);
    let error = Sandbox::new(limits).compile(&bytes).unwrap_err();
    assert_eq!(error, LoadError::TooLong { bytes: bytes.len(), max: bytes.len() - 1 });
}

#[test]
fn exports_end_at_their_limit() {
    let bytes = guest("honest");
    let count = component("honest").exports().len();
    let at = SandboxLimits { exports_max: count, ..small() };
    assert!(Sandbox::new(at).compile(&bytes).is_ok());
    let past = SandboxLimits { exports_max: count - 1, ..small() };
    let error = Sandbox::new(past).compile(&bytes).unwrap_err();
    assert_eq!(error, LoadError::Exports { count, max: count - 1 });
}

#[test]
fn damaged_bytes_are_refused_and_never_panic() {
    let bytes = guest("honest");
    let sandbox = sandbox();
    let all = component("honest");
    let mut refused = 0;
    for len in 0..bytes.len() {
        // A cut between two sections gives a valid component with fewer exports.
        match sandbox.compile(&bytes[..len]) {
            Err(_) => refused += 1,
            Ok(cut) => assert!(all.exports().starts_with(cut.exports()), "cut at {len}"),
        }
    }
    assert!(refused > bytes.len() * 9 / 10, "{refused} of {}", bytes.len());
    let mut refused = 0;
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        // A changed bit in a name or a constant gives a valid component, which must still be
        // callable.
        match sandbox.compile(&bytes) {
            Err(_) => refused += 1,
            Ok(other) => {
                for have in other.exports() {
                    let _ = other.bind(&have.name, have, CallLimits::default());
                }
            }
        }
    }
    assert!(refused > bytes.len() / 4, "{refused} of {}", bytes.len());
    assert!(sandbox.compile(b"no component at all").is_err());
}

#[test]
fn reused_instances_keep_state_and_fresh_ones_do_not() {
    // A reused instance keeps state: a known limitation of the sandbox.
    let reused = function("keeps-state", CallLimits::default());
    let answers: Vec<_> = (0..3).map(|_| reused.call(&[], NOW).unwrap()).collect();
    assert_eq!(answers, [CallValue::Int(1), CallValue::Int(2), CallValue::Int(3)]);
    let alone = CallLimits { isolation: Isolation::PerCall, ..CallLimits::default() };
    for name in ["keeps-state", "keeps-secret"] {
        let f = function(name, alone);
        let answers: Vec<_> = (0..20).map(|_| f.call(&[], NOW).unwrap()).collect();
        let first = CallValue::Int(i64::from(name == "keeps-state"));
        assert!(answers.iter().all(|answer| *answer == first), "{name}: {answers:?}");
        assert_eq!(f.instances(), (0, 0), "{name}");
    }
}

#[test]
fn an_instance_is_replaced_after_its_share_of_calls() {
    let f = function("keeps-state", CallLimits::default());
    let share = i64::from(small().calls_per_instance_max);
    for call in 1..=share {
        assert_eq!(f.call(&[], NOW), Ok(CallValue::Int(call)));
    }
    assert_eq!(f.call(&[], NOW), Ok(CallValue::Int(1)));
    assert_eq!(f.stats().instances, 2);
    assert_eq!(f.instances(), (1, 1));
}

#[test]
fn a_rule_that_keeps_failing_is_left_alone_for_a_while() {
    let f = function("trap-on-demand", CallLimits::default());
    let max = small();
    for _ in 0..max.failures_max {
        assert_eq!(f.call(&[Arg::Bool(true)], NOW), Err(Failure::Trap));
    }
    let last = NOW.plus_ms(max.quarantine_ms - 1);
    assert_eq!(f.call(&[Arg::Bool(false)], last), Err(Failure::Quarantined));
    let back = NOW.plus_ms(max.quarantine_ms);
    assert_eq!(f.stats().quarantined_until, Some(back));
    assert_eq!(f.call(&[Arg::Bool(false)], back), Ok(CallValue::Int(7)));
    assert_eq!((f.stats().quarantines, f.stats().failed(Failure::Quarantined)), (1, 1));
}

#[test]
fn when_all_places_are_taken_a_call_is_refused_and_nobody_is_blamed() {
    let limits = SandboxLimits { instances_max: 2, ..small() };
    let sandbox = Sandbox::new(limits);
    let component = sandbox.compile(&guest("keeps-state")).unwrap();
    let bind = || component.bind("f", &component.exports()[0], CallLimits::default());
    let (one, two) = (bind().unwrap(), bind().unwrap());
    // No edit is rejected for it either.
    let three = bind().unwrap();
    assert_eq!(three.call(&[], NOW), Err(Failure::Busy));
    assert_eq!(three.stats().quarantines, 0);
    drop(two);
    assert_eq!(three.call(&[], NOW), Ok(CallValue::Int(1)), "who is gone gives its places back");
    assert_eq!(one.call(&[], NOW), Ok(CallValue::Int(1)));

    let none = SandboxLimits { instances_per_function_max: 0, ..small() };
    let component = Sandbox::new(none).compile(&guest("keeps-state")).unwrap();
    let f = bound(&component, "f", CallLimits::default());
    assert_eq!(f.call(&[], NOW), Err(Failure::Busy));
}

#[test]
fn functions_of_one_member_take_no_place_of_another_or_of_the_host() {
    let limits = SandboxLimits { instances_per_member_max: 3, ..small() };
    let sandbox = Sandbox::new(limits);
    let component = sandbox.compile(&guest("keeps-state")).unwrap();
    let want = component.exports()[0].clone();
    let bind = |member| component.bind_for(member, "f", &want, CallLimits::default()).unwrap();
    let hers: Vec<Function> = (0..16).map(|_| bind(Some("ann"))).collect();
    let answers = || hers.iter().filter(|f| f.call(&[], NOW).is_ok()).count();
    assert_eq!(answers(), 3, "at her share and past it");
    assert_eq!(bind(Some("bob")).call(&[], NOW), Ok(CallValue::Int(1)));
    assert_eq!(bind(None).call(&[], NOW), Ok(CallValue::Int(1)));
    drop(hers);
    assert_eq!(bind(Some("ann")).call(&[], NOW), Ok(CallValue::Int(1)), "and hers come back");
}

#[test]
fn many_threads_call_one_function() {
    let limits = SandboxLimits { instances_max: 16, ..small() };
    let component = Sandbox::new(limits).compile(&guest("honest")).unwrap();
    let length = bound(&component, "length", CallLimits::default());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    assert_eq!(length.call(&[Arg::Bytes(b"four")], NOW), Ok(CallValue::Int(4)));
                }
            });
        }
    });
    let stats = length.stats();
    assert_eq!((stats.calls, stats.failures), (16_000, [0; 10]));
    let (idle, live) = length.instances();
    assert!(idle <= 8 && live as usize == idle, "{idle} idle, {live} alive");
}

#[test]
fn the_limits_as_they_come_fit_the_machine() {
    let sandbox = Sandbox::new(SandboxLimits::default());
    let component = sandbox.compile(&guest("honest")).unwrap();
    let f = bound(&component, "nothing", CallLimits::default());
    assert_eq!(f.call(&[], NOW), Ok(CallValue::Int(7)));
}

#[test]
fn what_is_shown_of_a_call_holds_nothing_of_the_visitor() {
    assert_eq!(format!("{:?}", Arg::Bytes(b"192.0.2.7")), "Bytes");
    let words: Vec<_> = Failure::ALL.iter().map(|failure| failure.word()).collect();
    assert_eq!(
        words,
        [
            "fuel",
            "time",
            "memory",
            "trap",
            "answer",
            "argument",
            "busy",
            "quarantined",
            "impure",
            "budget"
        ]
    );
}
