"""Every action that a key does here and now, as commands of the palette."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from textual.app import App, SystemCommand
from textual.binding import ActiveBinding

_DULL = ("scroll_", "copy_text", "help_quit", "command_palette", "select")


def commands(app: App[Any], bindings: Mapping[str, ActiveBinding]) -> Iterable[SystemCommand]:
    """One for each action, with its keys; what is disabled now is left out."""
    keys: dict[tuple[int, str], list[str]] = {}
    first: dict[tuple[int, str], ActiveBinding] = {}
    for active in bindings.values():
        binding = active.binding
        if not active.enabled or not binding.description or any(dull in binding.action for dull in _DULL):
            continue
        at = (id(active.node), binding.action)
        first.setdefault(at, active)
        keys.setdefault(at, []).append(binding.key_display or app.get_key_display(binding))
    for at, active in first.items():
        binding = active.binding
        said = f"{' '.join(dict.fromkeys(keys[at]))} · {binding.tooltip or binding.description}"
        yield SystemCommand(
            _capital(binding.description), said, partial(app.run_action, binding.action, default_namespace=active.node)
        )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
