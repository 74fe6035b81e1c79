"""How unusual the headers are for the browser in the User-Agent, from 0 to 100.

The same as in ../rust, line for line; ../README.md says what it stops and what it cannot see.
"""

from dataclasses import dataclass
from typing import Optional

from seawall_rule import Headers

# Points for missing or contradictory fields. A policy should act from 50 on.
NO_ACCEPT = 35
NO_ACCEPT_LANGUAGE = 30
NO_ACCEPT_ENCODING = 30
NO_FETCH_METADATA = 15
NO_CLIENT_HINTS = 15
FOREIGN_CLIENT_HINTS = 40
OTHER_VERSION = 40
TWICE = 40
FEW_FIELDS = 25
CONTRADICTION = 40

#: Fewest fields of any browser: host, user-agent, accept, accept-language, accept-encoding.
FIELDS_MIN = 5

#: Most characters of a text that are read, to limit the cost of the rule.
READ_BYTES_MAX = 256

#: Versions from which browsers send ``sec-fetch-*``.
FETCH_METADATA_FROM = {"chromium": 80, "firefox": 90, "safari": 17}

#: Names of declared machines, also beside the name of a browser.
HONEST_MACHINES = (b"bot", b"Bot", b"spider", b"crawl", b"+http")

#: Destinations of frames, which are navigations too.
FRAMES = (b"iframe", b"frame", b"object", b"embed", b"fencedframe")


@dataclass
class Browser:
    """The browser in a User-Agent, with its major version."""

    kind: str
    version: int


@dataclass
class Seen:
    """The result of one pass over the fields."""

    fields: int = 0
    accept: bool = False
    language: bool = False
    encoding: bool = False
    hints: Optional[bytes] = None
    site: Optional[bytes] = None
    mode: Optional[bytes] = None
    dest: Optional[bytes] = None
    websocket: bool = False
    twice: bool = False


def header_oddness(ua: bytes, all: Headers) -> int:
    """Returns how unusual the headers are, from 0 (normal) to 100."""
    browser = _claimed(ua)
    if browser is None:
        return 0
    seen = _look(all)
    points = 0
    if not seen.accept and not seen.websocket:
        points += NO_ACCEPT
    if not seen.language:
        points += NO_ACCEPT_LANGUAGE
    if not seen.encoding:
        points += NO_ACCEPT_ENCODING
    if seen.fields < FIELDS_MIN:
        points += FEW_FIELDS
    if seen.twice:
        points += TWICE
    if _lacks_fetch_metadata(browser, seen):
        points += NO_FETCH_METADATA
    if _contradicts_itself(seen):
        points += CONTRADICTION
    return min(points + _hint_points(browser, seen), 100)


def _look(all: Headers) -> Seen:
    seen = Seen()
    hosts = agents = 0
    for name, value in all:
        seen.fields += 1
        match name:
            case b"accept":
                seen.accept = True
            case b"accept-language":
                seen.twice |= seen.language
                seen.language = value != b""
            case b"accept-encoding":
                seen.encoding = True
            case b"sec-ch-ua":
                seen.hints = value
            case b"sec-fetch-site":
                seen.site = value
            case b"sec-fetch-mode":
                seen.mode = value
            case b"sec-fetch-dest":
                seen.dest = value
            case b"upgrade":
                seen.websocket = value.lower() == b"websocket"
            case b"host":
                hosts += 1
            case b"user-agent":
                agents += 1
    seen.twice |= hosts > 1 or agents > 1
    return seen


def _contradicts_itself(seen: Seen) -> bool:
    """Returns whether the metadata contradict each other: only a navigation requests a page."""
    if seen.mode is None or seen.dest is None:
        return False
    return (seen.dest == b"document") != (seen.mode == b"navigate") and seen.dest not in FRAMES


def _lacks_fetch_metadata(browser: Browser, seen: Seen) -> bool:
    """Returns whether fetch metadata are missing or incomplete; the three fields come together."""
    sends = browser.version >= FETCH_METADATA_FROM[browser.kind]
    return sends and not seen.websocket and None in (seen.site, seen.mode, seen.dest)


def _hint_points(browser: Browser, seen: Seen) -> int:
    if browser.kind != "chromium":
        return 0 if seen.hints is None else FOREIGN_CLIENT_HINTS
    if seen.hints is None:
        return NO_CLIENT_HINTS if browser.version >= 89 and not seen.websocket else 0
    return 0 if _names_version(seen.hints, browser.version) else OTHER_VERSION


def _names_version(hints: bytes, version: int) -> bool:
    """Returns whether one of the brands in ``sec-ch-ua`` has this version, as ``"Chromium";v="126"``."""
    brands = hints[:READ_BYTES_MAX].split(b';v="')[1:]
    return any(_leading_number(brand) == version for brand in brands)


def _claimed(text: bytes) -> Optional[Browser]:
    """Returns the browser in a User-Agent.

    Order matters: Chromium also says Safari, and on iOS every browser is Safari underneath. What says
    Safari without a version of it shows pages inside an app.
    """
    ua = text[:READ_BYTES_MAX]
    if not ua.startswith(b"Mozilla/5.0 (") or any(mark in ua for mark in HONEST_MACHINES):
        return None
    for mark, kind in ((b"Chrome/", "chromium"), (b"Firefox/", "firefox")):
        version = _version_after(ua, mark)
        if version is not None:
            return Browser(kind, version)
    if b"Safari/" not in ua:
        return None
    version = _version_after(ua, b"Version/")
    return None if version is None else Browser("safari", version)


def _version_after(text: bytes, mark: bytes) -> Optional[int]:
    """Returns the number after the first ``mark``."""
    _, found, rest = text.partition(mark)
    return _leading_number(rest) if found else None


def _leading_number(text: bytes) -> Optional[int]:
    digits = text[:6]
    length = len(digits) - len(digits.lstrip(b"0123456789"))
    return int(digits[:length]) if length else None
