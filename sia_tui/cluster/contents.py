"""Folders brought to a node: named by what is in them, unpacked once, in a folder that nobody else can list.

What is in them anybody may read who knows the way: where root runs the node, each worker is a user of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import stat
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path

KEEP_S = 14 * 24 * 3600.0
"""What no run has asked a node for so long is deleted there."""
OWN = "own-"
"""Of folders that are somebody's while it lives, whatever their age."""
JUST_NOW_S = 5.0
"""Somebody may still be about to lock it."""

OPEN = 0o755


def packed(folder: Path) -> tuple[str, bytes]:
    """Its name and archive: the same for the same files, whatever their times and owners. Raises OSError."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            if "__pycache__" not in path.parts and (path.is_file() or path.is_symlink()):
                archive.add(path, path.relative_to(folder), recursive=False, filter=_plain)
    made = out.getvalue()
    return hashlib.sha256(made).hexdigest()[:32], made


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = OPEN if member.mode & 0o100 else 0o644
    return member


class Shelf:
    """A node's folder of them."""

    def __init__(self, root: Path | None = None) -> None:
        """By default in the machine's folder for temporary files. Raises OSError where that is not ours alone."""
        self.root = root or Path(tempfile.gettempdir()) / f"sia-tui-node-{os.getuid()}"
        mode = 0o711 if os.geteuid() == 0 else 0o700
        self.root.mkdir(mode=mode, parents=True, exist_ok=True)
        found = self.root.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077 & ~mode:
            raise OSError(f"{self.root} is not a folder of this user's alone (mode {mode:04o}): remove it")
        self.root.chmod(mode)

    def own(self, prefix: str) -> Path:
        """A new folder of this process alone, by a lock that the kernel drops with it: what a killed one left is tidied away."""
        folder = self.begun(OWN + prefix)
        fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_EX)
        return folder

    def begun(self, prefix: str) -> Path:
        """A new folder."""
        folder = Path(tempfile.mkdtemp(dir=self.root, prefix=prefix))
        folder.chmod(OPEN)
        return folder

    def has(self, name: str) -> bool:
        return self.folder(name).is_dir()

    def folder(self, name: str) -> Path:
        return self.root / name

    def used(self, name: str) -> Path:
        folder = self.folder(name)
        os.utime(folder)
        return folder

    def put(self, name: str, archive: bytes) -> None:
        """Raises OSError, also where the archive is another one."""
        if hashlib.sha256(archive).hexdigest()[:32] != name:
            raise OSError(f"content {name} arrived damaged")
        part = self.begun("part-")
        try:
            with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
                opened.extractall(part, filter="data")
            for folder, _, _ in os.walk(part):
                Path(folder).chmod(OPEN)
            part.rename(self.folder(name))
        except OSError:
            if not self.has(name):
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def tidy(self) -> None:
        """What was left half made, or is of no use to anyone any more."""
        before, just_now = time.time() - KEEP_S, time.time() - JUST_NOW_S
        for path in self.root.iterdir():
            # Others may tidy at the same time.
            with suppress(FileNotFoundError):
                since, own = path.lstat().st_mtime, path.name.startswith(OWN)
                if (since < just_now and _left(path)) if own else since < before:
                    shutil.rmtree(path, ignore_errors=True)


def _left(folder: Path) -> bool:
    """Whether nobody has the lock of it any more."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
