"""Who else of this machine's users may read a run: by file modes and one group, never to write.

SQLite reads a log that is being written through shared memory beside it, which a reader need not be able to write as long as
it is there; where no engine lives there is none, and the log is read as a file that nobody changes (`version.connected`).
"""

from __future__ import annotations

import grp
import os
import stat
from contextlib import suppress
from pathlib import Path

from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace

DATABASE = ("run.db", "run.db-wal", "run.db-shm")
READ = (*DATABASE, "config.yaml", "search.db", "harness.bundle")
"""All that the verbs and the window of others read of a run's own folder. Not its lock: who may read that may hold it."""
_SHARED, _WAY = 0o2750, 0o710


def admit(workspace: Workspace, paths: RunPaths, group: str | None) -> None:
    """Gives the run to the group to read, and the way to it; to nobody without one. To be called again once its log is
    open, whose files are then there. Raises StoreError."""
    if group is None:
        paths.keep_private()
        return
    gid = group_id(group)
    _way(workspace, gid, group)
    for folder in (paths.root, paths.again.root):
        if folder.is_dir():
            _give(folder, gid, _SHARED, group)
            for name in READ:
                if (folder / name).exists():
                    _give(folder / name, gid, 0o640, group)
            # What answers are judged by is nobody else's.
            (folder / "verifier").mkdir(exist_ok=True)
            (folder / "verifier").chmod(0o700)


def group_id(name: str) -> int:
    """Raises StoreError."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StoreError(f"share: this machine has no group {name!r}; make one: groupadd {name}") from None


def _way(workspace: Workspace, gid: int, group: str) -> None:
    """To the runs that are shared; what else lies in a workspace is closed to others."""
    for folder in (workspace.root, workspace.runs):
        if folder.is_dir():
            about = folder.stat()
            if about.st_gid != gid and about.st_mode & 0o077 in (_WAY & 0o077, 0o050):
                other = _name(about.st_gid)
                raise StoreError(
                    f"{folder} is shared with {other} already; share with {other}, or use another --workspace"
                )
            _give(folder, gid, _WAY if folder == workspace.root else 0o750, group)
    for path in workspace.root.iterdir():
        if path != workspace.runs:
            _close(path)
    for path in workspace.runs.iterdir():
        _close(path, but=(gid, _SHARED))


def _close(path: Path, but: tuple[int, int] | None = None) -> None:
    """To everybody but its owner, unless it has this group and mode; what others have put here is theirs to close."""
    # Another engine's own may be gone by now.
    with suppress(FileNotFoundError):
        about = path.lstat()
        ours = not stat.S_ISLNK(about.st_mode) and os.geteuid() in (0, about.st_uid)
        if ours and (about.st_gid, stat.S_IMODE(about.st_mode)) != but:
            path.chmod(about.st_mode & 0o700)


def _name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"group {gid}"


def _give(path: Path, gid: int, mode: int, group: str) -> None:
    try:
        os.chown(path, -1, gid)
        path.chmod(mode)
    except PermissionError:
        raise StoreError(
            f"{path} cannot be given to {group}: it must be yours, and you in that group; usermod -aG {group} YOU"
        ) from None
