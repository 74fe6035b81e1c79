//! The attribute `#[seawall_rule::export]`.
//!
//! Decision: the author writes only a plain function. The attribute leaves it unchanged, so that
//! `cargo test` can call it. For wasm32 only, it adds what a component needs: the exported symbol
//! of the canonical ABI, and one line of WIT in the custom section `seawall:exports`, from which
//! the builder creates the rule's world. There is no generated source file, no build script and no
//! handwritten WIT.

mod export;
mod kinds;

use proc_macro::TokenStream;

/// Exports a function as a rule.
///
/// Parameters: `bool`, `i64`, `&[u8]` (a `string` in a policy), `IpAddr` (an `ip`) and
/// `Headers<'_>`; at most six. Results: `bool`, `i64`, `Vec<u8>` or `String` (a `string`). The name
/// in a policy is the name of the function.
#[proc_macro_attribute]
pub fn export(args: TokenStream, item: TokenStream) -> TokenStream {
    export::expand(args.into(), item.into()).unwrap_or_else(|e| e.into_compile_error()).into()
}
