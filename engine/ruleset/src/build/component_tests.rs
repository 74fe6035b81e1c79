//! Runs the component tests of a component before a policy that calls it is published.
//!
//! The tests run with the limits in the policy. They therefore also detect an `extern` with too
//! little fuel or with parameters in another order. A timeout is not a failure: it depends on the
//! load of the machine, and an edit during an attack must not be rejected for it.

use seawall_wasm::{
    CallLimits, CallValue, Case, CaseCall, Component, Failure, ParamKind, Signature, cases_inside,
    parse_cases,
};

use seawall_model::Tick;

/// Most test vectors of one function that are run.
pub const CASES_MAX: usize = 1_000;
/// Milliseconds for all of them, by the time that the `extern` grants each: a thousand vectors with
/// the usual 5 ms, fifty with 100 ms.
pub const REHEARSAL_MS_MAX: u64 = 5_000;
/// Time between two test vectors, as the quarantine of the function counts it.
const APART_MS: u64 = 1_000_000;
/// Most failures that are reported in full; the others are counted.
const TOLD_MAX: usize = 1;

/// Runs the test vectors inside `bytes` against the function with this signature of `component`,
/// for the member or the operator. Stops when `go_on` returns false. Takes the time of the vectors
/// from `left_ms` and runs no more than fit into it.
///
/// # Errors
/// A vector failed or could not be run; the text names it.
pub(crate) fn rehearse(
    (component, member, bytes): (&Component, Option<&str>, &[u8]),
    (signature, limits): (&Signature, CallLimits),
    (left_ms, go_on): (&mut u64, &dyn Fn() -> bool),
) -> Result<(), String> {
    let name = signature.name.replace('-', "_");
    let cases = parse_cases("its cases", &cases_inside(bytes)?)?;
    let each_ms = limits.time_ms.max(1);
    let asked = usize::try_from(REHEARSAL_MS_MAX.min(*left_ms) / each_ms).unwrap_or(CASES_MAX);
    let hers = cases.iter().filter(|case| case.function == name);
    let hers: Vec<&Case> = hers.take(asked.min(CASES_MAX)).collect();
    *left_ms = left_ms.saturating_sub(each_ms.saturating_mul(hers.len() as u64));
    if hers.is_empty() {
        return Ok(());
    }
    let names = component.param_names(&signature.name).unwrap_or_default();
    let names = names.iter().map(|name| name.replace('-', "_"));
    let params: Vec<(String, ParamKind)> = names.zip(signature.params.iter().copied()).collect();
    // A function of its own, so that its counts do not mix with those of requests.
    let bound = component.bind_for(member, &signature.name, signature, limits);
    let function = bound.map_err(|why| why.to_string())?;
    let mut wrong = Vec::new();
    let mut now = Tick::default();
    for case in hers.into_iter().take_while(|_| go_on()) {
        // So far apart that failures never lead to a quarantine.
        now = now.plus_ms(APART_MS);
        let answer = |call: &CaseCall| function.call(&call.args(), now);
        wrong.extend(finding(case, &params, signature, answer));
    }
    let more = wrong.len().saturating_sub(TOLD_MAX);
    match wrong.into_iter().next() {
        None => Ok(()),
        Some(first) if more == 0 => Err(first),
        Some(first) => Err(format!("{first}; and {more} more")),
    }
}

/// Returns the failure of one test vector.
fn finding(
    case: &Case,
    params: &[(String, ParamKind)],
    signature: &Signature,
    answer: impl Fn(&CaseCall) -> Result<CallValue, Failure>,
) -> Option<String> {
    let call = match case.call(params, signature.result) {
        Ok(call) => call,
        Err(why) => return Some(why),
    };
    match answer(&call) {
        Ok(answer) if answer == call.expect => None,
        Err(Failure::Time | Failure::Busy) => None,
        Ok(answer) => {
            Some(format!("{}: it must answer {}, and answers {}", case.place, call.expect, answer))
        }
        Err(failure) => {
            Some(format!("{}: it must answer {}, and fails ({failure})", case.place, call.expect))
        }
    }
}
