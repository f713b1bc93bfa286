"""A log that says what no version ever wrote: whoever reads it is told in a line, and nothing is deleted for it."""

from __future__ import annotations

import json
import sqlite3

import pytest

from sia_tui.cli.main import main
from sia_tui.store.workspace import Workspace

pytestmark = pytest.mark.xdist_group("export")


@pytest.mark.parametrize(
    ("kind", "field"), [("GenerationCreated", "commit"), ("RunCreated", "task"), ("RunCreated", "run")]
)
def test_a_nul_in_what_git_is_asked_for(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], kind: str, field: str
) -> None:
    with sqlite3.connect(workspace.run("real").db) as log:
        seq, data = log.execute("SELECT seq, data FROM events WHERE kind = ?", (kind,)).fetchone()
        said = json.loads(data)
        said[field] = f"{said[field][:3]}\0{said[field][3:]}"
        log.execute("UPDATE events SET data = ? WHERE seq = ?", (json.dumps(said), seq))
    log.close()
    for words in (["diff", "real", "g0", "g0"], ["blame", "real", "g0"], ["verify", "real"], ["gc"]):
        code = main([*words, "--workspace", str(workspace.root)])
        told = capsys.readouterr()
        if words[0] in ("diff", "blame") and field != "run":
            assert code == 2 and "holds a NUL" in told.err and told.err.count("\n") == 1
        assert "\0" not in told.out + told.err
