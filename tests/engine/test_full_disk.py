"""A disk that fills up under a run: it is paused, says what is left of it, and goes on once there is room."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sia_tui.harness.sandbox import probe

MOST = 3 << 20
DISKS = ["told", *(["tmpfs"] if probe().of("bwrap").works else [])]
"""An error as a disk gives it; a real, small disk where bubblewrap can make one."""


@pytest.mark.parametrize("disk", DISKS)
def test_a_full_disk_pauses_the_run_until_there_is_room(disk: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.engine.filling", str(tmp_path), disk]
    if disk == "tmpfs":
        command = ["bwrap", "--dev-bind", "/", "/", "--size", str(MOST), "--tmpfs", str(tmp_path), *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    first, again, last = json.loads(done.stdout)
    for told in (first, again):
        assert (told["code"], told["status"]) == (1, "paused")
        assert told["why"].startswith(f"no room left to write in {tmp_path}/runs/r (")
        assert told["why"].endswith(
            "saved: its checkpoint of step 4, 0 rollouts; g0 serves on; make some, then: sia-tui resume r"
        )
        assert f"paused: {told['why']}" in told["said"][-1]
    assert (last["code"], last["status"], last["why"]) == (0, "done", "it went on")
    assert any("resume by ana: resumed" in line for line in last["said"])
