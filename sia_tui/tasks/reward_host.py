"""The verifier of a task of one's own: calls the reward it was given, a function, a command or an address.

Stands alone on the standard library, because a copy of this very file is what judges, beside `rewards.py` (for a
function), `reward.json` (what to call) and `cases.json` (inputs by case). `python -I reward_host.py GOLD` speaks the
protocol of verify.py. Whatever goes wrong in the reward is said as the reward's failure, with its last line.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import importlib.util
import inspect
import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLIP, MOST = 200, 64
"""Characters of an answer kept in the detail, as of any text of the reward's; how many figures and texts it may give."""
BROKEN, LATE = "verifier_error", "verifier_timeout"
REMOVED_S, SWEPT_S = 2.0, 10.0
"""What a runtime has to kill a late container, and for each of what it is asked about those that are left."""
SWEEP = "--sweep"
CACHE, INSTALLED = "__pycache__", ("venv", "node_modules")
"""Folders of byte code, and of other people's code."""
Reward = Callable[[str, dict[str, Any]], Any]


class Late(Exception):
    """The reward took longer than it may."""


def judge(answer: object, case: dict[str, Any], reward: Reward, expected: str) -> dict[str, Any]:
    """The judgement as plain data. No answer, or one that is no text, earns nothing without anybody being asked."""
    detail = {"expected": expected, "answer": answer[:CLIP] if isinstance(answer, str) else ""}
    if not isinstance(answer, str) or not answer.strip():
        failure = "no_answer" if answer is None or isinstance(answer, str) else "bad_answer"
        return {"reward": 0.0, "failure": failure, "metrics": {}, "detail": detail}
    try:
        said = _plain(reward(answer, case))
    except Late as late:
        return {"reward": 0.0, "failure": LATE, "metrics": {}, "detail": detail | {"verifier": str(late)}}
    except BaseException as error:  # noqa: BLE001 - the reward is somebody's own code: whatever it raises is its own failure
        told = _text(f"{type(error).__name__}: {' '.join(str(error).split())}", 300)
        return {"reward": 0.0, "failure": BROKEN, "metrics": {}, "detail": detail | {"verifier": told}}
    return said | {"detail": detail | said["detail"]}


def _plain(said: Any) -> dict[str, Any]:
    """A number, or {reward, failure?, metrics?, detail?}. Raises ValueError for a reward that is none."""
    found = said if isinstance(said, dict) else {"reward": said}
    value = found.get("reward")
    if not isinstance(value, (int, float)) or not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError(f"a reward is a number from 0 to 1, not {value!r}")
    # JavaScript and dataclasses name a failure in every reward, and `null` where there is none.
    failure = None if value == 1 else _text(found.get("failure") or ("partial" if value > 0 else "wrong"))
    metrics = {_text(name): float(number) for name, number in _first(found.get("metrics"))}
    detail = {_text(name): _text(text) for name, text in _first(found.get("detail"))}
    return {"reward": float(value), "failure": failure, "metrics": metrics, "detail": detail}


def _first(given: Any) -> list[tuple[Any, Any]]:
    return list((given or {}).items())[:MOST]


def _text(given: object, most: int = CLIP) -> str:
    """As every reader can take it: half a character is none."""
    return str(given)[:most].encode(errors="replace").decode()


def load(spec: dict[str, Any], here: Path) -> Reward:
    """What `reward.json` says: {"function", "file"}, {"command": [...]} with or without an {"image"} (then
    {"programs"} of which one runs it, and its {"walls"}), or {"url"}, and
    {"deadline_s"}."""
    deadline = float(spec["deadline_s"])
    if "image" in spec:
        return lambda answer, case: _contained(spec, _label(here), answer, case, deadline)
    if "command" in spec:
        return _from_source(lambda answer, case: _command(spec["command"], answer, case, deadline), here)
    if "url" in spec:
        return lambda answer, case: _post(spec["url"], answer, case, deadline)
    forget_byte_code(here)
    return _from_source(_function(here / spec["file"], spec["function"], deadline), here)


def _from_source(reward: Reward, here: Path) -> Reward:
    """Byte code is what nobody hashes, and Python runs it in the place of a file that has its age and size: none is left
    when the reward is asked, not even what an answer under test has put there, and none is written."""

    def asked(answer: str, case: dict[str, Any]) -> Any:
        forget_byte_code(here)
        return reward(answer, case)

    return asked


def forget_byte_code(here: Path) -> None:
    """Of the code in the task's folder and in the verifier's, not of what is installed there."""
    for place, folders, files in itertools.chain(os.walk(here), os.walk(Path.cwd())):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in INSTALLED]
        linked = [name for name in folders if name == CACHE and Path(place, name).is_symlink()]
        compiled = [name for name in files if name.endswith(".pyc")] if Path(place).name == CACHE else []
        for name in (*linked, *compiled):
            with contextlib.suppress(OSError):
                Path(place, name).unlink()


def _function(file: Path, name: str, deadline: float) -> Reward:
    # The task's folder, so that a reward may import what lies beside it.
    sys.path.insert(0, str(Path.cwd()))
    sys.dont_write_bytecode = True
    described = importlib.util.spec_from_file_location("rewards", file)
    assert described is not None and described.loader is not None
    module = importlib.util.module_from_spec(described)
    # What it prints is no part of the protocol.
    with contextlib.redirect_stdout(sys.stderr):
        described.loader.exec_module(module)
    called = getattr(module, name)

    def reward(answer: str, case: dict[str, Any]) -> Any:
        with contextlib.redirect_stdout(sys.stderr), _within(deadline):
            said = called(answer, case)
            return asyncio.run(said) if inspect.iscoroutine(said) else said

    return reward


