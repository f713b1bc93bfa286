"""One workspace for the end-to-end tests: its environment and its little policy are made once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lawbench_shaped import write_lawbench_shaped

ROOT = Path(__file__).parents[2]
LIGHT = ROOT / "tests" / "e2e" / "light" / "tools.py"
STARTING = ("run", "resume", "branch", "attach")
SHARED = ("environments", "policies", "baselines", "fitness")
"""Folders of a workspace, named by what they are made of."""


@dataclass(frozen=True)
class Desk:
    """Where a user would sit: a workspace, a config, and `sia-tui`."""

    workspace: Path
    config: Path

    def cli(self, *arguments: str, script: str = "fates", timeout: float = 480) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, script=script),
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
        )

    def command(self, *arguments: str, script: str = "fates") -> list[str]:
        """What starts no engine needs no script, and is said in a fifth of the time."""
        program = ("tests.e2e.script", script) if arguments[0] in STARTING else ("sia_tui",)
        return [sys.executable, "-m", *program, *arguments]

    def environment(self) -> dict[str, str]:
        return os.environ | {"SIA_WORKSPACE": str(self.workspace), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def show(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cli("show", run, "--json").stdout)
        return found

    def git(self, *arguments: str) -> str:
        """Plain git, as a person would use it."""
        repository = self.workspace / "harness"
        return subprocess.run(
            ["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True
        ).stdout


def make_desk(root: Path, charges: int = 12, per_charge: int = 24, test_per_charge: int = 4) -> Desk:
    """A task of twelve charges and a policy that trains in seconds."""
    data = write_lawbench_shaped(root / "data" / "lawbench", charges, per_charge, test_per_charge)
    config = {
        "task": {"name": "lawbench", "data": str(data), "folds": 3, "dev": 0.16, "hidden": 0.1},
        "policy": {
            "recipe": {"hidden": 64, "heads": 4, "vocab": 1200, "steps": 150, "batch": 16, "excerpt": 90, "threads": 1}
        },
        "harness": {"lanes": 8},
        "evaluate": {"train": 18, "dev": 28, "preview": 12, "hidden": 8, "test": 16, "trace": 0},
        "weights": {"pilot": 16},
        "gate": {"policy": "auto", "indecisive": "roll_back"},
        "budget": {"steps": 8},
    }
    shutil.copytree(ROOT / "harness_repo" / "lawbench", root / "seeds" / "lawbench")
    shutil.copyfile(LIGHT, root / "seeds" / "lawbench" / "tools.py")
    path = root / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    return Desk(root / "workspace", path)


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Each process of the tests has its own; what is the same for all of them and takes long to make is shared."""
    made = make_desk(tmp_path_factory.mktemp("desk"))
    base = tmp_path_factory.getbasetemp()
    made.workspace.mkdir(mode=0o700)
    for name in SHARED:
        shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
        shared.mkdir(exist_ok=True)
        (made.workspace / name).symlink_to(shared)
    return made


@pytest.fixture(scope="session")
def fates(desk: Desk) -> dict[str, Any]:
    """A finished run with one step of each fate, as `show --json` tells it."""
    ended = desk.cli("run", str(desk.config), "--name", "fates")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return desk.show("fates")
