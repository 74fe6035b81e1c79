//! What needs `unsafe` or a system call that the standard library lacks, behind a sound interface.
//!
//! This is the one room that may hold `unsafe`. Each part is small enough to be read whole, and
//! nothing here decides anything.

mod boot;
mod code;
mod confine;
mod cpu;
mod files;
mod hand;
mod isolate;
mod mac;
mod memory;
mod socket;

pub use boot::{BootTime, boot_time};
pub use code::{CodeError, SEAL_KEY_BYTES, Seal, code_version, compile, load};
pub use confine::{Confinement, confine, is_ours_alone, keep_to_ourselves};
pub use cpu::cpu_time_us;
pub use files::raise_open_files;
pub use hand::{FILES_PER_MESSAGE, receive_files, send_files, take_channel};
pub use isolate::isolate;
pub use mac::MAC_BYTES;
pub use memory::give_back_memory;
pub use socket::SocketName;
