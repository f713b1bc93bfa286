"""When tools must be fitted anew, and when they need not."""

from __future__ import annotations

from pathlib import Path

from sia_tui.engine.tools import tools_name

FILES = {
    "harness.py": "from tools import Tools\n",
    "tools.py": "import features\nfrom sklearn.svm import LinearSVC\n",
    "features.py": "N = 2\n",
    "prompt.md": "hi\n",
    "stopwords.txt": "的\n",
    "requirements.txt": "numpy==2.3.5\n",
}
ROWS = Path("rows/abc")


def test_only_what_prepare_may_depend_on_renames_its_result() -> None:
    name = tools_name(FILES, ROWS)
    for path in ("tools.py", "features.py", "stopwords.txt", "requirements.txt"):
        assert tools_name(FILES | {path: FILES[path] + "\n"}, ROWS) != name, path
    for path in ("harness.py", "prompt.md"):
        assert tools_name(FILES | {path: FILES[path] + "\n"}, ROWS) == name, path
    assert tools_name(FILES, Path("rows/def")) != name