@contextlib.contextmanager
def _within(deadline: float) -> Any:
    def ring(number: int, frame: Any) -> None:
        raise Late(f"gave no reward within {deadline:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, deadline)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _command(command: list[str], answer: str, case: dict[str, Any], deadline: float) -> Any:
    """Reads {"case", "answer"} as JSON on stdin; the last line it writes is the reward, as JSON."""
    asked = json.dumps({"case": case, "answer": answer}).encode()
    # A group of its own, so that what the command started ends with it.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_die_with_host,  # noqa: PLW1509 - one prctl, no locks taken
        # `python` is the one of the reward's own environment, where it has one.
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    ) as process:
        try:
            told, complaint = process.communicate(asked, timeout=deadline)
        except subprocess.TimeoutExpired:
            raise Late(f"{command[0]} gave no reward within {deadline:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with status {process.returncode}: {_last_line(complaint)}")
    last = _last_line(told)
    return json.loads(last) if last else None


def _last_line(said: bytes) -> str:
    # Not `splitlines`: JSON may hold what Unicode takes for the end of a line.
    return said.decode(errors="replace").strip().rpartition("\n")[2]


def _die_with_host() -> None:
    """Linux kills it when this process is killed; what it started itself outlives it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def _contained(spec: dict[str, Any], label: str, answer: str, case: dict[str, Any], deadline: float) -> Any:
    """The command in a container of its own: no network, nothing of the host, nothing kept."""
    runtime, name = _runtime(spec), f"sia-reward-{uuid.uuid4().hex}"
    try:
        argv = [runtime, "run", "--name", name, "--label", label, *spec["walls"], spec["image"], *spec["command"]]
        return _command(argv, answer, case, deadline)
    except Late:
        # Ending the client does not end the container. Whoever asked waits a little longer than the deadline, and no more.
        _remove(runtime, [name], REMOVED_S)
        raise


def _runtime(spec: dict[str, Any]) -> str:
    return str(next(filter(None, map(shutil.which, spec["programs"])), spec["programs"][0]))


def _label(here: Path) -> str:
    """Of the containers of the verifier in this folder."""
    return f"sia-reward={hashlib.sha256(str(here.resolve()).encode()).hexdigest()[:16]}"


def sweep(runtime: str, label: str) -> None:
    """Remove what a verifier that was killed has left behind."""
    with contextlib.suppress(subprocess.TimeoutExpired, OSError):
        asked = [runtime, "ps", "-aq", "--filter", f"label={label}"]
        found = subprocess.run(asked, capture_output=True, timeout=SWEPT_S)
        if left := found.stdout.decode(errors="replace").split():
            _remove(runtime, left, SWEPT_S)


def _remove(runtime: str, names: list[str], within_s: float) -> None:
    """A runtime that does not do it in twice that time is no fault of the reward's; what it leaves is swept later."""
    # Killed first: podman's rm would ask it to end and wait for ten seconds.
    for verb in (["kill"], ["rm", "--force"]):
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            subprocess.run([runtime, *verb, *names], capture_output=True, timeout=within_s)


def watched(runtime: str, label: str) -> int:
    """Has a process sweep once this one is gone, however it ends: the file that is returned is then closed."""
    theirs, ours = os.pipe()
    command, null = [sys.executable, "-I", __file__, SWEEP, runtime, label], subprocess.DEVNULL
    subprocess.run(command, stdin=theirs, stdout=null, stderr=null, start_new_session=True)
    os.close(theirs)
    return ours


def _watch(runtime: str, label: str) -> None:
    # As a child of whom it watches it would be ended with it.
    if os.fork() == 0:
        sys.stdin.read()
        sweep(runtime, label)


def _post(url: str, answer: str, case: dict[str, Any], deadline: float) -> Any:
    body = json.dumps({"case": case, "answer": answer}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=deadline) as reply:
            return json.loads(reply.read())
    except TimeoutError:
        raise Late(f"{url} gave no reward within {deadline:g} s") from None


def _read(path: Path) -> tuple[dict[str, Any], str]:
    content = path.read_bytes()
    return json.loads(content), hashlib.sha256(content).hexdigest()


def main(path: Path) -> None:
    known, digest = _read(path)
    gold = dict(known["gold"])
    cases, spec = (_read(path.with_name(name))[0] for name in ("cases.json", "reward.json"))
    # Its own, that no program which the reward starts inherits: theirs would be taken for the protocol.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    reward = load(spec, path.parent)
    if "image" in spec:
        sweep(_runtime(spec), _label(path.parent))
        watched(_runtime(spec), _label(path.parent))
    print(json.dumps({"ready": digest}), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "open" in request:
            opened, digest = _read(Path(request["open"]))
            gold.update(opened["gold"])
            said: dict[str, Any] = {"opened": digest}
        elif (expected := gold.get(request["case"])) is None:
            said = {"unknown": request["case"]}
        else:
            told = cases[request["case"]]
            case = {
                "id": request["case"],
                "inputs": told["inputs"],
                "gold": json.loads(expected) if told["json"] else expected,
            }
            said = {"score": judge(request["answer"], case, reward, expected)}
        print(json.dumps({"id": request["id"], **said}), file=out, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == SWEEP:
        _watch(*sys.argv[2:])
    else:
        main(Path(sys.argv[1]))
