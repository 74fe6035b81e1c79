//! A component asked its own cases, before anything is published that calls it.
//!
//! The cases are asked with the limits that the policy grants, so that they also show an `extern`
//! whose fuel does not suffice or whose parameters are in another order. What the clock ended is no
//! finding: that is the machine's doing, and an edit under attack must not be refused for it.

use seawall_wasm::{
    CallLimits, CallValue, Case, CaseCall, Component, Failure, ParamKind, Signature, cases_inside,
    parse_cases,
};

use seawall_model::Tick;

/// Cases of one function that are asked at most.
pub const CASES_MAX: usize = 1_000;
/// Milliseconds that they may take together by what the `extern` grants each: with the usual 5 ms a
/// thousand cases, with 100 ms fifty.
pub const REHEARSAL_MS_MAX: u64 = 5_000;
/// Time between two cases, as the function's breaker sees it.
const APART_MS: u64 = 1_000_000;
/// Findings that are told; the others are counted.
const TOLD_MAX: usize = 1;

/// Asks the function of this signature, of a member or of the host, the cases inside `bytes`, of which
/// `component` was made, for as long as `go_on` says so and no more of them than `left_ms` is enough
/// for, of which it takes theirs.
///
/// # Errors
/// A case is not passed, or cannot be asked; the text names it.
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
    // A function of its own: what the cases count is no traffic's.
    let bound = component.bind_for(member, &signature.name, signature, limits);
    let function = bound.map_err(|why| why.to_string())?;
    let mut wrong = Vec::new();
    let mut now = Tick::default();
    for case in hers.into_iter().take_while(|_| go_on()) {
        // So far apart that failures never add up to a quarantine.
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

/// What is wrong with one case.
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
