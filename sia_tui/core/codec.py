"""Events and other dataclasses to JSON and back."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Hashable, Mapping
from typing import Any

from sia_tui.core.events import KINDS, Event


def encode(event: Event) -> tuple[str, dict[str, Any]]:
    return type(event).__name__, dataclasses.asdict(event)


def decode(kind: str, data: Mapping[str, Any]) -> Event:
    """Raises ValueError for a kind this version does not know or data that does not fit it."""
    if kind not in KINDS:
        raise ValueError(f"unknown event {kind!r}: written by a newer version?")
    try:
        return typing.cast(Event, build(KINDS[kind], data))
    except TypeError as error:
        raise ValueError(f"event {kind} does not fit: {error}") from error


@functools.cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def build(kind: type[Any], data: Mapping[str, Any]) -> Any:
    """A dataclass from its JSON; what it does not know is left out. Raises TypeError for what is missing."""
    hints = _hints(typing.cast(Hashable, kind))
    return kind(**{name: _value(hints[name], value) for name, value in data.items() if name in hints})


def _value(hint: Any, value: Any) -> Any:
    """JSON's lists and dicts back into the tuples and dataclasses of the hint."""
    if value is None:
        return None
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(arm for arm in typing.get_args(hint) if arm is not type(None))
    if typing.get_origin(hint) is tuple:
        return tuple(_value(typing.get_args(hint)[0], item) for item in value)
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type[Any], hint), value)
    return value
