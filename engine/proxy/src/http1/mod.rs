//! HTTP/1 from clients: the stream with its deadlines, the parser of header sections, chunked
//! bodies, and the loop that serves a connection.

pub(crate) mod body_buffer;
pub(crate) mod chunked;
pub(crate) mod head;
pub(crate) mod server;
pub(crate) mod stream;
pub(crate) mod timer;
