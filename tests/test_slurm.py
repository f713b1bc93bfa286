"""docs/slurm.sh with what a node would have on its PATH: Slurm's commands, Ray's and sia-tui's, each a few lines that say
how they were called."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "slurm.sh"
CALLED = '#!/bin/bash\necho "${0##*/} $*" >> "$CALLED"\n'
FAKES = {
    "scontrol": "",
    "hostname": "echo 10.0.0.1 10.0.0.2\n",
    "srun": 'while [[ $1 == --* ]]; do shift; done\nSLURM_NODEID=0 "$@" & SLURM_NODEID=1 "$@" & wait\n',
    # Healthy once both nodes' have said how they were called: a run that ends at once must not end before they do.
    "ray": '[ "$1" != health-check ] || { [ "$(grep -c "^ray start" "$CALLED")" -ge 2 ]; exit; }\n'
    'echo "$RAY_AUTH_MODE ${#RAY_AUTH_TOKEN} $RAY_USAGE_STATS_ENABLED" >> "$CALLED"; exec sleep 30\n',
    "python": "echo 0123456789abcdef\n",
    "sia-tui": '[ "$1" != show ] || exit "$KNOWN"\ntrap "exit 130" TERM\n'
    '[ -z "$LIVES" ] || { echo lives >> "$CALLED"; sleep "$LIVES" & wait; }\nexit "$ENDS"\n',
}


@pytest.fixture
def node(tmp_path: Path) -> dict[str, str]:
    for name, body in FAKES.items():
        (tmp_path / name).write_text(CALLED + body)
        (tmp_path / name).chmod(0o755)
    return {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLED": str(tmp_path / "called"),
        "SIA_BIN": str(tmp_path),
        "SLURM_JOB_ID": "17",
        "SLURM_JOB_NUM_NODES": "2",
        "KNOWN": "1",
        "ENDS": "0",
        "LIVES": "",
    }


def run(node: dict[str, str], warned: signal.Signals | None = None) -> tuple[int, list[str], str]:
    """Status, how everything was called, and what was printed. `warned` comes while sia-tui works."""
    command = ["bash", str(SCRIPT), "c.yaml", "mine"]
    with subprocess.Popen(
        command, env=node, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as job:
        called = Path(node["CALLED"])
        try:
            ends_at = time.monotonic() + 20
            while (
                warned and time.monotonic() < ends_at and "lives" not in (called.read_text() if called.exists() else "")
            ):
                time.sleep(0.02)
            if warned:
                job.send_signal(warned)
            status = job.wait(20)
        finally:
            os.killpg(job.pid, signal.SIGKILL)
        assert job.stdout is not None
        return status, called.read_text().splitlines(), job.stdout.read()


def test_ray_is_between_the_nodes_and_closed_to_others(node: dict[str, str]) -> None:
    status, called, _ = run(node)
    assert status == 0 and "token 16 0" in called
    assert "ray start --head --block --node-ip-address=10.0.0.1 --port=20017 --include-dashboard=false" in called
    assert "ray start --block --address=10.0.0.1:20017" in called
    begun = "sia-tui run c.yaml --name mine --headless --set cluster.executor=ray --set cluster.address=auto"
    assert begun in called and not any(line.startswith("scontrol") for line in called)


def test_before_the_wall_it_ends_and_the_next_job_goes_on(node: dict[str, str]) -> None:
    status, called, said = run(node | {"LIVES": "20", "KNOWN": "0"}, warned=signal.SIGUSR1)
    assert "sia-tui resume mine --headless" in called and called[-1] == "scontrol requeue 17"
    assert status == 130 and "the next job goes on" in said


def test_whoever_cancels_it_does_not_want_it_again(node: dict[str, str]) -> None:
    status, called, _ = run(node | {"LIVES": "20"}, warned=signal.SIGTERM)
    assert status == 130 and not any(line.startswith("scontrol") for line in called)


def test_at_a_gate_the_job_ends_well_and_says_what_to_do(node: dict[str, str]) -> None:
    status, _, said = run(node | {"ENDS": "3"})
    assert status == 0 and "waits for a person" in said and "c.yaml mine" in said
    assert run(node | {"ENDS": "1"})[0] == 1
