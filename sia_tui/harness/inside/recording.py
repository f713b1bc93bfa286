"""Writes down what a harness asked of its tools, without the tools or the harness having to do anything."""

from __future__ import annotations

import collections
import contextvars
import functools
import inspect
import reprlib
import socket
import sys
import time
from collections.abc import Callable
from typing import Any


class Record:
    """The tool calls of one episode, up to a number of calls and of characters."""

    def __init__(self, calls: int, characters: int) -> None:
        self.entries: list[dict[str, Any]] = []
        self.dropped = 0
        self.complaint = ""
        """What a program complained of on its standard error, so far."""
        self._calls = calls
        self.characters = characters

    def add(self, name: str, arguments: str, result: str, seconds: float) -> None:
        if len(self.entries) >= self._calls:
            self.dropped += 1
            return
        self.entries.append({"name": clip(name, 200), "arguments": arguments, "result": result, "seconds": seconds})


DENIED = "(denied)"
_NETWORK = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}
_OURS = (-1, socket.AF_UNIX)
"""Families of sockets that are made of an inherited lane, or that the event loop makes for itself."""


def watch_network() -> None:
    """Write down, in the record of the episode that it happens in, every try to reach the network. The walls stop it; this
    only tells. Cannot be taken back by code that runs later."""
    sys.addaudithook(_heard)


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.__new__" and args[1] in _OURS:
        return
    if event != "socket.__new__" and event not in _NETWORK:
        return
    plain = ", ".join(repr(one) for one in args if type(one) in (str, bytes, int, tuple))
    said = (clip(f"{event.removeprefix('socket.')} {plain}", 200), "the sandbox has no network")
    record = current.get()
    if record is None:
        stray.append(said)
    else:
        record.add(DENIED, *said, 0.0)


stray: collections.deque[tuple[str, str]] = collections.deque(maxlen=20)
"""Tries outside of any episode, as by a thread or an import; told in the next one that ends."""

current: contextvars.ContextVar[Record | None] = contextvars.ContextVar("current", default=None)
"""The record of the episode this code runs for; follows tasks and `asyncio.to_thread`, not bare threads."""


class Recorded:
    """Stands before a tools object: every public method call lands in the current episode's record.

    Calls the tools make among themselves are their own business and are not recorded. Special methods are looked up on
    the type and so are not forwarded.
    """

    def __init__(self, tools: object) -> None:
        self.__tools = tools

    def __getattr__(self, name: str) -> Any:
        if name == "_Recorded__tools":
            raise AttributeError(name)
        value = getattr(self.__tools, name)
        if name.startswith("_") or not callable(value):
            return value
        return _recording(name, value)

    def __dir__(self) -> list[str]:
        return dir(self.__tools)


def _recording(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method, assigned=("__doc__",), updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        record = current.get()
        if record is None:
            return method(*args, **kwargs)
        note = _Note(record, name, args, kwargs)
        try:
            result = method(*args, **kwargs)
        except BaseException as error:
            note.close(f"raised {type(error).__name__}: {error}")
            raise
        if inspect.isawaitable(result):
            return _awaited(note, result)
        note.close(shown(result, record.characters))
        return result

    return call


async def _awaited(note: _Note, result: Any) -> Any:
    try:
        value = await result
    except BaseException as error:
        note.close(f"raised {type(error).__name__}: {error}")
        raise
    note.close(shown(value, note.record.characters))
    return value


class _Note:
    """One call under way; its arguments are written down before the tool can change them."""

    def __init__(self, record: Record, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.record = record
        self._name = name
        limit = record.characters
        parts = [shown(a, limit) for a in args] + [f"{k}={shown(v, limit)}" for k, v in kwargs.items()]
        self._arguments = clip(", ".join(parts), limit)
        self._started = time.monotonic()

    def close(self, result: str) -> None:
        seconds = time.monotonic() - self._started
        self.record.add(self._name, self._arguments, clip(result, self.record.characters), seconds)


def shown(value: object, limit: int) -> str:
    """The value as code, at a cost bounded by `limit` whatever its size."""
    painter = reprlib.Repr()
    painter.maxstring = painter.maxother = limit
    painter.maxlist = painter.maxtuple = painter.maxdict = painter.maxset = painter.maxfrozenset = 50
    painter.maxlevel = 6
    return clip(painter.repr(value), limit)


def clip(text: str, limit: int) -> str:
    """At most `limit` characters and always encodable: a lone surrogate would break whoever stores it."""
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")
