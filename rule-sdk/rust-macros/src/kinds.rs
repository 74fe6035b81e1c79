//! The Rust types of the types in the contract.
//!
//! Decision: types are recognised by their spelling, because a macro sees no more. Another type
//! with the same name (`my::Headers`) gives a type error in the generated call, not a wrong rule.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, Ident, Result, ReturnType, Type};

/// The type of a parameter in the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Param {
    Bool,
    Int,
    Text,
    Address,
    Headers,
}

/// The type of a result in the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Bool,
    Int,
    Text,
}

impl Param {
    pub(crate) fn of(ty: &Type) -> Result<Self> {
        let said = spelled(ty);
        let fix = match said.as_str() {
            "bool" => return Ok(Self::Bool),
            "i64" => return Ok(Self::Int),
            "&[u8]" => return Ok(Self::Text),
            "IpAddr" => return Ok(Self::Address),
            "Headers<'_>" | "Headers" => return Ok(Self::Headers),
            "&str" | "String" | "&String" | "Vec<u8>" | "&Vec<u8>" => {
                "use `&[u8]` for a text: header values and paths are not always UTF-8"
            }
            "i8" | "i16" | "i32" | "isize" | "u8" | "u16" | "u32" | "u64" | "usize" | "i128"
            | "u128" => "use `i64` for an `int` of the policy",
            "&Headers<'_>" | "&Headers" | "&mut Headers<'_>" | "&mut Headers" => {
                "use `Headers<'_>` by value"
            }
            "Ipv4Addr" | "Ipv6Addr" | "&IpAddr" => "use `IpAddr` by value for an address",
            _ => "a parameter must be `bool`, `i64`, `&[u8]`, `IpAddr` or `Headers<'_>`",
        };
        Err(Error::new_spanned(ty, fix))
    }

    /// Returns the name in WIT, and whether it belongs to the interface `types`.
    pub(crate) const fn wit(self) -> (&'static str, bool) {
        match self {
            Self::Bool => ("bool", false),
            Self::Int => ("s64", false),
            Self::Text => ("text", true),
            Self::Address => ("address", true),
            Self::Headers => ("headers", true),
        }
    }

    /// Returns the raw parameters of the canonical ABI.
    pub(crate) fn raw(self, name: &Ident) -> TokenStream {
        let len = format_ident!("{name}_len");
        match self {
            Self::Bool => quote!(#name: u32),
            Self::Int => quote!(#name: i64),
            Self::Text | Self::Address | Self::Headers => quote!(#name: *mut u8, #len: usize),
        }
    }

    /// Returns the statement that takes ownership of the bytes that the server wrote to memory.
    pub(crate) fn taken(self, name: &Ident) -> TokenStream {
        let len = format_ident!("{name}_len");
        match self {
            Self::Bool | Self::Int => TokenStream::new(),
            Self::Text | Self::Address | Self::Headers => quote! {
                // SAFETY: the server allocated these bytes through `cabi_realloc` and gave up
                // ownership.
                let #name = unsafe { ::seawall_rule::guest::taken(#name, #len) };
            },
        }
    }

    /// Returns the argument for the author's function.
    pub(crate) fn passed(self, name: &Ident) -> TokenStream {
        match self {
            Self::Bool => quote!(#name != 0),
            Self::Int => quote!(#name),
            Self::Text => quote!(&#name),
            Self::Address => quote!(::seawall_rule::guest::address(&#name)),
            Self::Headers => quote!(::seawall_rule::Headers::new(&#name)),
        }
    }
}

impl Answer {
    pub(crate) fn of(output: &ReturnType, name: &Ident) -> Result<Self> {
        let ReturnType::Type(_, ty) = output else {
            let fix = format!(
                "a rule needs a result: write `fn {name}(…) -> bool`, `i64`, `String` or `Vec<u8>`"
            );
            return Err(Error::new_spanned(name, fix));
        };
        let fix = match spelled(ty).as_str() {
            "bool" => return Ok(Self::Bool),
            "i64" => return Ok(Self::Int),
            "Vec<u8>" | "String" => return Ok(Self::Text),
            "&str" | "&'static str" | "&[u8]" | "&'static [u8]" => {
                "return an owned text: `String` or `Vec<u8>`"
            }
            text if text.starts_with("Option<") || text.starts_with("Result<") => {
                "a rule always has a result: return the value that means `none` in your policy"
            }
            _ => "a result must be `bool`, `i64`, `String` or `Vec<u8>`",
        };
        Err(Error::new_spanned(ty, fix))
    }

    pub(crate) const fn wit(self) -> (&'static str, bool) {
        match self {
            Self::Bool => ("bool", false),
            Self::Int => ("s64", false),
            Self::Text => ("text", true),
        }
    }

    /// Returns the raw result of the canonical ABI.
    pub(crate) fn raw(self) -> TokenStream {
        match self {
            Self::Bool => quote!(u32),
            Self::Int => quote!(i64),
            Self::Text => quote!(*mut ::seawall_rule::guest::Text),
        }
    }

    pub(crate) fn given(self, answer: &TokenStream) -> TokenStream {
        match self {
            Self::Bool => quote!(u32::from(#answer)),
            Self::Int => quote!(#answer),
            Self::Text => quote!(::seawall_rule::guest::Text::give(#answer)),
        }
    }
}

/// Returns the type as written, without its path and without unnecessary spaces.
fn spelled(ty: &Type) -> String {
    let bare = match ty {
        Type::Path(path) => match path.path.segments.last() {
            Some(last) => quote!(#last),
            None => quote!(#path),
        },
        other => quote!(#other),
    };
    bare.to_string().replace(" < ", "<").replace("< ", "<").replace(" >", ">").replace("& ", "&")
}
