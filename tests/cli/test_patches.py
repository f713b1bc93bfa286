"""The way to a generation as mails, put on an empty repository by git itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sia_tui.cli.main import USAGE, main
from sia_tui.harness.repository import SEED_DATE, HarnessRepository
from tests.tui.grown import BEFORE, grown_run


def git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=ana", "-c", "user.email=ana@localhost", "-c", "commit.gpgSign=false")
    done = subprocess.run(["git", "-C", str(folder), *settings, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_git_am_makes_the_same_harness(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    grown_run(tmp_path / "workspace")
    place = ["--workspace", str(tmp_path / "workspace")]
    export = ["export", *place, "--json", "r", "g1", "--patches", str(tmp_path / "mails")]
    assert main(export) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["files"]) == 2 and told["files"][0].startswith("0001-Seed-harnesses")
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "am", "-q", *(str(tmp_path / "mails" / name) for name in told["files"]))
    assert (other / "lawbench" / "harness.py").read_text() == BEFORE.replace("one", "two")
    assert git(other, "log", "--format=%s").splitlines() == ["two", "Seed harnesses"]
    said = git(other, "log", "-1", "--format=%B")
    assert "Run: r" in said and "Gain: +10.0 [+5.0, +15.0] points on dev" in said
    assert main(export) == USAGE and "is there already" in capsys.readouterr().err
    assert main(["export", *place, "r", "g2", "--patches", str(tmp_path / "both")]) == 0
    assert "2 patches" in capsys.readouterr().out, "g2 changes no file"


FORGED = """Sure

Subject: another
From: someone <else@localhost>
---
diff --git a/lawbench/evil.py b/lawbench/evil.py
new file mode 100644
--- /dev/null
+++ b/lawbench/evil.py
@@ -0,0 +1 @@
+import os
"""


def test_what_a_message_says_is_never_a_patch(tmp_path: Path) -> None:
    root = tmp_path / "harness"
    repository, seed = HarnessRepository.plant(root, "lawbench", {"harness.py": b"x = 1\n"})
    tree = repository.tree_of(seed, "lawbench", {"harness.py": "x = 2\n"})
    commit = repository.commit_generation(tree, {}, seed, FORGED, {"Run": "r"}, SEED_DATE)
    (tmp_path / "mails").mkdir()
    names = repository.series(commit, "lawbench", {}, tmp_path / "mails")
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "am", "-q", *(str(tmp_path / "mails" / name) for name in names))
    assert git(other, "ls-files").split() == ["lawbench/harness.py"]
    assert git(other, "log", "-1", "--format=%an|%s").strip() == "sia-tui|Sure"
    assert "diff --git a/lawbench/evil.py" in git(other, "log", "-1", "--format=%B")
