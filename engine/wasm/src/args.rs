//! The arguments of a call, borrowed from the request without an allocation.

use crate::Signature;
use std::net::IpAddr;

/// An argument, borrowed from the request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arg<'a> {
    /// For a `bool`.
    Bool(bool),
    /// For an `s64`.
    Int(i64),
    /// For a `text`, an `address` (4 or 16 bytes) or `headers` (see [`crate::pack_headers`]).
    Bytes(&'a [u8]),
}

impl std::fmt::Debug for Arg<'_> {
    /// Prints the kind only, because the bytes belong to a client.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bool(_) => "Bool",
            Self::Int(_) => "Int",
            Self::Bytes(_) => "Bytes",
        })
    }
}

/// The arguments of one call. Addresses are stored inline, and nothing is allocated.
///
/// One argument too many makes the list longer than any signature, so that the call is rejected.
#[derive(Debug, Clone, Default)]
pub struct Args<'a> {
    held: [ArgStorage<'a>; ARGS_MAX],
    count: usize,
}

/// One more than any function takes.
const ARGS_MAX: usize = Signature::PARAMS_MAX + 1;

#[derive(Clone, Copy)]
enum ArgStorage<'a> {
    Arg(Arg<'a>),
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Default for ArgStorage<'_> {
    fn default() -> Self {
        Self::Arg(Arg::Bool(false))
    }
}

impl std::fmt::Debug for ArgStorage<'_> {
    /// Prints the kind only, as for [`Arg`].
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Arg(arg) => arg.fmt(f),
            Self::V4(_) | Self::V6(_) => f.write_str("Address"),
        }
    }
}

impl<'a> Args<'a> {
    /// Adds an argument.
    pub fn push(&mut self, arg: Arg<'a>) {
        self.hold(ArgStorage::Arg(arg));
    }

    /// Adds an address: 4 bytes for IPv4, also if it is IPv4-mapped, or 16.
    pub fn push_address(&mut self, ip: IpAddr) {
        self.hold(match ip.to_canonical() {
            IpAddr::V4(v4) => ArgStorage::V4(v4.octets()),
            IpAddr::V6(v6) => ArgStorage::V6(v6.octets()),
        });
    }

    fn hold(&mut self, held: ArgStorage<'a>) {
        if let Some(place) = self.held.get_mut(self.count) {
            *place = held;
            self.count += 1;
        }
    }

    /// Passes the arguments to `then` as a slice.
    pub(crate) fn with<T>(&self, then: impl FnOnce(&[Arg<'_>]) -> T) -> T {
        let args = self.held.each_ref().map(|held| match held {
            ArgStorage::Arg(arg) => *arg,
            ArgStorage::V4(bytes) => Arg::Bytes(bytes),
            ArgStorage::V6(bytes) => Arg::Bytes(bytes),
        });
        then(args.get(..self.count).unwrap_or(&args))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_bytes_and_one_too_many_is_kept_to_be_refused() {
        let mut args = Args::default();
        args.push_address("192.0.2.1".parse().unwrap());
        args.push_address("::ffff:192.0.2.1".parse().unwrap());
        args.push_address("2001:db8::1".parse().unwrap());
        args.push(Arg::Int(7));
        args.with(|args| {
            let v4 = Arg::Bytes(&[192, 0, 2, 1]);
            assert!(args[0] == v4 && args[1] == v4 && args[3] == Arg::Int(7));
            assert!(matches!(args[2], Arg::Bytes([0x20, 1, ..])));
        });
        assert_eq!(format!("{:?}", args.held[0]), "Address");
        (0..9).for_each(|_| args.push(Arg::Bool(true)));
        args.with(|args| assert_eq!(args.len(), Signature::PARAMS_MAX + 1));
    }
}
