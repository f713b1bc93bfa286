"""What one key of a config may be and what it means, as its model says it."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sia_tui.config.run import RunConfig

_SIGNS = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))


@dataclass(frozen=True)
class Key:
    """A dotted key, what is allowed (such as `≥ 1`), and its description."""

    name: str
    allowed: str
    said: str


def key(name: str) -> Key:
    """Raises KeyError for a key that no config has."""
    model: type[BaseModel] = RunConfig
    *sections, leaf = name.split(".")
    for section in sections:
        model = model.model_fields[section].annotation  # type: ignore[assignment]
    found = model.model_fields[leaf]
    return Key(name, _allowed(found), found.description or "")


def _allowed(found: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(rule, name)}" for rule in found.metadata for name, sign in _SIGNS if hasattr(rule, name)
    ]
    options = [str(option) for option in _options(found.annotation)]
    said = " and ".join(bounds) or " | ".join(options) or _kind(found.annotation)
    return f"{said}, or null" if NoneType in get_args(found.annotation) else said


def _options(annotation: Any) -> list[object]:
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []


def _kind(annotation: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true | false"}
    kinds = [part for part in (get_args(annotation) or (annotation,)) if part is not NoneType]
    return " or ".join(names.get(part, "a value") for part in kinds)
