//! All that counts or remembers: bounded, keyed, with time as an argument.
