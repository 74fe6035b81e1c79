"""An ordinary function has an ordinary test: ``python3 -m unittest``."""

import unittest

from rule import template_rule
from seawall_rule import Headers


class WhatIsMissing(unittest.TestCase):
    def test_it_is_counted(self) -> None:
        headers = Headers([(b"host", b"a.example"), (b"accept", b"*/*")])
        self.assertEqual(template_rule(b"Mozilla/5.0", headers), 2)
        self.assertEqual(template_rule(b"curl/8.5.0", headers), 0)
