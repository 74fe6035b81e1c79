//! Functions that need `unsafe` or a system call that the standard library lacks.
//!
//! This is the only crate that may contain `unsafe`. Each part is small and has a sound interface.
//! Nothing here makes a decision.

mod boot_clock;
mod cpu;
mod fd_passing;
mod isolate;
mod mac;
mod memory;
mod nofile_limit;
mod process_limits;
mod sealed_code;
mod socket_id;

pub use boot_clock::{BootTime, boot_time};
pub use cpu::cpu_time_us;
pub use fd_passing::{FILES_PER_MESSAGE, channel_from_stdin, receive_files, send_files};
pub use isolate::isolate;
pub use mac::MAC_BYTES;
pub use memory::give_back_memory;
pub use nofile_limit::raise_nofile_limit;
pub use process_limits::{ProcessLimits, confine, harden_process, is_private_dir};
pub use sealed_code::{CodeError, SEAL_KEY_BYTES, Seal, code_version, compile, load};
pub use socket_id::SocketId;
