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
            Self::NotText => "is not valid UTF-8",
            Self::TooLong => "has more than 4096 bytes",
            Self::Address => "is not an IP address or network",
            Self::Length => "has an invalid prefix length",
            Self::Mask => "has a netmask with gaps",
            Self::WildcardMask => "has a wildcard mask (inverted netmask)",
            Self::Range => "is not a valid range of addresses",
            Self::TwoAddresses => "has two addresses",
            Self::Port => "has a port after the address",
            Self::HostName => "is a host name, but the list needs addresses",
            Self::HostsFile => "is a line of a hosts file",
            Self::Exception => "is an exception (`nomatch`), which a list cannot contain",
            Self::Pair => "has a port or a second network, which a list cannot contain",
            Self::Json => "is not a complete JSON object",
            Self::JsonNetKey => "is JSON without `cidr`, `prefix`, `network` or `ip`",
            Self::JsonAsnKey => "is JSON without `asn`",
            Self::JsonWordKey => "is JSON without `country` or `cc`",
            Self::JsonText => "is JSON, but a list of strings needs plain texts",
            Self::Quote => "has no closing quote",
            Self::Empty => "is an empty text",
            Self::Asn => "is not an AS number",
            Self::AsnWords => "has words after a plain number",
            Self::Word => "is not a word of this type",
            Self::Words => "has more than one word",
        }
    }

    /// Returns the correction.
    pub(super) const fn help(self) -> Option<&'static str> {
        Some(match self {
            Self::Address | Self::Json | Self::Empty | Self::Word => return None,
            Self::NotText => "save the file as UTF-8",
            Self::TooLong => "write one element in each line",
            Self::Length => "from 0 to 32 for IPv4, from 0 to 128 for IPv6",
            Self::Mask => "write the prefix length: `192.0.2.0/24`",
            Self::WildcardMask => {
                "write the prefix length: `192.0.2.0/24` and not `192.0.2.0/0.0.0.255`"
            }
            Self::Range => {
                "write the first and the last address of one family: `192.0.2.3-192.0.2.9`"
            }
            Self::TwoAddresses => "for a range, write `FIRST-LAST`: `awk '{print $1\"-\"$2}' FILE`",
            Self::Port => "remove the ports: `sed -E 's/:[0-9]+$//' FILE`",
            Self::HostName => "use a `list … : string` for names",
            Self::HostsFile => {
                "extract the names for a `list … : string`: `awk '$1 == \"0.0.0.0\" {print $2}' \
                 FILE`"
            }
            Self::Exception => "move it to a second list, and test `not in` that list",
            Self::Pair => "write only the address or the network",
            Self::JsonNetKey => "extract the key with the network: `jq -r .KEY FILE`",
            Self::JsonAsnKey => "extract the key with the number: `jq -r .KEY FILE`",
            Self::JsonWordKey => "extract the key with the word: `jq -r .KEY FILE`",
            Self::JsonText => "extract the key with the text: `jq -r .KEY FILE`",
            Self::Quote => "double each quote inside a quoted text: `\"say \"\"hello\"\"\"`",
            Self::Asn => "write `AS64500` or `64500`",
            Self::AsnWords => "write `AS` before the number: `AS64500 Example Networks`",
            Self::Words => "write only the element",
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
