//! Expands the attribute to the function and its export.

use crate::kinds::{Answer, Param};
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ItemFn, Pat, Result};

/// Most parameters in the contract.
const PARAMS_MAX: usize = 6;

struct Parameter {
    /// The name in WIT.
    wit: String,
    kind: Param,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !args.is_empty() {
        return Err(Error::new(args.span(), "`export` takes no arguments: the policy sets limits"));
    }
    let item: ItemFn = syn::parse2(item.clone()).map_err(|_| {
        Error::new(item.span(), "`export` is valid only before a function: `fn name(…) -> …`")
    })?;
    check_plain(&item)?;
    let name = wit_name(&item.sig.ident)?;
    let params = params(&item)?;
    let answer = Answer::of(&item.sig.output, &item.sig.ident)?;
    let line = wit_line(&name, &params, answer);
    let glue = glue(&item.sig.ident, &name, &params, answer);
    let bytes = Literal::byte_string(line.as_bytes());
    let len = line.len();
    Ok(quote! {
        #item

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the border between the host's memory and the rule")]
        const _: () = {
            #[used]
            #[unsafe(link_section = "seawall:exports")]
            static WIT: [u8; #len] = *#bytes;

            #glue
        };
    })
}

fn check_plain(item: &ItemFn) -> Result<()> {
    let sig = &item.sig;
    let refuse = |at: &dyn quote::ToTokens, fix: &str| Err(Error::new_spanned(at, fix));
    if let Some(word) = &sig.asyncness {
        return refuse(word, "a rule cannot be asynchronous: remove `async`");
    }
    if let Some(word) = &sig.unsafety {
        return refuse(word, "the server calls the rule without guarantees: remove `unsafe`");
    }
    if let Some(word) = &sig.abi {
        return refuse(word, "remove `extern`: the attribute generates the exported function");
    }
    if !sig.generics.params.is_empty() {
        return refuse(
            &sig.generics,
            "a rule cannot be generic: remove the generics, and write `Headers<'_>`",
        );
    }
    if sig.inputs.len() > PARAMS_MAX {
        return refuse(&sig.inputs, "a rule has at most 6 parameters");
    }
    Ok(())
}

fn params(item: &ItemFn) -> Result<Vec<Parameter>> {
    item.sig.inputs.iter().map(param).collect()
}

fn param(input: &FnArg) -> Result<Parameter> {
    let FnArg::Typed(typed) = input else {
        return Err(Error::new_spanned(input, "a rule has no state: remove `self`"));
    };
    let Pat::Ident(pat) = &*typed.pat else {
        let fix = "use a plain parameter name, because authors of policies read it";
        return Err(Error::new_spanned(&typed.pat, fix));
    };
    Ok(Parameter { wit: wit_name(&pat.ident)?, kind: Param::of(&typed.ty)? })
}

/// Returns `header_oddness` as `header-oddness`. In WIT each word must begin with a letter.
fn wit_name(ident: &Ident) -> Result<String> {
    let text = ident.to_string();
    let text = text.trim_start_matches("r#").trim_start_matches('_');
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if text.split('_').all(is_word) {
        return Ok(text.replace('_', "-"));
    }
    let fix = "rename it: lower-case words joined by `_`, each beginning with a letter";
    Err(Error::new_spanned(ident, fix))
}

/// Returns `export %name: func(%a: text) -> s64;`, which the builder adds to the rule's world. With
/// the `%`, a name can be a keyword of WIT.
fn wit_line(name: &str, params: &[Parameter], answer: Answer) -> String {
    let params: Vec<String> =
        params.iter().map(|param| format!("%{}: {}", param.wit, param.kind.wit().0)).collect();
    format!("export %{name}: func({}) -> {};\n", params.join(", "), answer.wit().0)
}

fn glue(ident: &Ident, name: &str, params: &[Parameter], answer: Answer) -> TokenStream {
    let names: Vec<Ident> = (0..params.len()).map(|at| format_ident!("arg{at}")).collect();
    let each = |write: fn(Param, &Ident) -> TokenStream| -> Vec<TokenStream> {
        params.iter().zip(&names).map(|(param, name)| write(param.kind, name)).collect()
    };
    let (raw, taken, passed) = (each(Param::raw), each(Param::taken), each(Param::passed));
    let given = answer.given(&quote!(#ident(#(#passed),*)));
    let result = answer.raw();
    let after = (answer == Answer::Text).then(|| {
        let post = format!("cabi_post_{name}");
        quote! {
            #[unsafe(export_name = #post)]
            unsafe extern "C" fn after(text: *mut ::seawall_rule::guest::Text) {
                // SAFETY: the server returns each value of `call` once.
                unsafe { ::seawall_rule::guest::Text::take_back(text) }
            }
        }
    });
    quote! {
        #[unsafe(export_name = #name)]
        unsafe extern "C" fn call(#(#raw),*) -> #result {
            #(#taken)*
            #given
        }

        #after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(item: &str) -> String {
        expand(TokenStream::new(), item.parse().unwrap()).unwrap().to_string()
    }

    fn refused(item: &str) -> String {
        expand(TokenStream::new(), item.parse().unwrap()).unwrap_err().to_string()
    }

    /// Returns the WIT line of an expansion.
    fn line(item: &str) -> String {
        let text = expanded(item);
        let start = text.find("* b\"").unwrap() + 4;
        text[start..start + text[start..].find("\\n\"").unwrap()].to_owned()
    }

    #[test]
    fn the_signature_becomes_a_line_of_wit() {
        assert_eq!(
            line("fn header_oddness(ua: &[u8], all: Headers<'_>) -> i64 { 0 }"),
            "export %header-oddness: func(%ua: text, %all: headers) -> s64;"
        );
        assert_eq!(
            line(
                "pub fn all(a: bool, b: i64, c: &[u8], d: std::net::IpAddr, \
                 e: seawall_rule::Headers<'_>, _f: &[u8]) -> Vec<u8> { vec![] }"
            ),
            "export %all: func(%a: bool, %b: s64, %c: text, %d: address, %e: headers, %f: text) \
             -> text;"
        );
        assert_eq!(line("fn f() -> bool { true }"), "export %f: func() -> bool;");
        assert_eq!(line("fn f() -> String { x }"), "export %f: func() -> text;");
        assert_eq!(
            line("fn r#type(from: i64) -> i64 { from }"),
            "export %type: func(%from: s64) -> s64;"
        );
    }

    #[test]
    fn the_length_of_the_section_is_the_length_of_the_line() {
        let text = expanded("fn f(a: bool) -> bool { a }");
        let line = "export %f: func(%a: bool) -> bool;\n";
        assert!(text.contains(&format!("[u8 ; {}usize]", line.len())), "{text}");
    }

    #[test]
    fn the_function_itself_stays_as_it_is_and_the_rest_is_for_wasm() {
        let text = expanded("/// Doc.\nfn f(a: bool) -> bool { !a }");
        let (own, added) = text.split_once("# [cfg (target_arch = \"wasm32\")]").unwrap();
        assert!(own.contains("fn f (a : bool) -> bool { ! a }"), "{own}");
        assert!(!own.contains("unsafe"), "{own}");
        assert!(added.contains("unsafe extern \"C\" fn call (arg0 : u32) -> u32"), "{added}");
        assert!(added.contains("u32 :: from (f (arg0 != 0))"), "{added}");
    }

    #[test]
    fn a_text_is_taken_back_after_the_host_has_read_it() {
        let text = expanded("fn f(a: &[u8]) -> String { x }");
        assert!(text.contains("export_name = \"cabi_post_f\""), "{text}");
        assert!(text.contains("arg0 : * mut u8 , arg0_len : usize"), "{text}");
        assert!(!expanded("fn f(a: &[u8]) -> i64 { 0 }").contains("cabi_post"));
    }

    #[test]
    fn what_is_refused_names_the_fix() {
        for (item, fix) in [
            ("fn f(a: &str) -> bool { true }", "use `&[u8]` for a text"),
            ("fn f(a: u32) -> bool { true }", "use `i64`"),
            ("fn f(a: &Headers<'_>) -> bool { true }", "by value"),
            ("fn f(a: Ipv4Addr) -> bool { true }", "use `IpAddr` by value"),
            ("fn f(a: f64) -> bool { true }", "a parameter must be `bool`, `i64`"),
            ("fn f(a: bool) { }", "a rule needs a result"),
            ("fn f(a: bool) -> &'static str { \"\" }", "an owned text: `String`"),
            ("fn f(a: bool) -> Option<i64> { None }", "always has a result"),
            ("fn f(a: bool) -> f64 { 0.0 }", "a result must be `bool`"),
            ("async fn f() -> bool { true }", "remove `async`"),
            ("unsafe fn f() -> bool { true }", "remove `unsafe`"),
            ("extern \"C\" fn f() -> bool { true }", "remove `extern`"),
            ("fn f<'a>(a: &'a [u8]) -> bool { true }", "remove the generics"),
            ("fn f(&self) -> bool { true }", "remove `self`"),
            ("fn f((a, b): i64) -> bool { true }", "plain parameter name"),
            ("fn f_1() -> bool { true }", "beginning with a letter"),
            ("fn F() -> bool { true }", "lower-case words"),
            ("struct S;", "only before a function"),
            (
                "fn f(a: bool, b: bool, c: bool, d: bool, e: bool, f: bool, g: bool) -> bool { a }",
                "at most 6 parameters",
            ),
        ] {
            let said = refused(item);
            assert!(said.contains(fix), "{item}: {said}");
        }
        let args = expand(
            quote!(fuel = 5),
            quote!(
                fn f() -> bool {
                    true
                }
            ),
        )
        .unwrap_err();
        assert!(args.to_string().contains("takes no arguments"), "{args}");
    }
}
