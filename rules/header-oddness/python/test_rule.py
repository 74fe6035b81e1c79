"""The function as it is: ``PYTHONPATH=../../../rule-sdk/python python3 -m unittest``."""

import unittest

from rule import header_oddness
from seawall_rule import Headers

FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


class HeaderOddness(unittest.TestCase):
    def test_a_tool_in_a_browsers_clothes_is_odd(self) -> None:
        bare = Headers([(b"host", b"a.example"), (b"user-agent", FIREFOX)])
        self.assertEqual(header_oddness(FIREFOX, bare), 100)
        self.assertEqual(header_oddness(b"curl/8.5.0", bare), 0)

    def test_what_a_visitor_makes_long_is_not_read(self) -> None:
        long = b"Mozilla/5.0 (" + b"x" * 300 + b") Chrome/126.0"
        self.assertEqual(header_oddness(long, Headers()), 0)
