//! The border between the host's memory and the rule: what `#[export]` writes calls into.
//!
//! This is the one module with unsafe code, and exists for wasm32 only. Decision: a list that the
//! host wrote becomes a `Vec` at once, so that everything after this line is ordinary, checked Rust.
//! Not an interface for people: it changes with the attribute.

#![allow(unsafe_code, reason = "memory that the host writes into is raw memory")]

use std::alloc::{Layout, alloc, handle_alloc_error, realloc};
use std::net::IpAddr;

/// Makes or moves a block of the rule's memory for the host (canonical ABI, `cabi_realloc`).
///
/// # Safety
/// The host calls it with what it got from it, or with a null block of length 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_len: usize,
    align: usize,
    len: usize,
) -> *mut u8 {
    if len == 0 {
        return std::ptr::without_provenance_mut(align);
    }
    let Ok(layout) = Layout::from_size_align(len, align) else { std::process::abort() };
    let block = if old_len == 0 {
        // SAFETY: `len`, and with it the layout's size, is not zero.
        unsafe { alloc(layout) }
    } else {
        // SAFETY: the host hands in a block that this function made with this alignment.
        unsafe { realloc(old, Layout::from_size_align_unchecked(old_len, align), len) }
    };
    if block.is_null() {
        handle_alloc_error(layout);
    }
    block
}

/// The list that the host wrote.
///
/// # Safety
/// `block` was made by [`cabi_realloc`] for `len` bytes and is given away.
#[must_use]
pub unsafe fn taken(block: *mut u8, len: usize) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    // SAFETY: the allocator made it for exactly `len` bytes at alignment 1, and the host filled it.
    unsafe { Vec::from_raw_parts(block, len, len) }
}

/// The address that the host wrote. Other lengths end the call: the host never sends them.
#[must_use]
pub fn address(bytes: &[u8]) -> IpAddr {
    crate::address(bytes).unwrap_or_else(|| std::process::abort())
}

/// A text on its way to the host: where the canonical ABI looks for a list that is a result.
#[repr(C)]
#[derive(Debug)]
pub struct Text {
    start: *mut u8,
    len: usize,
}

impl Text {
    /// Gives the text away until [`Self::take_back`].
    #[must_use]
    pub fn give(text: impl Into<Vec<u8>>) -> *mut Self {
        let text = Box::into_raw(text.into().into_boxed_slice());
        Box::into_raw(Box::new(Self { start: text.cast(), len: text.len() }))
    }

    /// Frees what [`Self::give`] gave.
    ///
    /// # Safety
    /// `text` came from [`Self::give`] and is handed in once.
    pub unsafe fn take_back(text: *mut Self) {
        // SAFETY: both boxes were given away by `give`, and the host only read them.
        unsafe {
            let text = Box::from_raw(text);
            drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(text.start, text.len)));
        }
    }
}
