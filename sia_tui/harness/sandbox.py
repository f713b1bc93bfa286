"""Which walls this machine has, and how they are put up around one process.

Two levels hold: `bwrap` (namespaces: the harness sees a file system of its own, no network, no other process) and
`landlock` (the same files at their real places, everything else denied by the kernel). Both also load the seccomp
program. `none` is for those who ask for it by name.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sia_tui.harness import seccomp
from sia_tui.harness.inside import confine
from sia_tui.harness.interpreter import Interpreter, system_folders

Isolation = Literal["bwrap", "landlock", "container", "none"]
Wanted = Literal["auto", "bwrap", "landlock", "container", "none"]

_PATH = "/usr/bin:/bin"
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
OWN_PROC = ("maps", "status", "stat", "cmdline", "environ")
"""What a process may read of itself in the host's /proc; threadpoolctl, and so scikit-learn, reads maps."""
_ALONE = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
_UNSHARE = (*_ALONE, "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL")
_AS_ROOT = (*_ALONE, "--die-with-parent", "--new-session", "--cap-drop", "ALL")
"""Without a namespace of users: the numbers inside are the machine's, and the process takes on one that is nobody's."""
_SHEDDING = ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP")


class SandboxUnavailable(RuntimeError):
    """No wall that was asked for stands here; the message is one line that says what to do."""


@dataclass(frozen=True)
class Finding:
    """Whether a level works here; if not, why, and how to get it."""

    works: bool
    why_not: str = ""
    hint: str = ""

    def __str__(self) -> str:
        return "works" if self.works else f"{self.why_not} ({self.hint})"


@dataclass(frozen=True)
class Probe:
    bwrap: Finding
    landlock: Finding
    landlock_abi: int
    bwrap_path: str = ""
    disable_userns: bool = False
    as_root: bool = False
    """Bubblewrap works without a namespace of users."""

    def of(self, level: Isolation) -> Finding:
        """Of a container only who puts it up can tell."""
        return Finding(True) if level == "none" else self.bwrap if level == "bwrap" else self.landlock


@dataclass(frozen=True)
class Mount:
    """A host file or folder and where the harness finds it. Without bubblewrap the two are the same."""

    source: Path
    target: Path
    writable: bool = False
    device: bool = False
    """A device file that may be opened as one."""


@dataclass(frozen=True)
class Layout:
    """All that a harness may see. `hidden` are folders inside mounted ones, shown empty; `sized` are tmpfs folders."""

    mounts: tuple[Mount, ...]
    hidden: tuple[Path, ...] = ()
    sized: Mapping[Path, int] | None = None


@functools.cache
def probe() -> Probe:
    """Tries each level for real, once per process: a version number does not tell whether namespaces are allowed."""
    if sys.platform != "linux":
        missing = Finding(False, f"there is none on {sys.platform}", "a Linux machine, or one in a virtual machine")
        return Probe(missing, missing, 0, "", False)
    abi = confine.landlock_abi()
    blocked = _seccomp_missing()
    path = shutil.which("bwrap") or ""
    bwrap, disable_userns = _probe_bwrap(path)
    as_root = bwrap.works and os.geteuid() == 0 and _tried([path, *_AS_ROOT, *_SHEDDING, *_TRIAL]).returncode == 0
    return Probe(blocked or bwrap, blocked or _probe_landlock(abi), abi, path, disable_userns, as_root)


def choose(wanted: Wanted, found: Probe) -> Isolation:
    """The level to run at. Never less than what was asked for, and `none` only when asked for by name. A container is asked
    for by name too, and whoever starts one says whether it can be had."""
    if wanted in ("none", "container"):
        return wanted
    levels: tuple[Isolation, ...] = ("bwrap", "landlock") if wanted == "auto" else (wanted,)
    for level in levels:
        if found.of(level).works:
            return level
    reasons = "; ".join(f"{level}: {found.of(level)}" for level in levels)
    raise SandboxUnavailable(
        f"no sandbox for harness code: {reasons}; or, unconfined and at your own risk, --set harness.isolation=none"
    )


def _seccomp_missing() -> Finding | None:
    try:
        seccomp.program(False)
    except seccomp.SeccompUnavailable as error:
        return Finding(False, f"seccomp cannot be used: {error}", "apt install libseccomp2")
    return None


def _probe_landlock(abi: int) -> Finding:
    if abi >= confine.NEEDED_ABI:
        return Finding(True)
    why = f"the kernel has Landlock version {abi}" if abi else "the kernel has no Landlock"
    return Finding(False, why, "Linux 6.2 or later, with landlock among the lsm= boot parameter's values")


