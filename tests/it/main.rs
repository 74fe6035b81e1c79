//! Everything that needs the whole: the real program over real sockets, and the tree itself.
//!
//! One binary, since each file of its own would link all of it anew.

mod tidy;
