"""Finds the few files a Python needs to run, so that the sandbox can show these and nothing around them."""

from __future__ import annotations

import functools
import json
import platform
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_QUESTION = """
import json, sys, sysconfig
for name in ("_ctypes", "_ssl", "_hashlib", "_sqlite3", "_lzma", "_bz2", "zlib", "_uuid", "pyexpat"):
    try:
        __import__(name)
    except ImportError:
        pass
try:
    lines = open("/proc/self/maps").read().splitlines()
except OSError:
    lines = []
mapped = {line.split(None, 5)[5] for line in lines if line.count("/")}
print(json.dumps({
    "executable": sys.executable,
    "stdlib": sysconfig.get_path("stdlib"),
    "platstdlib": sysconfig.get_path("platstdlib"),
    "version": "%d.%d" % sys.version_info[:2],
    "mapped": sorted(path for path in mapped if ".so" in path),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """The real executable behind a `bin/python`, and what it reads."""

    executable: Path
    stdlib: tuple[Path, ...]
    libraries: tuple[Path, ...]
    """Shared libraries outside the system's folders and the standard library, links to them included."""
    site_packages: Path | None
    """The environment's packages; the base interpreter's own are never shown."""

    @property
    def foreign_packages(self) -> tuple[Path, ...]:
        """Folders inside the standard library that hold packages installed beside it, to be hidden."""
        names = ("site-packages", "dist-packages")
        return tuple(folder / name for folder in self.stdlib for name in names if (folder / name).is_dir())


@functools.cache
def inspect(python: Path) -> Interpreter:
    """Asks the interpreter itself; a virtual environment is answered for by the Python it was made from."""
    executable = python.resolve(strict=True)
    told = subprocess.run(
        [str(executable), "-I", "-S", "-c", _QUESTION], capture_output=True, check=True, timeout=30, env={}
    )
    facts = json.loads(told.stdout)
    stdlib = tuple(dict.fromkeys((Path(facts["stdlib"]), Path(facts["platstdlib"]))))
    root = python.absolute().parent.parent
    packages = root / "lib" / f"python{facts['version']}" / "site-packages"
    return Interpreter(
        executable=Path(facts["executable"]),
        stdlib=stdlib,
        libraries=tuple(_libraries([Path(path) for path in facts["mapped"]], stdlib)),
        site_packages=packages if (root / "pyvenv.cfg").exists() and packages.is_dir() else None,
    )


def _libraries(mapped: list[Path], stdlib: tuple[Path, ...]) -> list[Path]:
    covered = (*stdlib, *(path for path, folder in system_folders() if path == folder))
    return [name for path in mapped if not any(path.is_relative_to(c) for c in covered) for name in _names(path)]


@functools.cache
def system_folders() -> tuple[tuple[Path, Path], ...]:
    """(path, what is there) for the system's shared libraries: a link is told by the two being different.

    Of a folder shared by all architectures only this one's part is taken, where there is one.
    """
    triplet = sysconfig.get_config_var("MULTIARCH") or f"{platform.machine()}-linux-gnu"
    found: list[tuple[Path, Path]] = []
    for root in (Path("/lib"), Path("/lib64"), Path("/usr/lib"), Path("/usr/lib64")):
        if root.is_symlink():
            found.append((root, root.resolve()))
        elif root.is_dir():
            folder = root / triplet if (root / triplet).is_dir() else root
            found.append((folder, folder))
    return tuple(found)


def _names(library: Path) -> list[Path]:
    """The library and the links beside it under which the loader asks for it."""
    links = [p for p in library.parent.iterdir() if ".so" in p.name and p.is_symlink() and p.resolve() == library]
    return [library, *links]
