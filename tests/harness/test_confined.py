"""Any one program in the walls: what it may start, see and write."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sia_tui.harness.confined import Program, command
from sia_tui.harness.environment import base_interpreter
from sia_tui.harness.sandbox import Isolation
from sia_tui.tasks.trimul.programs import end

SCRIPT = """
import os, socket, subprocess, sys, threading
def refused(attempt):
    try:
        attempt()
    except (OSError, RuntimeError):
        return True
    return False
print(refused(lambda: subprocess.run(["/usr/bin/env"])), refused(lambda: socket.socket()))
print(refused(lambda: open("/etc/passwd")), refused(lambda: open(sys.argv[1] + "/secret")))
print(refused(lambda: open(sys.argv[1] + "/given/in.txt", "a")), refused(threading.Thread(target=print).start))
print(open(sys.argv[1] + "/given/in.txt").read())
open(sys.argv[1] + "/made/out.txt", "w").write("out")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    for name in ("given", "made"):
        (tmp_path / name).mkdir()
    (tmp_path / "given" / "in.txt").write_text("in")
    (tmp_path / "given" / "script.py").write_text(SCRIPT)
    return tmp_path


def run(level: Isolation, program: Program) -> subprocess.CompletedProcess[str]:
    made = command(level, base_interpreter(), program)
    return subprocess.run(
        made.argv,
        env=dict(made.environment),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
    )


def test_a_script_starts_nothing_and_sees_and_writes_what_it_was_given(level: Isolation, folder: Path) -> None:
    script = str(folder / "given" / "script.py")
    done = run(level, Program((script, str(folder)), reads=(folder / "given",), writes=(folder / "made",)))
    assert done.stdout.split() == [*["True"] * 6, "in"], done.stderr
    assert (folder / "made" / "out.txt").read_text() == "out"


def test_what_spawns_runs_programs_that_are_as_confined(level: Isolation, folder: Path) -> None:
    given = folder / "given" / "in.txt"
    asked = f"cat {given}; cat {folder}/secret /etc/passwd; echo no > {given}; echo out > {folder}/made/o"
    shell = Path("/bin/sh").resolve()
    program = Program(
        (str(shell), "-c", asked),
        reads=(Path("/usr/bin"), folder / "given"),
        writes=(folder / "made",),
        spawns=True,
        environment={"PATH": "/usr/bin"},
    )
    done = run(level, program)
    assert done.stdout == "in"
    assert "secret" not in done.stdout and given.read_text() == "in"
    assert (folder / "made" / "o").read_text() == "out\n"


LEAVES = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setpgid(0, 0)
        open(sys.argv[1], "w")
time.sleep(60)
"""


def test_what_a_program_started_ends_with_its_group(level: Isolation, folder: Path) -> None:
    if level == "none":
        pytest.skip("nothing holds it there")
    script, told, python = folder / "given" / "leaves.py", folder / "made" / "alive", base_interpreter()
    script.write_text(LEAVES)
    program = Program(
        (str(python.resolve()), "-I", "-B", str(script), str(told)),
        reads=(script, python.resolve()),
        writes=(folder / "made",),
        spawns=True,
    )
    made = command(level, python, program)
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        made.argv, env=dict(made.environment), cwd="/", stdout=quiet, stderr=quiet, start_new_session=True
    )
    until(told.exists)
    end(process)
    until(lambda: not running(str(told)))


def running(word: str) -> list[str]:
    """Processes that have it among their arguments."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if word.encode() in (place / "cmdline").read_bytes():
                found.append(place.name)
    return found


def until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_program_ends_at_its_limits(level: Isolation, folder: Path) -> None:
    (folder / "given" / "script.py").write_text("while True: pass")
    program = Program((str(folder / "given" / "script.py"),), reads=(folder / "given",), cpu_s=1)
    assert run(level, program).returncode != 0
    (folder / "given" / "script.py").write_text("try:\n    bytes(1 << 30)\nexcept MemoryError:\n    print('none')")
    program = Program((str(folder / "given" / "script.py"),), reads=(folder / "given",), memory_mb=512)
    assert run(level, program).stdout == "none\n"


def test_a_device_is_shown_as_one_and_memory_may_be_without_limit(tmp_path: Path) -> None:
    program = Program(("/usr/bin/env",), (), devices=(Path("/dev/fuse"),), spawns=True, memory_mb=0)
    words = command("bwrap", base_interpreter(), program).argv
    place = words.index("--dev-bind")
    assert words[place + 1 : place + 3] == ("/dev/fuse", "/dev/fuse")
    assert '"memory"' not in words[-1]
    assert '"memory"' in command("bwrap", base_interpreter(), Program(("/usr/bin/env",), (), spawns=True)).argv[-1]