def _probe_bwrap(path: str) -> tuple[Finding, bool]:
    if not path:
        return Finding(False, "bubblewrap is not installed", "apt install bubblewrap"), False
    said = ""
    for disable in (True, False):
        extra = ("--disable-userns",) if disable else ()
        try:
            run = _tried([path, *_UNSHARE, *extra, *_TRIAL])
        except (OSError, subprocess.TimeoutExpired) as error:
            return Finding(False, f"bubblewrap does not start: {error}", "apt install --reinstall bubblewrap"), False
        if run.returncode == 0:
            return Finding(True), disable
        said = run.stderr.strip().splitlines()[-1] if run.stderr.strip() else f"exit status {run.returncode}"
    if "nknown option" in said:
        return Finding(False, f"bubblewrap is too old: {said}", "bubblewrap 0.6 or later"), False
    return Finding(False, f"bubblewrap is refused: {said}", _namespace_hint()), False


_TRIAL = (
    *(
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--size",
        "65536",
        "--perms",
        "1777",
        "--tmpfs",
        "/tmp",
    ),
    "true",
)


def _tried(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10, env={"PATH": _PATH})


def _namespace_hint() -> str:
    """What most likely denies user namespaces here, as a command to run."""
    if _kernel_says("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap with userns"
    if _kernel_says("kernel/unprivileged_userns_clone") == "0":
        return "sysctl kernel.unprivileged_userns_clone=1"
    if _kernel_says("user/max_user_namespaces") == "0":
        return "sysctl user.max_user_namespaces=15000"
    return "in a container: docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined"


def _kernel_says(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""


def system_mounts(python: Interpreter) -> tuple[Mount, ...]:
    """What any Python process needs: the interpreter, its library, and the system's shared libraries."""
    paths = [python.executable, *python.stdlib, *python.libraries, Path("/etc/ld.so.cache")]
    paths += [path for path, folder in system_folders() if path == folder]
    return tuple(Mount(path, path) for path in paths if path.exists())


def command(
    found: Probe,
    level: Isolation,
    layout: Layout,
    environment: Mapping[str, str],
    argv: Sequence[str],
    sheds: bool = False,
) -> list[str]:
    """The command line that runs `argv` at that level. Start it with an empty environment: /proc would show bwrap's.

    `sheds`: root starts it, and it takes on another user number by itself before anything else.
    """
    if level != "bwrap":
        return list(argv)
    if sheds:
        words = [found.bwrap_path, *_AS_ROOT, *_SHEDDING]
    else:
        words = [found.bwrap_path, *_UNSHARE, *(("--disable-userns",) if found.disable_userns else ())]
        words += ["--uid", "65534", "--gid", "65534"]
    words += ["--hostname", "harness", "--clearenv"]
    words += [word for name, value in environment.items() for word in ("--setenv", name, value)]
    for path, folder in system_folders():
        words += ["--symlink", str(folder), str(path)] if path != folder else []
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += _ways(layout) if sheds else []
    for mount in layout.mounts:
        how = "--dev-bind" if mount.device else "--bind" if mount.writable else "--ro-bind"
        words += [how, str(mount.source), str(mount.target)]
    for path, size in (layout.sized or {}).items():
        words += ["--perms", "1777", "--size", str(size), "--tmpfs", str(path)]
    for path in layout.hidden:
        words += ["--size", "4096", "--tmpfs", str(path), "--remount-ro", str(path)]
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--", *argv]


def _ways(layout: Layout) -> list[str]:
    """The folders on the way to what is mounted, open to all: bubblewrap makes them its own user's alone."""
    ways = sorted({parent for mount in layout.mounts for parent in mount.target.parents if parent != Path("/")})
    return [word for way in ways for word in ("--perms", "0755", "--dir", str(way))]


def allowed_paths(level: Isolation, layout: Layout, scratch: Iterable[Path]) -> dict[str, list[str]]:
    """The layout as Landlock rules. A rule covers all below it, so around hidden folders each neighbour is named."""
    names, reads = [], [Path(device) for device in DEVICES]
    writes = [*scratch, Path("/dev/null"), *(mount.target for mount in layout.mounts if mount.writable)]
    reads += (
        [Path("/proc"), Path("/dev")]
        if level in ("bwrap", "container")
        else [Path("/proc/self", name) for name in OWN_PROC]
    )
    for mount in layout.mounts:
        inside = [path for path in layout.hidden if path.parent == mount.source]
        if inside:
            names.append(mount.target)
            reads += [mount.target / child.name for child in mount.source.iterdir() if child not in inside]
        else:
            reads.append(mount.target)
    return {"list": _texts(names), "read": _texts(reads), "write": _texts(writes)}


def _texts(paths: Iterable[Path]) -> list[str]:
    return [str(path) for path in dict.fromkeys(paths)]
