"""Fitted tools are never taken for those of another harness, view or environment."""

from __future__ import annotations

from pathlib import Path

from sia_tui.engine.tools import tools_name

FILES = {
    "harness.py": "",
    "tools.py": "import lib.features\n",
    "lib/__init__.py": "",
    "lib/features.py": "",
    "stop.txt": "",
}
ROWS, PYTHON = "abc", Path("environments/abc/bin/python")


def test_whatever_prepare_may_depend_on_renames_its_result() -> None:
    names = {
        tools_name(FILES, ROWS, PYTHON),
        tools_name(FILES, "d", PYTHON),
        tools_name(FILES, ROWS, Path("p")),
    }
    names |= {tools_name(FILES | {path: "changed"}, ROWS, PYTHON) for path in (*FILES, "new.txt")}
    assert len(names) == 3 + len(FILES) + 1
    assert tools_name(dict(reversed(FILES.items())), ROWS, PYTHON) in names
