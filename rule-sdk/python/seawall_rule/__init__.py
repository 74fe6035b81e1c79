"""The types of a rule's arguments, in Python.

A text is ``bytes``: header values and paths are not always UTF-8. So compare with ``b"..."``. An
address is one of :mod:`ipaddress`, and :class:`Headers` are the fields of the request.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Optional, Union

__all__ = ["Address", "Headers", "IPv4Address", "IPv6Address", "text"]

Address = Union[IPv4Address, IPv6Address]


def text(value: bytes) -> str:
    """Returns the characters of a UTF-8 text; U+FFFD replaces invalid bytes."""
    return value.decode("utf-8", "replace")


class Headers:
    """The header fields of a request, in the order of arrival if that is known.

    Names are lower case. A field that came twice is there twice.
    """

    __slots__ = ("_packed", "_read")

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._packed = b""
        self._read: Optional[list[tuple[bytes, bytes]]] = list(fields)

    @classmethod
    def unpack(cls, packed: bytes) -> "Headers":
        """Reads the packed fields, on first use."""
        headers = cls()
        headers._packed, headers._read = packed, None
        return headers

    @property
    def _fields(self) -> list[tuple[bytes, bytes]]:
        if self._read is None:
            self._read = self._unpacked(self._packed)
        return self._read

    @staticmethod
    def _unpacked(packed: bytes) -> list[tuple[bytes, bytes]]:
        fields = []
        at, end = 0, len(packed)
        while at < end:
            name = at + 6
            value = name + int.from_bytes(packed[at : at + 2], "little")
            at = value + int.from_bytes(packed[at + 2 : name], "little")
            if name > end or at > end:
                raise ValueError("headers end in the middle of a field")
            fields.append((packed[name:value], packed[value:at]))
        return fields

    def get(self, name: bytes) -> Optional[bytes]:
        """Returns the value of the first field with this name; None if there is none."""
        return next((value for have, value in self._fields if have == name), None)

    def get_all(self, name: bytes) -> list[bytes]:
        """Returns the values of all fields with this name."""
        return [value for have, value in self._fields if have == name]

    def __contains__(self, name: bytes) -> bool:
        return any(have == name for have, _ in self._fields)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)
