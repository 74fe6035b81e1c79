//! The interface between the memory of the server and the rule. The code of `#[export]` calls it.
//!
//! This is the only module with unsafe code, and it exists for wasm32 only. Decision: a list that
//! the server wrote becomes a `Vec` immediately, so that all other code is checked Rust. This is
//! not an interface for authors: it changes with the attribute.

#![allow(unsafe_code, reason = "memory that the host writes into is raw memory")]

use std::alloc::{Layout, alloc, handle_alloc_error, realloc};
use std::net::IpAddr;

/// Allocates or moves a block of the rule's memory for the server (canonical ABI, `cabi_realloc`).
///
/// # Safety
/// The server passes a block from an earlier call, or a null block of length 0.
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
        // SAFETY: the server passes a block that this function allocated with this alignment.
        unsafe { realloc(old, Layout::from_size_align_unchecked(old_len, align), len) }
    };
    if block.is_null() {
        handle_alloc_error(layout);
    }
    block
}

/// Takes ownership of a list that the server wrote.
///
/// # Safety
/// `block` was allocated by [`cabi_realloc`] for `len` bytes, and the caller gives up ownership.
#[must_use]
pub unsafe fn taken(block: *mut u8, len: usize) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    // SAFETY: the allocator made it for exactly `len` bytes at alignment 1, and the server filled
    // it.
    unsafe { Vec::from_raw_parts(block, len, len) }
}

/// Returns the address that the server wrote. Other lengths end the call: the server never sends
/// them.
#[must_use]
pub fn address(bytes: &[u8]) -> IpAddr {
    crate::address(bytes).unwrap_or_else(|| std::process::abort())
}

/// A text result for the server: the canonical ABI reads the list here.
#[repr(C)]
#[derive(Debug)]
pub struct Text {
    start: *mut u8,
    len: usize,
}

impl Text {
    /// Gives the text to the server until [`Self::take_back`].
    #[must_use]
    pub fn give(text: impl Into<Vec<u8>>) -> *mut Self {
        let text = Box::into_raw(text.into().into_boxed_slice());
        Box::into_raw(Box::new(Self { start: text.cast(), len: text.len() }))
    }

    /// Frees the result of [`Self::give`].
    ///
    /// # Safety
    /// `text` came from [`Self::give`] and is passed once.
    pub unsafe fn take_back(text: *mut Self) {
        // SAFETY: both boxes were created by `give`, and the server only read them.
        unsafe {
            let text = Box::from_raw(text);
            drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(text.start, text.len)));
        }
    }
}
