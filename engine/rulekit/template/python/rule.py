"""Counts the fields that every browser sends and that this request lacks, for a claimed browser.

A rule computes, and the policy counts and acts. It sees only what it is given, and keeps nothing
between calls: no variable that changes outside a function, no clock, no chance, no files.
"""

from seawall_rule import Headers

#: Every browser sends these with every request.
EXPECTED = (b"accept", b"accept-encoding", b"accept-language")


def template_rule(ua: bytes, all: Headers) -> int:
    """Returns 0 (nothing is missing) to 3. Returns 0 if the User-Agent claims no browser.

    What it takes and answers, rule.toml says: ``bool`` and ``int`` are themselves, ``string`` is
    bytes, ``ip`` an address of ``ipaddress``, ``headers`` are Headers.
    """
    if not ua.startswith(b"Mozilla/"):
        return 0
    return sum(name not in all for name in EXPECTED)
