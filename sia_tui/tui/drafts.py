"""What may be set when a run is begun, and what is wrong with what was typed, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sia_tui.config import ConfigError, RunConfig, load_config
from sia_tui.config.fields import Key, key
from sia_tui.core.text import one_line
from sia_tui.tui.budget import OPTIONAL, limited

KEYS = (
    "budget.steps",
    "budget.wall_s",
    *(f"budget.{name}" for name in OPTIONAL),
    "budget.target",
    "evaluate.dev",
    "evaluate.preview",
    "gate.indecisive",
    "seed",
)


def fields() -> tuple[Key, ...]:
    return tuple(key(name) for name in KEYS)


def values(config: Path) -> Mapping[str, str]:
    """What the config says of them. Raises ConfigError."""
    read = load_config(config)
    return {name: _value(read, name) for name in KEYS}


def faults(config: Path | None, typed: Mapping[str, str]) -> dict[str, str]:
    """One line by field, `config` included; nothing where a run can be begun with what was typed."""
    if config is None:
        return {"config": "choose a file, or type the path of one"}
    try:
        load_config(config)
    except ConfigError as error:
        return {"config": one_line(str(error), 300)}
    found: dict[str, str] = {}
    for name, text in typed.items():
        if text.strip() and (fault := _fault(config, f"{name}={text.strip()}")):
            found[name] = fault
    overrides = [f"{name}={text.strip()}" for name, text in typed.items() if text.strip()]
    if not found and (fault := _fault(config, *overrides)):
        found["config"] = fault
    return found


def _fault(config: Path, *overrides: str) -> str | None:
    try:
        load_config(config, list(overrides))
    except ConfigError as error:
        return one_line(str(error).removeprefix(f"{config}: "), 300)
    return None


def _value(config: RunConfig, name: str) -> str:
    if (leaf := name.removeprefix("budget.")) in OPTIONAL and limited(config, leaf) is None:
        return "no limit"
    found: Any = config
    for part in name.split("."):
        found = getattr(found, part)
    return "null" if found is None else f"{found:g}" if isinstance(found, float) else str(found)
