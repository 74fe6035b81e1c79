"""The SDK as it is, without a component: ``python3 -m unittest`` in this folder."""

import subprocess
import sys
import unittest
from ipaddress import ip_address
from types import ModuleType

from seawall_rule import Headers, _glue, text

#: The example of docs/rule-abi.md: ``host: a.example`` and an empty ``te``.
PACKED = bytes.fromhex("040009000000686f7374612e6578616d706c650200000000007465")


class HeadersAreRead(unittest.TestCase):
    def test_as_the_contract_writes_them(self) -> None:
        headers = Headers.unpack(PACKED)
        self.assertEqual(list(headers), [(b"host", b"a.example"), (b"te", b"")])
        self.assertEqual(headers.get(b"host"), b"a.example")
        self.assertIsNone(headers.get(b"Host"))
        self.assertTrue(b"te" in headers and b"x" not in headers)
        self.assertEqual((len(headers), len(Headers.unpack(b""))), (2, 0))

    def test_cut_off_they_are_none(self) -> None:
        for length in set(range(1, len(PACKED))) - {19}:
            with self.assertRaises(ValueError, msg=f"{length} bytes"):
                len(Headers.unpack(PACKED[:length]))

    def test_what_came_twice_is_there_twice(self) -> None:
        headers = Headers([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
        self.assertEqual(headers.get_all(b"a"), [b"1", b"3"])
        self.assertEqual(headers.get(b"a"), b"1")


class ValuesCross(unittest.TestCase):
    def test_answers_of_another_kind_are_refused(self) -> None:
        self.assertEqual(_glue.give_int(-(2**63)), -(2**63))
        for wrong in (1.0, "1", None, True, float("nan")):
            with self.assertRaises(TypeError):
                _glue.give_int(wrong)
        with self.assertRaises(OverflowError):
            _glue.give_int(2**63)
        self.assertIs(_glue.give_bool(True), True)
        with self.assertRaises(TypeError):
            _glue.give_bool(1)
        self.assertEqual(_glue.give_string("\u00e4"), b"\xc3\xa4")
        self.assertEqual(_glue.give_string(b"\xff"), b"\xff")
        with self.assertRaises(TypeError):
            _glue.give_string(None)

    def test_arguments(self) -> None:
        self.assertEqual(_glue.take_ip(bytes([192, 0, 2, 1])), ip_address("192.0.2.1"))
        self.assertEqual(_glue.take_ip(bytes(15) + b"\1"), ip_address("::1"))
        self.assertEqual(text(b"a\xff\xc3\xa4"), "a\ufffd\u00e4")

    def test_a_missing_function_is_named(self) -> None:
        with self.assertRaisesRegex(SystemExit, "no function `odd`"):
            _glue.function(ModuleType("rule"), "odd")


class ChanceAndTheClockAreGone(unittest.TestCase):
    def test_in_a_process_of_its_own(self) -> None:
        for asks in (
            "import random; random.random()",
            "from random import choice",
            "import secrets; secrets.token_hex()",
            "import time; time.time()",
            "from time import monotonic; monotonic()",
            "import os; os.urandom(1)",
        ):
            program = f"from seawall_rule import _guard; _guard.install(); {asks}"
            ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
            self.assertNotEqual(ran.returncode, 0, asks)
            self.assertRegex(ran.stderr, "a rule has no (chance|clock)", asks)


if __name__ == "__main__":
    unittest.main()
