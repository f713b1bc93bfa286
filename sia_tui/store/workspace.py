"""The folder everything lives in: paths, run names, and the one refusal (a network file system)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sia_tui.store.version import StoreError

_NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "glusterfs",
    "ncpfs",
}
TRAINING = "training"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class RunPaths:
    """One run's folder."""

    root: Path

    def keep_private(self) -> None:
        """Its owner's alone: whoever may write here may say yes, and whoever may read sees every text. Raises StoreError."""
        try:
            self.root.chmod(0o700)
        except PermissionError:
            raise StoreError(f"{self.root} is another user's; start a run of your own with --workspace") from None

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def db(self) -> Path:
        return self.root / "run.db"

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def lock(self) -> Path:
        return self.root / "engine.lock"

    @property
    def starting(self) -> Path:
        """Held by whoever starts an engine, until that holds the run."""
        return self.root / "engine.starting"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def adapters(self) -> Path:
        """Published adapters, by content."""
        return self.root / "adapters"

    def adapter(self, sha256: str) -> Path:
        return self.adapters / sha256[:16]

    @property
    def training(self) -> Path:
        """Checkpoints and step adapters of a training under way, by proposal."""
        return self.root / TRAINING

    @property
    def seen(self) -> Path:
        """When each person last looked, see `seen`."""
        return self.root / "seen"

    @property
    def windows(self) -> Path:
        """Which windows are open on it, see `windows`."""
        return self.root / "windows"

    @property
    def reserve(self) -> Path:
        """Room set aside, see `reserve`."""
        return self.root / "reserve"

    @property
    def worktree(self) -> Path:
        return self.root / "harness"

    @property
    def history(self) -> Path:
        """Of a shared run: what git has of it, for those who may not read the repository."""
        return self.root / "harness.bundle"

    @property
    def again(self) -> Again:
        """Where its generations are measured anew, with a log of its own."""
        return Again(self.root / "again")


@dataclass(frozen=True)
class Again(RunPaths):
    """A place beside a run's log that shares its adapters."""

    @property
    def name(self) -> str:
        return self.root.parent.name

    @property
    def adapters(self) -> Path:
        return RunPaths(self.root.parent).adapters


@dataclass(frozen=True)
class Workspace:
    root: Path

    @classmethod
    def locate(cls, given: str | None) -> Workspace:
        """`--workspace`, else $SIA_WORKSPACE, else ./.sia. Not created here. Raises StoreError for a file."""
        root = Path(given or os.environ.get("SIA_WORKSPACE") or ".sia").absolute()
        if root.exists() and not root.is_dir():
            raise StoreError(f"{root} is a file; a workspace is a folder, which need not be there yet")
        return cls(root)

    @property
    def harness_repository(self) -> Path:
        return self.root / "harness"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def db(self) -> Path:
        """What spans runs."""
        return self.root / "workspace.db"

    def folder(self, name: str) -> Path:
        """A shared folder (tasks, environments, policies, tools, baselines), created."""
        path = self.root / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def run(self, name: str) -> RunPaths:
        """Raises StoreError for a name that is no plain folder name."""
        if not is_run_name(name):
            raise StoreError(f"{name!r}: not a run name; use letters, digits, '-', '_' and '.'")
        return RunPaths(self.runs / name)

    def run_names(self) -> list[str]:
        """Newest first."""
        found = [folder for folder in self._folders() if is_run_name(folder.name)]
        return [folder.name for folder in sorted(found, key=_begun, reverse=True)]

    def misnamed(self) -> list[Path]:
        """Folders with a run in them, as a file manager's copies, whose names are none: nothing of ours goes by them."""
        return sorted(folder for folder in self._folders() if not is_run_name(folder.name))

    def _folders(self) -> list[Path]:
        return [path.parent for path in self.runs.glob("[!.]*/run.db")]

    def existing(self, name: str | None) -> RunPaths:
        """The named run, or the newest one. Raises StoreError."""
        names = self.run_names() if name is None or self.runs.is_dir() else []
        if name is None:
            if not names:
                raise StoreError(f"no runs in {self.root}; start one with: sia-tui run configs/lawbench-nano.yaml")
            return self.run(names[0])
        paths = self.run(name)
        if paths.name not in names:
            raise StoreError(f"no run {name!r} in {self.root}; there are: {', '.join(names) or 'none'}")
        return paths

    def require_local(self) -> None:
        """Raises StoreError on a network file system, where SQLite's WAL corrupts."""
        kind = file_system(self.root)
        if kind in _NETWORK or kind.startswith("fuse.sshfs"):
            raise StoreError(
                f"{self.root} is on a network file system ({kind}), where the run database could be corrupted; "
                "choose a local disk with --workspace or SIA_WORKSPACE"
            )

    def create(self) -> None:
        """Make the folder. Raises StoreError where it must not or cannot be."""
        self.require_local()
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.root}: cannot be created ({error.strerror})") from error


def is_run_name(name: str) -> bool:
    """It is to be a branch of git's too, and not the seed's."""
    return bool(_NAME.fullmatch(name)) and name != "seed" and not name.endswith((".lock", ".")) and ".." not in name


def _begun(run: Path) -> int:
    """When, in nanoseconds since 1970; a run that lost its config, or is going, is the oldest."""
    try:
        return (run / "config.yaml").stat().st_mtime_ns
    except OSError:
        return 0


def file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that `path` (or its nearest existing parent) is on; '' when unknown."""
    while not path.exists() and path != path.parent:
        path = path.parent
    path = path.resolve()
    best, kind = -1, ""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        left, _, right = line.partition(" - ")
        point = Path(left.split()[4].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), right.split()[0]
    return kind
