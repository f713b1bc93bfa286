"""The harness' own Python environment: pinned, made once per set of requirements, never the engine's.

Requirements are part of the harness and so may have been written by a model. Only `name==version` lines are taken, and
only wheels: a source distribution, a URL or an index of its own would run or fetch something outside the sandbox.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sia_tui.children import die_with_parent
from sia_tui.flock import got

TIMEOUT_S, LOOK_S = 900.0, 0.1
"""What one step may take, and how often it is looked whether it is to stop."""
LAST_S = 2.0
"""How long its last words are waited for once it has ended."""
_PINNED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w.,\s-]+\])?\s*==\s*[\w.!+-]+(\s*;[^#]+)?")
_COMPLETE = ".complete"

Progress = Callable[[str], None]


class EnvironmentFailed(RuntimeError):
    """The environment could not be made; the message is one line that says what to do."""


def base_interpreter() -> Path:
    """The Python this process runs on, without its packages."""
    return Path(getattr(sys, "_base_executable", sys.executable))


def ensure_environment(
    requirements: Path, root: Path, progress: Progress = lambda line: None, stop: threading.Event | None = None
) -> Path:
    """The `bin/python` whose site-packages are what `requirements` pins; the plain interpreter when it pins nothing.

    Blocks, possibly for minutes, or until `stop` is set. Safe to call from several processes at once. Raises
    EnvironmentFailed.
    """
    stop = stop or threading.Event()
    pins, python = read_pins(requirements), interpreter(requirements, root)
    if not pins:
        return python
    folder = python.parents[1]
    if (folder / _COMPLETE).exists():
        return python
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f"{folder.name}.lock", stop):
        if not (folder / _COMPLETE).exists():
            _make(folder, pins, progress, stop)
    return python


def interpreter(requirements: Path, root: Path) -> Path:
    """Where `ensure_environment` has it, made or not. Raises EnvironmentFailed."""
    pins = read_pins(requirements)
    return root / environment_id(pins) / "bin" / "python" if pins else base_interpreter()


def read_pins(requirements: Path) -> tuple[str, ...]:
    """The requirement lines, or EnvironmentFailed for one that is not a plain pin."""
    if not requirements.exists():
        return ()
    pins = []
    for number, line in enumerate(requirements.read_text(encoding="utf-8").splitlines(), 1):
        pin = re.sub(r"(^|\s)#.*", "", line).strip()
        if pin and not _PINNED.fullmatch(pin):
            raise EnvironmentFailed(f"{requirements.name} line {number}: write name==version, not {pin[:80]!r}")
        pins.append(pin)
    return tuple(sorted(pin for pin in pins if pin))


def environment_id(pins: Sequence[str]) -> str:
    """Names an environment by what makes it: the pins, the Python and the machine."""
    parts = (*pins, platform.python_version(), platform.machine(), sys.platform)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _make(folder: Path, pins: Sequence[str], progress: Progress, stop: threading.Event) -> None:
    """Makes it in its place, since a virtual environment cannot be moved, and marks it when it is whole."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        progress("creating the harness environment")
        _run([str(base_interpreter()), "-m", "venv", str(folder)], progress, "venv", stop)
        listed = folder / "requirements.txt"
        listed.write_text("\n".join(pins) + "\n", encoding="utf-8")
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        _run([*pip, "--only-binary", ":all:", "--progress-bar", "off", "-r", str(listed)], progress, "pip", stop)
        (folder / _COMPLETE).touch()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _run(argv: Sequence[str], progress: Progress, name: str, stop: threading.Event) -> None:
    """Runs one step, telling its lines, and kills it with its children when time is up or it is to stop."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl, no locks taken
    )
    last = [""]
    # Read aside: whoever left its group may hold its output open for ever.
    reader = threading.Thread(target=_read, args=(process, progress, last), daemon=True)
    reader.start()
    end = time.monotonic() + TIMEOUT_S
    try:
        while process.poll() is None and not stop.is_set() and time.monotonic() < end:
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_S)
        late = process.returncode is None
    finally:
        _kill(process)
        code = process.wait()
        reader.join(LAST_S)
    if stop.is_set():
        raise EnvironmentFailed(f"{name} was stopped")
    if late:
        raise EnvironmentFailed(f"{name} took longer than {TIMEOUT_S:g} s: check the package index, then start again")
    if code != 0:
        raise EnvironmentFailed(f"{name} failed: {last[0][:300]} (check requirements.txt and pip's configuration)")


def _read(process: subprocess.Popen[str], progress: Progress, last: list[str]) -> None:
    """Into `last` the last error, or the last line where there is none: of what it says no more is kept."""
    assert process.stdout is not None
    for line in process.stdout:
        progress(line.rstrip())
        if line.startswith("ERROR") or (line.strip() and not last[0].startswith("ERROR")):
            last[0] = line.strip()


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _locked(path: Path, stop: threading.Event) -> Iterator[None]:
    """Whoever holds it makes the same environment, within the time that both its steps may take."""
    end = time.monotonic() + 2 * TIMEOUT_S
    with path.open("w") as file:
        while not got(file.fileno()):
            if stop.wait(LOOK_S) or time.monotonic() > end:
                raise EnvironmentFailed(f"{path} is held by another process that makes the same environment")
        yield
