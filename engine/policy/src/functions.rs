//! The functions of the language, as data.
//!
//! The checker knows the exact types of each function by name. This table contains the texts for
//! readers and the names for suggestions.

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionLine {
    /// Its name.
    pub name: &'static str,
    /// The syntax of a call.
    pub written: &'static str,
    /// The result type.
    pub ty: &'static str,
    /// What the function returns.
    pub doc: &'static str,
    /// A condition with a call. `t` is a track.
    pub example: &'static str,
}

macro_rules! functions {
    ($($name:literal $written:literal $ty:literal $doc:literal, $example:literal;)*) => {
        /// The functions of the language, without the externs of a policy.
        pub const FUNCTIONS: &[FunctionLine] = &[$(FunctionLine {
            name: $name, written: $written, ty: $ty, doc: $doc, example: $example,
        },)*];
    };
}

functions! {
    "rate" "rate(track)" "rate" "requests of this key in the track's window", "rate(t) > 10/10s";
    "count" "count(track)" "int" "the same as a number", "count(t) > 10";
    "distinct" "distinct(track)" "int" "distinct values of this key in the window", "distinct(d) > 10";
    "bytes" "bytes(track)" "size" "bytes of this key in the window", "bytes(b) > 1MiB";
    "share" "share(track)" "percent" "share of this key among all, 0 below 100 counted requests", "share(t) > 10%";
    "top" "top(track, n)" "bool" "whether this key is among the n heavy hitters", "top(t, 5)";
    "tagged" "tagged(\"…\")" "bool" "whether an earlier rule has set this tag", "tagged(\"x\")";
    "net" "net(ip, v4, v6)" "cidr" "the network around an address, with these prefix lengths", "net(client.ip, 16, 32) == 192.0.0.0/16";
    "lower" "lower(string)" "string" "the string with ASCII letters in lower case", "lower(ua) contains \"bot\"";
    "segment" "segment(path, n)" "string" "the n-th segment of a path, from 1", "segment(path, 1) == \"a\"";
    "len" "len(string)" "int" "the length in bytes", "len(path) > 100";
    "count_of" "count_of(x)" "int" "the number of values, 0 if there is none", "count_of(header(\"x\")) > 1";
    "sample" "sample(percent, key)" "bool" "whether the key is in this percentage of all keys; always the same for the same key", "sample(10%, client)";
}
