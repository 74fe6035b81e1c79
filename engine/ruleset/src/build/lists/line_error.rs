//! The reasons why a line of a list file is not an element, and their corrections.

/// Why a line is not an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    NotText,
    TooLong,
    Address,
    Length,
    Mask,
    WildcardMask,
    Range,
    TwoAddresses,
    Port,
    HostName,
    HostsFile,
    Exception,
    Pair,
    Json,
    JsonNetKey,
    JsonAsnKey,
    JsonWordKey,
    JsonText,
    Quote,
    Empty,
    Asn,
    AsnWords,
    Word,
    Words,
}

impl Fault {
    /// Returns the problem, as continuation of `this line`.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::NotText => "is no text in UTF-8",
            Self::TooLong => "has more than 4096 bytes",
            Self::Address => "is no address or network",
            Self::Length => "has no such prefix length",
            Self::Mask => "has a netmask with gaps",
            Self::WildcardMask => "has a wildcard mask, whose bits are turned round",
            Self::Range => "is no range of addresses",
            Self::TwoAddresses => "has two addresses",
            Self::Port => "has a port behind its address",
            Self::HostName => "is a name of a host, and this list holds addresses",
            Self::HostsFile => "is of a hosts file, which gives names to addresses",
            Self::Exception => "is an exception (`nomatch`), which a list cannot hold",
            Self::Pair => "has a port or a second network, which a list cannot hold",
            Self::Json => "is no complete object of JSON",
            Self::JsonNetKey => "is JSON without `cidr`, `prefix`, `network` or `ip`",
            Self::JsonAsnKey => "is JSON without `asn`",
            Self::JsonWordKey => "is JSON without `country` or `cc`",
            Self::JsonText => "is JSON, and texts stand by themselves",
            Self::Quote => "has a quote that begins a text and does not end it",
            Self::Empty => "is an empty text",
            Self::Asn => "is no AS number",
            Self::AsnWords => "has words behind a bare number",
            Self::Word => "is no word of this type",
            Self::Words => "has more than one word",
        }
    }

    /// Returns the correction.
    pub(super) const fn help(self) -> Option<&'static str> {
        Some(match self {
            Self::Address | Self::Json | Self::Empty | Self::Word => return None,
            Self::NotText => "save the file as UTF-8",
            Self::TooLong => "a line holds one element",
            Self::Length => "from 0 to 32 for IPv4, from 0 to 128 for IPv6",
            Self::Mask => "write the prefix length: `192.0.2.0/24`",
            Self::WildcardMask => {
                "write the prefix length: `192.0.2.0/24` and not `192.0.2.0/0.0.0.255`"
            }
            Self::Range => {
                "write the first and the last address of one family: `192.0.2.3-192.0.2.9`"
            }
            Self::TwoAddresses => {
                "if they are the first and the last one, write `FIRST-LAST`: \
                 `awk '{print $1\"-\"$2}' FILE`"
            }
            Self::Port => "leave the ports out: `sed -E 's/:[0-9]+$//' FILE`",
            Self::HostName => "a list of names is a `list … : string`",
            Self::HostsFile => {
                "make a list of its names for a `list … : string`: \
                 `awk '$1 == \"0.0.0.0\" {print $2}' FILE`"
            }
            Self::Exception => "put it into a list of its own, and ask `not in` that",
            Self::Pair => "write the address or the network alone",
            Self::JsonNetKey => "name the key that holds the network: `jq -r .KEY FILE`",
            Self::JsonAsnKey => "name the key that holds the number: `jq -r .KEY FILE`",
            Self::JsonWordKey => "name the key that holds the word: `jq -r .KEY FILE`",
            Self::JsonText => "name the key that holds the text: `jq -r .KEY FILE`",
            Self::Quote => {
                "a text in quotes has each quote inside it twice: `\"say \"\"hello\"\"\"`"
            }
            Self::Asn => "write `AS64500` or `64500`",
            Self::AsnWords => "write `AS` before the number: `AS64500 Example Networks`",
            Self::Words => "write what the list holds alone",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::LIST_LINE_BYTES_MAX;
    use super::Fault;

    #[test]
    fn the_limit_that_is_told_is_the_limit() {
        assert!(Fault::TooLong.what().contains(&LIST_LINE_BYTES_MAX.to_string()));
    }
}
