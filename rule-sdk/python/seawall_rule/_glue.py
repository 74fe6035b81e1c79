"""Converts values between a rule's functions and its component.

Used by what ``seawall rule build`` writes, and by nobody else. A value that does not fit ends the
call, and ``on_failure`` counts.
"""

from collections.abc import Callable
from ipaddress import ip_address
from types import ModuleType
from typing import Any

from . import Address, Headers


def function(rule: ModuleType, name: str) -> Callable[..., Any]:
    """Returns the rule's function with this name."""
    found = getattr(rule, name, None)
    if not callable(found):
        raise SystemExit(f"rule.py has no function `{name}`, which rule.toml declares")
    return found


def take_ip(value: bytes) -> Address:
    return ip_address(value)


take_headers = Headers.unpack


def give_bool(value: object) -> bool:
    if type(value) is bool:
        return value
    raise TypeError(f"the result must be a bool, not {type(value).__name__}")


def give_int(value: object) -> int:
    if type(value) is int:
        if -(2**63) <= value < 2**63:
            return value
        raise OverflowError("an int result has 64 bits")
    raise TypeError(f"the result must be an int, not {type(value).__name__}")


def give_string(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    raise TypeError(f"the result must be a string, not {type(value).__name__}")
