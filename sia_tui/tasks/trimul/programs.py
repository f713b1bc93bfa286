"""The programs a verification starts, and what each must see: a compiler and a runner, for candidates and for our own.

They are described here and walled in by whoever knows how (the rooms for tasks and for sandboxes do not know each other):
`Wall` takes a `Wanted` and gives back the command that runs it confined. Commands are data and fit into a setup file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sia_tui.tasks.task import TaskError
from sia_tui.tasks.trimul.spec import FLAGS

SOURCE, LIBRARY = "kernel.c", "kernel.so"
QUIET = ("-w", "-fmax-errors=5", "-fdiagnostics-color=never")
RUNNER = Path(__file__).with_name("runner.py")


@dataclass(frozen=True)
class Wanted:
    """A program, by real paths. One that `spawns` nothing is a Python script."""

    argv: tuple[str, ...]
    reads: tuple[Path, ...]
    writes: tuple[Path, ...] = ()
    spawns: bool = False
    memory_mb: int = 1024
    cpu_s: int = 60
    file_mb: int = 64
    environment: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[Path, ...] = ()
    """Device files it may open, besides the harmless ones."""


@dataclass(frozen=True)
class Command:
    argv: tuple[str, ...]
    environment: Mapping[str, str]


Wall = Callable[[Wanted], Command]


@dataclass(frozen=True)
class Blas:
    """A library with sgemm, and the name and the integer it goes by."""

    library: Path
    sgemm: str
    integer: str


@dataclass(frozen=True)
class Place:
    """A folder where kernels are compiled and run, with the walled commands that do it."""

    folder: Path
    compile: Command
    run: Command
    preload: Path | None = None
    """A library that kernels here may call."""


def place(folder: Path, wall: Wall, trusted: bool, runner: Path = RUNNER) -> Place:
    """Makes the folder. Ours is `trusted`: it sees BLAS, and lives as long as it is used. TaskError where there is no gcc."""
    blas = find_blas() if trusted else None
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    libraries = (blas.library.parent,) if blas else ()
    named = (f"-DSGEMM={blas.sgemm}", f"-DINT={blas.integer}", str(blas.library)) if blas else ()
    gcc = shutil.which("gcc")
    if gcc is None:
        raise TaskError("no gcc on this machine, and TriMul's answers are C: apt install gcc libc6-dev")
    compiler = Wanted(
        argv=(
            gcc,
            *FLAGS,
            *QUIET,
            str(folder / SOURCE),
            "-o",
            str(folder / LIBRARY),
            "-Wl,-z,defs,--as-needed",
            *named,
            "-lm",
        ),
        reads=(*_toolchain(Path(gcc)), *libraries),
        writes=(folder,),
        spawns=True,
        memory_mb=2048,
        cpu_s=20,
        environment={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "LC_ALL": "C"},
    )
    runs = Wanted(
        argv=(str(runner), str(folder)),
        reads=(runner, folder, *libraries),
        cpu_s=86_400 if trusted else 60,
        environment={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"},
    )
    return Place(folder, wall(compiler), wall(runs), blas.library if blas else None)


def plain(place: Place) -> dict[str, Any]:
    """A place as JSON can hold it; `place_from` reads it back."""
    return {**asdict(place), "folder": str(place.folder), "preload": str(place.preload) if place.preload else None}


def place_from(told: Mapping[str, Any]) -> Place:
    compiler, runner = (Command(tuple(told[it]["argv"]), dict(told[it]["environment"])) for it in ("compile", "run"))
    return Place(Path(told["folder"]), compiler, runner, Path(told["preload"]) if told["preload"] else None)


def find_blas() -> Blas | None:
    """The OpenBLAS that numpy brought; None where numpy uses another library."""
    import numpy  # noqa: F401 - loads the library that is looked for
    import threadpoolctl  # type: ignore[import-untyped, unused-ignore]

    for found in threadpoolctl.threadpool_info():
        library = Path(found["filepath"])
        if found["internal_api"] == "openblas" and library.name.startswith("libscipy_openblas"):
            wide = "64_" in library.name
            return Blas(library, "scipy_cblas_sgemm64_" if wide else "scipy_cblas_sgemm", "long" if wide else "int")
    return None


def launch(command: Command, stdin: int, output: int) -> subprocess.Popen[bytes]:
    """Started as its walls were drawn for, in a session of its own; `output` takes both streams."""
    return subprocess.Popen(
        list(command.argv),
        env=dict(command.environment),
        stdin=stdin,
        stdout=output,
        stderr=output,
        cwd="/",
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """At once, with whatever it started: bubblewrap's namespace dies with it, and elsewhere the group does."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _toolchain(gcc: Path) -> tuple[Path, ...]:
    roots = dict.fromkeys((Path("/usr"), gcc.resolve().parent.parent))
    names = ("bin", "lib", "lib64", "libexec", "include")
    return tuple(folder for root in roots for name in names if (folder := root / name).is_dir())
