"""Tasks whose answers are made of a plan: what the first harness and the nano policy are told of the plan's grammar."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from sia_tui.tasks.task import Forms

GRAMMAR = "grammar.json"
"""Fields and their words, in order, for whoever writes plans as letters, A for the first word of a field."""


def packaged(package: str, files: Sequence[str], fields: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Files of a package of ours as the harness has them, where they import each other by plain name; and the grammar."""
    folder = Path(import_module(package).__path__[0])
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in files}
    plain = {name: text.replace(f"from {package}.", "from ") for name, text in texts.items()}
    return plain | {GRAMMAR: json.dumps({name: list(words) for name, words in fields.items()}, indent=1) + "\n"}


def forms_of(fields: Mapping[str, Sequence[str]]) -> Forms:
    """Which letters may stand in each place."""
    return Forms(tuple("".join(chr(ord("A") + place) for place in range(len(words))) for words in fields.values()))
