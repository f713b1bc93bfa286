"""A run whose every word is hostile: whatever text an event or an episode holds ends in what steers a terminal."""

from __future__ import annotations

import json
import sqlite3
import types
import typing
from collections.abc import Mapping
from contextlib import closing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from sia_tui.core.events import KINDS
from sia_tui.core.plans import TrainPlan
from sia_tui.store.workspace import RunPaths
from tests.tui.runs import Scene, make_run
from tests.tui.writer import HOSTILE

MARKUP = "[red]x[/][@click=app.quit]y[/][link=https://a.example]z[/link]"
SOIL = MARKUP + HOSTILE.replace("\x00", "")
"""Names go to git and to the file system, which take no NUL."""

NAMED = {"at", "status", "outcome", "commit", "base_commit", "start_commit", "isolation", "hash", "config_hash"}
"""Words of the engine's own that are read again; every other text of an event is soiled, also one that is yet to be added."""
COLUMNS = {
    "episodes": ("id", "key", "case_id", "failure", "answer", "proposal"),
    "trajectories": ("episode",),
    "metrics": ("proposal",),
    "progress": ("phase", "note"),
}
FILE = "ask\x1b[2J\u202e[red]x[/]\x9b.md"
ADDED = "+从候选中选择一个。\x1b]52;c;aGk=\x07\u202e[@click=app.quit]x[/]\x7f\x9b31m"


def soiled_run(root: Path, scene: Scene) -> RunPaths:
    paths = make_run(root, scene)
    with closing(sqlite3.connect(paths.db)) as store, store:
        store.create_function("soil", 1, lambda text: text + SOIL)
        for seq, kind, data in store.execute("select seq, kind, data from events").fetchall():
            said = json.dumps(_soiled(KINDS[kind], json.loads(data)), ensure_ascii=False)
            store.execute("update events set data = ? where seq = ?", (said, seq))
        for table, names in COLUMNS.items():
            for name in names:
                store.execute(f"update {table} set {name} = soil({name}) where {name} is not null")
    return paths


def _soiled(hint: Any, value: Any) -> Any:
    """The same words are soiled alike, so that what names another still does. A plan's are refused where they are no plan's."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(arm for arm in typing.get_args(hint) if arm is not type(None))
    if value is None:
        return None
    if hint is str:
        return value + SOIL
    if is_dataclass(hint) and hint is not TrainPlan:
        return _fields(typing.cast(type[Any], hint), value)
    if typing.get_origin(hint) is tuple:
        return [_soiled(typing.get_args(hint)[0], item) for item in value]
    if typing.get_origin(hint) is not None and isinstance(value, dict) and typing.get_args(hint)[1:] == (int,):
        return {name + SOIL if name not in ("train", "dev", "hidden", "test") else name: n for name, n in value.items()}
    return value


def _fields(kind: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    hints, known = typing.get_type_hints(kind), {field.name for field in fields(kind)}
    soiled = {name: _soiled(hints[name], item) for name, item in value.items() if name in known and name not in NAMED}
    if isinstance(value.get("patch"), str):
        soiled["patch"] = value["patch"].replace("ask.md", FILE).replace("+从候选中选择一个。", ADDED)
    return {**value, **soiled}
