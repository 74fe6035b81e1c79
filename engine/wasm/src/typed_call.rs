//! From a list of arguments to a call with static types.
//!
//! A call through static types costs 190 ns; one through dynamic values costs two to five times
//! that, and a value for each byte of a list. So every signature of up to four parameters has a
//! shape of its own, which a macro writes, and what has more takes the dynamic way. The typed
//! function is looked up once for an instance and kept.

use crate::args::Arg;
use crate::call_value::CallValue;
use crate::store_limiter::StoreLimiter;
use crate::{ParamKind, ResultKind, Signature};
use wasmtime::component::{Func, Val};
use wasmtime::{Result, Store, format_err};

/// One call into one instance.
pub(crate) type TypedCall =
    Box<dyn Fn(&mut Store<StoreLimiter>, &[Arg<'_>]) -> Result<CallValue> + Send + Sync>;

/// What a parameter is to a component, its name aside.
enum AbiKind {
    Bool,
    Int,
    Bytes,
}

const fn lowered(kind: ParamKind) -> AbiKind {
    match kind {
        ParamKind::Bool => AbiKind::Bool,
        ParamKind::Int => AbiKind::Int,
        ParamKind::Text | ParamKind::Address | ParamKind::Headers | ParamKind::Bytes => {
            AbiKind::Bytes
        }
    }
}

/// The function and what is left of its parameters.
struct CallShape<'s> {
    func: Func,
    store: &'s Store<StoreLimiter>,
    result: ResultKind,
    left: std::slice::Iter<'s, ParamKind>,
}

/// Walks over the parameters and writes a typed call for each way in which they can end. The first
/// list holds the parameters so far, the second a name for each that may still come.
macro_rules! shapes {
    ($shape:ident [$($have:tt)*] []) => {
        match $shape.left.next() {
            None => shapes!(@end $shape [$($have)*]),
            Some(_) => Ok(dynamic($shape.func, $shape.result)),
        }
    };
    ($shape:ident [$($have:tt)*] [$name:ident $($more:ident)*]) => {
        match $shape.left.next().map(|kind| lowered(*kind)) {
            None => shapes!(@end $shape [$($have)*]),
            Some(AbiKind::Bool) => shapes!($shape [$($have)* {$name Bool bool}] [$($more)*]),
            Some(AbiKind::Int) => shapes!($shape [$($have)* {$name Int i64}] [$($more)*]),
            Some(AbiKind::Bytes) => {
                shapes!($shape [$($have)* {$name Bytes &'static [u8]}] [$($more)*])
            }
        }
    };
    (@end $shape:ident [$($have:tt)*]) => {
        match $shape.result {
            ResultKind::Bool => shapes!(@typed $shape Bool bool, $($have)*),
            ResultKind::Int => shapes!(@typed $shape Int i64, $($have)*),
            ResultKind::Text => shapes!(@typed $shape Text Vec<u8>, $($have)*),
        }
    };
    (@typed $shape:ident $answer:ident $result:ty, $({$name:ident $arg:ident $kind:ty})*) => {{
        // `TypedFunc` may be called with arguments that live shorter than its type says.
        let typed = $shape.func.typed::<($($kind,)*), ($result,)>($shape.store)?;
        Ok(Box::new(move |store: &mut Store<StoreLimiter>, args: &[Arg<'_>]| match args {
            [$(Arg::$arg($name)),*] => {
                let (answer,) = typed.call(store, ($(*$name,)*))?;
                Ok(CallValue::$answer(answer))
            }
            _ => Err(format_err!("the arguments are not the parameters")),
        }))
    }};
}

/// How to call `func`, whose signature is `signature`.
pub(crate) fn call_of(
    func: Func,
    store: &Store<StoreLimiter>,
    signature: &Signature,
) -> Result<TypedCall> {
    let mut shape =
        CallShape { func, store, result: signature.result, left: signature.params.iter() };
    shapes!(shape [] [a b c d])
}

/// Whether these are arguments for these parameters.
pub(crate) fn accepts(params: &[ParamKind], args: &[Arg<'_>]) -> bool {
    params.len() == args.len()
        && params.iter().zip(args).all(|(kind, arg)| {
            matches!(
                (lowered(*kind), arg),
                (AbiKind::Bool, Arg::Bool(_))
                    | (AbiKind::Int, Arg::Int(_))
                    | (AbiKind::Bytes, Arg::Bytes(_))
            )
        })
}

fn dynamic(func: Func, result: ResultKind) -> TypedCall {
    Box::new(move |store, args| {
        let args: Vec<Val> = args.iter().map(to_val).collect();
        let mut answers = [Val::Bool(false)];
        func.call(store, &args, &mut answers)?;
        let [answer] = answers;
        from_val(answer, result).ok_or_else(|| format_err!("the answer is of another kind"))
    })
}

fn to_val(arg: &Arg<'_>) -> Val {
    match arg {
        Arg::Bool(value) => Val::Bool(*value),
        Arg::Int(value) => Val::S64(*value),
        Arg::Bytes(bytes) => Val::List(bytes.iter().map(|byte| Val::U8(*byte)).collect()),
    }
}

fn from_val(answer: Val, kind: ResultKind) -> Option<CallValue> {
    match (answer, kind) {
        (Val::Bool(value), ResultKind::Bool) => Some(CallValue::Bool(value)),
        (Val::S64(value), ResultKind::Int) => Some(CallValue::Int(value)),
        (Val::List(items), ResultKind::Text) => items
            .iter()
            .map(|item| if let Val::U8(byte) = item { Some(*byte) } else { None })
            .collect::<Option<Vec<u8>>>()
            .map(CallValue::Text),
        _ => None,
    }
}
