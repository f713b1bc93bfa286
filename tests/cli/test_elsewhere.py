"""Where there is no Linux, what only reads works and what would carry out a model's code says what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sia_tui.cli import replaying

ROOT = Path(__file__).parents[2]
ELSEWHERE = """
import importlib.abc, os, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("inotify_simple", "pyseccomp"):
            raise ImportError(f"{name} is Linux's")

sys.meta_path.insert(0, Missing())
for name in ("sched_getaffinity", "memfd_create", "pidfd_open"):
    delattr(os, name)
sys.addaudithook(lambda event, told: told and str(told[0]).startswith("/proc/") and _none(event))

def _none(event):
    if event in ("open", "os.listdir", "os.scandir"):
        raise FileNotFoundError(2, "there is no /proc")

import asyncio, platform, subprocess, sysconfig  # which choose by sys.platform what they are made of
sysconfig.get_config_vars()
sys.platform = "darwin"
"""
"""What a Mac lacks of what Python shows of a Linux; its own system calls are its own, and not tried here."""


def there(program: str, workspace: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ELSEWHERE + program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={"SIA_WORKSPACE": str(workspace), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(workspace)},
        check=False,
    )


def verb(*arguments: str) -> str:
    return f"from sia_tui.cli.main import main\nsys.exit(main({list(arguments)!r}))"


@pytest.mark.parametrize(
    "arguments", [("run", "configs/lawbench-nano.yaml"), ("resume", "r"), ("reproduce", "r", "g0")]
)
def test_what_carries_out_a_models_code_says_what_is_missing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    said = there(verb(*arguments), tmp_path / "w")
    assert said.returncode == 2 and said.stderr.count("\n") == 1, said.stderr
    assert said.stderr.startswith(f"sia-tui: {arguments[0]} needs Linux") and "demo, replay" in said.stderr
    assert not (tmp_path / "w").exists()


def test_doctor_names_the_system(tmp_path: Path) -> None:
    said = there(verb("doctor"), tmp_path / "w")
    assert said.returncode == 1 and "Traceback" not in said.stderr, said.stderr
    rows = {line.split()[1]: line for line in said.stdout.splitlines()}
    assert "darwin" in rows["system"] and rows["system"].startswith("FAILS")
    assert "none on darwin" in rows["landlock"] and "none on darwin" in rows["bubblewrap"]


DEMO = """
from pathlib import Path
from sia_tui.cli import replaying
from sia_tui.cli.main import main
from sia_tui.cli.recording import unpack
from sia_tui.tui.replayed import ReplayApp

async def two_panes(app):
    async with app.run_test(size=(120, 40)) as pilot:
        for key in "36":
            await pilot.press(key)
            await pilot.pause()

os.environ["TEXTUAL_DRIVER"] = "textual.drivers.headless_driver:HeadlessDriver"
ReplayApp.run = lambda app: asyncio.run(two_panes(app))
played = main(["demo"])
heavy = [name for name in ("torch", "transformers", "trl", "sklearn") if name in sys.modules]
workspace, paths = unpack(replaying.DEMO, Path(os.environ["SIA_WORKSPACE"]))
reads = [main([*words, "--workspace", str(workspace.root)]) for words in
         (["ls"], ["show", paths.name], ["history", paths.name], ["decisions", paths.name], ["audit", paths.name])]
sys.exit(f"demo imports {heavy}" if heavy else any([played, *reads]))
"""


def test_the_demo_is_played_and_read(tmp_path: Path) -> None:
    """In less than 2 MB and without what takes seconds to import."""
    said = there(DEMO, tmp_path)
    assert replaying.DEMO.stat().st_size < 2_000_000
    assert said.returncode == 0, said.stdout + said.stderr
    assert "g0" in said.stdout
