"""Removes what differs between builds or calls: random numbers and the clock.

Imported before the rule, so that a rule that asks for them is not built, or fails when it asks.
"""

import os
import sys
import time
from types import ModuleType
from typing import Any, NoReturn

_CHANCE = ("random", "secrets")
_CLOCKS = (
    "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns "
    "thread_time thread_time_ns gmtime localtime ctime asctime sleep"
).split()


class _Without(ModuleType):
    @staticmethod
    def seed(*_: object) -> None:
        """Called by the runtime at start. There is nothing to seed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"a rule has no chance, so there is no `{self.__name__}.{name}`")


def _no_clock(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("a rule has no clock: it answers from its arguments alone")


def _no_chance(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("a rule has no chance: it answers from its arguments alone")


def install() -> None:
    """Removes them from here on."""
    for name in _CHANCE:
        sys.modules[name] = _Without(name)
    for name in _CLOCKS:
        setattr(time, name, _no_clock)
    os.urandom = _no_chance
