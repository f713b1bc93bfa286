"""The command line of any one program in the walls: a compiler, or a script that runs what nobody trusts.

Knows nothing of what the program is for, and starts nothing: whoever does, does it with the environment given here, an
inherited descriptor or two, and kills the group when its time is over.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sia_tui.harness import sandbox, seccomp
from sia_tui.harness.interpreter import inspect
from sia_tui.harness.launch import INSIDE, PYTHON_FLAGS
from sia_tui.harness.sandbox import Isolation, Layout, Mount, SandboxUnavailable


@dataclass(frozen=True)
class Program:
    """`argv` starts with a program's real path if it `spawns` others; else with a Python script's, which may not even start
    a thread."""

    argv: tuple[str, ...]
    reads: tuple[Path, ...]
    """Files and folders, real paths; they are seen where they are, besides what any Python needs."""
    writes: tuple[Path, ...] = ()
    spawns: bool = False
    memory_mb: int = 1024
    """Address space; 0: as much as there is."""
    cpu_s: int = 60
    file_mb: int = 64
    """The largest file it may write."""
    environment: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[Path, ...] = ()
    """Device files it may open, besides the harmless ones."""


@dataclass(frozen=True)
class Command:
    """To be started with exactly this environment, from `/`, in a session of its own."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


def command(level: Isolation, python: Path, program: Program) -> Command:
    """Raises SandboxUnavailable or SeccompUnavailable where that level does not stand."""
    if level == "container":
        raise SandboxUnavailable(
            "programs such as compilers are confined by bwrap or landlock, not by a container each"
        )
    interpreter = inspect(python)
    script = INSIDE / "program.py"
    shown = tuple(Mount(path, path) for path in (INSIDE, *program.reads))
    written = tuple(Mount(path, path, writable=True) for path in program.writes)
    opened = tuple(Mount(path, path, writable=True, device=True) for path in program.devices)
    hidden = tuple(path for path in interpreter.foreign_packages if path not in program.reads)
    layout = Layout((*sandbox.system_mounts(interpreter), *shown, *written, *opened), hidden)
    told = {"argv": program.argv, "spawns": program.spawns, "confine": _confinement(level, layout, program)}
    argv = [str(interpreter.executable), *PYTHON_FLAGS, str(script), json.dumps(told)]
    found = sandbox.probe()
    words = sandbox.command(found, level, layout, program.environment, argv)
    return Command(tuple(words), {} if level == "bwrap" else dict(program.environment))


def _confinement(level: Isolation, layout: Layout, program: Program) -> dict[str, object]:
    paths = sandbox.allowed_paths(level, layout, ())
    if program.spawns:
        paths["run"] = paths["read"]
    code = b"" if level == "none" else seccomp.program(level == "landlock", "programs" if program.spawns else "nothing")
    limits = {
        **({"memory": program.memory_mb * 1024 * 1024} if program.memory_mb else {}),
        "cpu": program.cpu_s,
        "file": program.file_mb * 1024 * 1024,
        "core": 0,
    }
    return {
        "level": level,
        "limits": limits,
        "paths": paths,
        "loopback": False,
        "seccomp": base64.b64encode(code).decode("ascii"),
    }
