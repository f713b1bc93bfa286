"""A reward in a container of its own, by the podman or docker of this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sia_tui.core.containers import PROGRAMS
from sia_tui.tasks import reward_host
from sia_tui.tasks.own import HOST, contained, image_id
from sia_tui.tasks.reward_host import judge, load
from sia_tui.tasks.task import TaskError

RUNTIME = next(filter(None, map(shutil.which, PROGRAMS)), None)
SOURCE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>
int main(int count, char **words) {
    static char told[1 << 16];
    told[fread(told, 1, sizeof told - 1, stdin)] = 0;
    if (count > 1) sleep(60);
    struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = 53, .sin_addr = {0x08080808}};
    int wrote = open("/written", O_CREAT | O_WRONLY, 0600) >= 0, sees = access("/etc/passwd", R_OK) == 0;
    int reached = connect(socket(AF_INET, SOCK_DGRAM, 0), (void *)&out, sizeof out) == 0;
    printf("{\"reward\": %s, \"detail\": {\"wrote\": \"%d\", \"sees\": \"%d\", \"reached\": \"%d\"}}\n",
           strstr(told, "\"answer\": \"yes\"") ? "1.0" : "0.0", wrote, sees, reached);
}
"""
CASE = {"id": "c", "inputs": {"text": "?"}, "gold": "yes"}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of one static program, made here; skips where containers cannot run."""
    if RUNTIME is None or shutil.which("gcc") is None:
        pytest.skip("no podman or docker here, or no gcc")
    folder = tmp_path_factory.mktemp("image")
    (folder / "judge.c").write_text(SOURCE)
    subprocess.run(["gcc", "-static", "-O1", "-w", "-o", str(folder / "judge"), str(folder / "judge.c")], check=True)
    with tarfile.open(folder / "root.tar", "w") as root:
        root.add(folder / "judge", "judge")
    name = "localhost/sia-tui-test:judge"
    made = subprocess.run([RUNTIME, "import", str(folder / "root.tar"), name], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"{RUNTIME} makes no image here: {made.stderr.strip()[-200:]}")
    with pytest.MonkeyPatch.context() as patch:
        if "podman" in RUNTIME and shutil.which("runc"):
            # crun does not run under the hybrid control groups of older machines.
            (folder / "containers.conf").write_text('[engine]\nruntime = "runc"\n')
            patch.setenv("CONTAINERS_CONF", str(folder / "containers.conf"))
        spec = {**contained(name), "command": ["/judge"], "deadline_s": 60}
        if (said := judge("yes", CASE, load(spec, folder), "yes"))["failure"] == "verifier_error":
            pytest.skip(f"containers do not run here: {said['detail']['verifier']}")
        yield name
    subprocess.run([RUNTIME, "rmi", "--force", name], capture_output=True)


def test_it_judges_behind_walls(image: str, tmp_path: Path) -> None:
    spec = {**contained(image), "command": ["/judge"], "deadline_s": 60}
    reward = load(spec, tmp_path)
    for answer, value in (("yes", 1.0), ("no", 0.0)):
        said = judge(answer, CASE, reward, "yes")
        assert said["reward"] == value
        assert {name: said["detail"][name] for name in ("wrote", "sees", "reached")} == {
            "wrote": "0",
            "sees": "0",
            "reached": "0",
        }


def test_one_that_takes_too_long_is_ended_with_its_container(image: str, tmp_path: Path) -> None:
    assert RUNTIME is not None
    spec = {**contained(image), "command": ["/judge", "sleep"], "deadline_s": 2}
    said = judge("yes", CASE, load(spec, tmp_path), "yes")
    assert said["failure"] == "verifier_timeout"
    left = subprocess.run([RUNTIME, "ps", "--all", "--format", "json"], capture_output=True, text=True, check=True)
    assert "sia-reward-" not in json.dumps(left.stdout)


def test_an_image_that_is_not_here_is_said_with_how_to_get_it(image: str) -> None:
    with pytest.raises(TaskError, match=r"is not here; get it with: (podman|docker) pull localhost/nothing:1"):
        image_id("localhost/nothing:1")


def test_without_a_runtime_it_is_said_before_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TaskError, match="neither podman nor docker is installed here"):
        image_id("x:1")


def runtime(folder: Path, rm: str) -> dict[str, object]:
    """One that only writes down what it is told, and the reward that would run in it."""
    script = folder / "runtime"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/told\ncase $1 in\nps) echo left;;\nrun) sleep 60;;\nrm) {rm};;\nesac\n'
    )
    script.chmod(0o755)
    return {"image": "i", "programs": [str(script)], "walls": [], "command": ["/judge"], "deadline_s": 0.2}


def test_a_runtime_that_does_not_remove_is_no_fault_of_the_rewards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward_host, "REMOVED_S", 0.1)
    reward = load(runtime(tmp_path, "exec sleep 60"), tmp_path)
    assert judge("yes", CASE, reward, "yes")["failure"] == "verifier_timeout"


def test_what_a_killed_verifier_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "gold.json").write_text('{"gold": {}}')
    (tmp_path / "cases.json").write_text("{}")
    (tmp_path / "reward.json").write_text(json.dumps(runtime(tmp_path, "true")))
    told = tmp_path / "told"
    command = [sys.executable, "-I", str(HOST), str(tmp_path / "gold.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as host:
        assert host.stdout is not None and b"ready" in host.stdout.readline()
        asked, *removed = told.read_text().splitlines()
        assert asked.startswith("ps -aq --filter label=sia-reward=") and removed == ["kill left", "rm --force left"]
        host.kill()
    end = time.monotonic() + 20
    while told.read_text().splitlines() != [asked, *removed] * 2:
        assert time.monotonic() < end, told.read_text()
        time.sleep(0.02)
