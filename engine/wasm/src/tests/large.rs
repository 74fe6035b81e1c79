//! Tests of components with a language runtime: more memory for each, and fewer instances.

use super::*;

/// Returns limits under which `honest` and `memory-limit` are large.
fn tiny() -> SandboxLimits {
    SandboxLimits { component_bytes_max: 0, ..small() }
}

#[test]
fn memories_end_at_the_limit_of_their_sum() {
    let limits = CallLimits { memory_bytes: 5 << 16, ..CallLimits::default() };
    assert_eq!(function("memories-apart", limits).call(&[], NOW), Ok(CallValue::Int(5)));
    let limits = CallLimits { memory_bytes: (5 << 16) - 1, ..limits };
    assert_eq!(function("memories-apart", limits).call(&[], NOW), Ok(CallValue::Int(4)));
    let max = SandboxLimits { memories_per_component_max: 2, ..small() };
    assert!(Sandbox::new(max).compile(&guest("memories-apart")).is_ok());
    let max = SandboxLimits { memories_per_component_max: 1, ..small() };
    let error = Sandbox::new(max).compile(&guest("memories-apart")).unwrap_err().to_string();
    assert!(error.contains("2 Wasm linear memories"), "{error}");
}

#[test]
fn components_inside_each_other_may_talk() {
    let f = function("components-inside", CallLimits::default());
    assert_eq!(f.call(&[], NOW), Ok(CallValue::Int(4)));
}

#[test]
fn core_modules_end_at_their_limit() {
    let bytes = guest("memories-apart");
    let at = SandboxLimits { core_instances_per_component_max: 3, ..small() };
    assert!(Sandbox::new(at).compile(&bytes).is_ok());
    let past = SandboxLimits { core_instances_per_component_max: 2, ..small() };
    let error = Sandbox::new(past).compile(&bytes).unwrap_err();
    assert_eq!(error, LoadError::CoreInstances { max: 2 });
    let large = SandboxLimits { large_core_instances_per_component_max: 3, ..tiny() };
    assert!(Sandbox::new(large).compile(&bytes).is_ok());
    let past = SandboxLimits { large_core_instances_per_component_max: 2, ..tiny() };
    let error = Sandbox::new(past).compile(&bytes).unwrap_err();
    assert_eq!(error, LoadError::CoreInstances { max: 2 });
}

#[test]
fn a_function_ends_at_its_size() {
    let bytes = guest("memory-limit");
    let with = |max| Sandbox::new(SandboxLimits { function_bytes_max: max, ..small() });
    let error = with(4).compile(&bytes).unwrap_err();
    assert_eq!(error, LoadError::LongFunction { max: 4 });
    let least = (1..100).find(|max| with(*max).compile(&bytes).is_ok()).unwrap();
    let error = with(least - 1).compile(&bytes).unwrap_err();
    assert_eq!(error, LoadError::LongFunction { max: least - 1 });
}

#[test]
fn what_the_host_keeps_for_an_instance_ends_at_its_limit() {
    let past = SandboxLimits { instance_bytes_max: 64, ..small() };
    let error = Sandbox::new(past).compile(&guest("honest")).unwrap_err().to_string();
    assert!(error.contains("exceeds the configured maximum of 64 bytes"), "{error}");
}

#[test]
fn a_large_component_has_more_memory_and_a_small_one_has_not() {
    let large = SandboxLimits::default().large_memory_bytes_max;
    let sandbox = Sandbox::new(tiny());
    let component = sandbox.compile(&guest("memory-limit")).unwrap();
    let most = CallLimits { memory_bytes: large, ..CallLimits::default() };
    assert_eq!(bound(&component, "f", most).call(&[], NOW), Ok(CallValue::Int(1_024)));
    let bind = |component: &Component, memory_bytes| {
        let want = component.exports()[0].clone();
        component.bind("f", &want, CallLimits { memory_bytes, ..most }).map(|_| ())
    };
    let max = large as u64;
    let limit = |max| BindError::Limit { what: "memory", asked: large as u64 + 1, max };
    assert_eq!(bind(&component, large + 1), Err(limit(max)));
    let small = super::component("memory-limit");
    assert_eq!(
        bind(&small, large + 1),
        Err(limit(SandboxLimits::default().memory_bytes_max as u64))
    );
}

#[test]
fn large_components_have_few_places_each_and_together() {
    let limits = SandboxLimits { large_instances_per_function_max: 0, ..tiny() };
    let component = Sandbox::new(limits).compile(&guest("keeps-state")).unwrap();
    let want = component.exports()[0].clone();
    let f = component.bind("f", &want, CallLimits::default()).unwrap();
    assert_eq!(f.call(&[], NOW), Err(Failure::Busy));

    let sandbox = Sandbox::new(SandboxLimits { large_instances_max: 2, ..tiny() });
    let bind = |name: &str| {
        let component = sandbox.compile(&guest(name)).unwrap();
        component.bind("f", &want, CallLimits::default())
    };
    let (one, two) = (bind("keeps-state").unwrap(), bind("memory-limit").unwrap());
    assert_eq!(bind("keeps-state").unwrap().call(&[], NOW), Err(Failure::Busy));
    assert_eq!(one.call(&[], NOW), Ok(CallValue::Int(1)), "its instance is there already");
    drop(two);
    let three = bind("keeps-state").unwrap();
    drop((one, three));
    for name in ["keeps-state", "memory-limit"] {
        assert!(bind(name).unwrap().call(&[], NOW).is_ok(), "{name}: places come back");
    }
}

#[test]
fn small_components_do_not_take_the_places_of_large_ones() {
    let sandbox = Sandbox::new(SandboxLimits { large_instances_max: 0, ..small() });
    let component = sandbox.compile(&guest("keeps-state")).unwrap();
    let f = bound(&component, "f", CallLimits::default());
    assert_eq!(f.call(&[], NOW), Ok(CallValue::Int(1)));
}
