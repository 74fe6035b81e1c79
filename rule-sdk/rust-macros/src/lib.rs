//! The attribute `#[seawall_rule::export]`.
//!
//! Decision: the author writes a plain function and nothing else. The attribute leaves it as it is,
//! so that `cargo test` calls it like any function, and adds, for wasm32 only, what a component
//! needs: the exported symbol of the canonical ABI, and one line of WIT in the custom section
//! `seawall:exports`, from which the builder makes the rule's world. No generated source file, no
//! build script, no WIT by hand.

mod export;
mod kinds;

use proc_macro::TokenStream;

/// Exports a function as a rule.
///
/// Parameters: `bool`, `i64`, `&[u8]` (a `string` of the policy), `IpAddr` (an `ip`) and
/// `Headers<'_>`; at most six. Results: `bool`, `i64`, `Vec<u8>` or `String` (a `string`). The name
/// in a policy is the function's name.
#[proc_macro_attribute]
pub fn export(args: TokenStream, item: TokenStream) -> TokenStream {
    export::expand(args.into(), item.into()).unwrap_or_else(|e| e.into_compile_error()).into()
}
