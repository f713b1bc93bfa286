"""A backup: runs as one file, with all they need to go on elsewhere, and that file laid out in a workspace.

A run may be written meanwhile: its store is taken at one moment, and git and adapters are what the log of that moment
names, which were there before it named them.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from shutil import disk_usage
from typing import Any

from sia_tui.config import load_config
from sia_tui.core.hashing import digest
from sia_tui.core.room import megabytes
from sia_tui.core.state import State
from sia_tui.core.text import one_line
from sia_tui.engine.deleting import remove
from sia_tui.engine.history import follow, refs
from sia_tui.given import opened
from sia_tui.harness.repository import SEED_BRANCH, HarnessRepository, RepositoryError
from sia_tui.repositories import repository_of
from sia_tui.store.copying import member, snapshot
from sia_tui.store.lock import RunHeld, hold, hold_restoring
from sia_tui.store.openings import record_opening
from sia_tui.store.place import require_in_place
from sia_tui.store.reader import RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import TRAINING, RunPaths, Workspace
from sia_tui.weights.whole import carry

CONTENTS, HISTORY, FORMAT = "backup.json", "harness.bundle", 1
MOST_CONTENTS = 64 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHARED = ("policies", "tasks")
"""Folders of the workspace of which a run needs something."""
_CUT = "-[0-9a-f]{12}"
"""Behind the name of a task, where it is cut out of somebody's own files (`denoise/own_tissues.folder_of`)."""
_RESTORED, _PLACING = ".part-restore-", "placing"
_SECRET = "key"
"""Of a task whose cases are made from it, and only there."""


def back_up(workspace: Workspace, names: Sequence[str], out: Path) -> int:
    """Write the file, whole or not at all, for its owner alone; returns its bytes. Raises StoreError, RepositoryError,
    ConfigError, OSError."""
    for name in names:
        require_in_place(workspace.run(name))
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        part, hashes = Path(scratch) / "part", dict[str, str]()
        part.touch(mode=0o600)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
            for name in names:
                for member_, file in _of_run(workspace, workspace.run(name), Path(scratch)):
                    if member_ not in hashes:
                        packed.write(file, member_)
                        hashes[member_] = _sha256(file)
            told = {"format": FORMAT, "made_at": datetime.now(UTC).isoformat(timespec="seconds")}
            packed.writestr(CONTENTS, json.dumps(told | {"runs": list(names), "sha256": hashes}, indent=1))
        part.replace(out)
    return out.stat().st_size


def _of_run(workspace: Workspace, paths: RunPaths, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Names in the file, and what is to lie under them."""
    place, folder = f"runs/{paths.name}", scratch / paths.name
    folder.mkdir()
    # Before the log: steps behind a checkpoint are in a log that is younger, and those after it are made again.
    carried = [made.name for made in paths.training.glob("*") if carry(made, folder / TRAINING / made.name)]
    snapshot(paths.db, folder / "run.db")
    yield f"{place}/run.db", folder / "run.db"
    if not paths.config.is_file():
        raise FileNotFoundError(f"{paths.config} is not there; see: sia-tui verify {paths.name}")
    yield f"{place}/config.yaml", paths.config
    state = folded(folder / "run.db")
    if state.generations:
        if gone := pack_history(workspace, folder / "run.db", folder / HISTORY):
            raise _lost(gone[0], paths.name)
        yield f"{place}/{HISTORY}", folder / HISTORY
    if paths.again.db.is_file():
        snapshot(paths.again.db, folder / "again.db")
        yield f"{place}/again/run.db", folder / "again.db"
    for sha256 in sorted(adapters(state)):
        yield from _tree(f"{place}/adapters", paths.adapter(sha256))
    if state.training is not None and state.training.id in carried:
        yield from _tree(f"{place}/{TRAINING}", folder / TRAINING / state.training.id)
    yield from _shared(workspace, paths, state)


def _shared(workspace: Workspace, paths: RunPaths, state: State) -> Iterator[tuple[str, Path]]:
    """What the workspace holds for it, and no package index: the nano policy, the task's data or the key it is made from."""
    config = load_config(paths.config)
    if state.policy_ready is not None and config.policy.kind == "nano":
        for manifest in sorted(workspace.root.glob("policies/[!.]*/manifest.json")):
            if json.loads(manifest.read_text(encoding="utf-8")).get("weights_sha256") == state.policy_ready.sha256:
                yield from _tree("policies", manifest.parent)
    # Of another name are another task's, whose key makes its hidden cases.
    named = re.compile(re.escape(config.task.name) + (_CUT if config.task.tissues is not None else ""))
    folders = (path for path in sorted(workspace.root.glob("tasks/*")) if named.fullmatch(path.name))
    for folder in filter(Path.is_dir, folders):
        key = folder / _SECRET
        yield from [(f"tasks/{folder.name}/{_SECRET}", key)] if key.is_file() else _tree("tasks", folder)


def _tree(place: str, folder: Path) -> Iterator[tuple[str, Path]]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not there; see: sia-tui verify RUN")
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if all(_PART.fullmatch(part) for part in PurePosixPath(name).parts):
            yield f"{place}/{folder.name}/{name}", file


def adapters(state: State) -> set[str]:
    """Those that the run may still be asked for: its generations', and one that is published and not yet decided on."""
    trained = (step.trained.adapter for step in state.steps if step.trained and step.refused is None)
    found = {*(made.adapter for made in state.generations), *trained, state.start_adapter}
    return {adapter for adapter in found if adapter is not None}


def folded(db: Path) -> State:
    with closing(RunReader(db)) as reader:
        return reader.state()


def pack_history(workspace: Workspace, db: Path, out: Path) -> list[str]:
    """What git has of the run whose log this is, as one file; returns the commits that are not there. Raises
    RepositoryError, also where none is."""
    state = folded(db)
    repository = repository_of(workspace.run(state.run))
    wanted = refs(state)
    for ref in (f"refs/notes/sia/{state.run}", SEED_BRANCH, f"refs/heads/{state.run}"):
        if ref not in wanted and (stands := repository.resolve(ref)):
            wanted[ref] = stands
    there = {ref: commit for ref, commit in wanted.items() if repository.resolve(f"{commit}^{{commit}}")}
    missing = [commit for ref, commit in wanted.items() if ref not in there]
    left = {ref: at for ref in wanted.keys() - there.keys() if (at := repository.resolve(f"{ref}^{{commit}}"))}
    if missing and not there | left:
        raise _lost(missing[0], state.run)
    try:
        repository.pack(there | left, out)
    except RepositoryError as error:
        raise RepositoryError(f"{error}; see: sia-tui verify {state.run}") from error
    return missing


def _lost(commit: str, run: str) -> RepositoryError:
    return RepositoryError(f"the commit {commit[:10]} is not in git; see: sia-tui verify {run}")


def restore(workspace: Workspace, file: Path) -> list[str]:
    """Lay every run of the file out and return their names. What is there already is never written over; where this was
    killed with some in their places, the same file goes on from there.

    Raises StoreError in one line for a file that is no backup, is damaged, or holds a run that is there, and then nothing
    of it is left; RepositoryError, OSError; RunHeld while another restores.
    """
    workspace.create()
    workspace.runs.mkdir(exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(hold_restoring(workspace.root))
        lefts = _emptied(workspace)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_RESTORED, dir=workspace.runs)))
        try:
            with opened(file) as stream, zipfile.ZipFile(stream) as packed:
                told = _contents(packed, file)
                begun = [left for left in lefts if _placing(left) == digest(told)]
                names = [str(name) for name in told["runs"]]
                placed = {name for name in names if begun and workspace.run(name).root.exists()}
                for name in names:
                    _require_free(workspace, name, name in placed)
                _require_room(packed, told["sha256"], folder, file)
                for name, sha256 in told["sha256"].items():
                    _laid_out(packed, str(name), str(sha256), folder, file)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, EOFError, zlib.error) as error:
            raise StoreError(f"{file}: no backup that can be read ({one_line(str(error), 200)})") from error
        states = {name: _state(folder, name, file) for name in names}
        for name in placed:
            _require_begins(workspace.run(name), RunPaths(folder / "runs" / name))
        (folder / _PLACING).write_text(digest(told), encoding="utf-8")
        # First: who holds the backup has seen what was opened, also where this is killed before the runs are there.
        for name, state in states.items():
            if state.test_opened is not None:
                record_opening(workspace.db, name, state.test_opened.test_hash)
        with ExitStack() as undo:
            for name, state in states.items():
                if name in placed:
                    _settle(workspace, workspace.run(name))
                else:
                    _adopt(workspace, folder, state, undo)
            undo.pop_all()
        for left in begun:
            remove(left)
    return names


def _emptied(workspace: Workspace) -> list[Path]:
    """What restores left that were killed: room is made, and known stays which file was being put in its place."""
    lefts = sorted(workspace.runs.glob(f"{_RESTORED}*"))
    for left in lefts:
        for path in left.iterdir():
            if path.name != _PLACING:
                remove(path)
    # Nothing had been placed of these.
    for left in (left for left in lefts if _placing(left) is None):
        remove(left)
    return lefts


def _placing(left: Path) -> str | None:
    try:
        return (left / _PLACING).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _require_begins(paths: RunPaths, packed: RunPaths) -> None:
    """A run that took the place meanwhile is another. Raises StoreError."""
    with closing(RunReader(paths.db)) as there, closing(RunReader(packed.db)) as here:
        wanted = here.log()
        if there.log()[: len(wanted)] != wanted:
            raise StoreError(f"run {paths.name} is another than the backup's; choose another --workspace")


def _settle(workspace: Workspace, paths: RunPaths) -> None:
    """What a kill kept from being done for a run in its place; an engine that has begun with it does so by itself."""
    with suppress(RunHeld), hold(paths.lock):
        state = folded(paths.db)
        if state.best is not None:
            repository = HarnessRepository(workspace.harness_repository)
            repository.start_run(state.run, state.best.commit, paths.worktree)
            follow(state, repository, paths.worktree)


def _contents(packed: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    """Raises StoreError, KeyError."""
    with packed.open(CONTENTS) as stream:
        content = stream.read(MOST_CONTENTS + 1)
    try:
        told = json.loads(content[:MOST_CONTENTS])
        sound = isinstance(told["runs"], list) and isinstance(told["sha256"], dict) and isinstance(told["format"], int)
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{file}: no backup of sia-tui ({CONTENTS} says nothing that fits)") from error
    if not sound or told["format"] != FORMAT:
        raise StoreError(f"{file}: a backup of another version of sia-tui; upgrade it")
    return dict(told)


def _require_free(workspace: Workspace, name: str, placed: bool) -> None:
    """Raises StoreError."""
    if workspace.run(name).root.exists() and not placed:
        raise StoreError(f"run {name} is in {workspace.root} already; choose another --workspace, or delete it first")


def _require_room(packed: zipfile.ZipFile, names: Iterable[str], folder: Path, file: Path) -> None:
    """By the sizes that the archive tells: no member may be larger than it says. Raises StoreError, KeyError."""
    total, free = sum(packed.getinfo(name).file_size for name in names), disk_usage(folder).free
    if total > free:
        raise StoreError(f"{file}: holds {megabytes(total)}, and {folder.parent} has {megabytes(free)} free; make room")


def _laid_out(packed: zipfile.ZipFile, name: str, sha256: str, folder: Path, file: Path) -> None:
    """Raises StoreError for a name that is no plain path in one of the places, and for other bytes than were packed."""
    parts = name.split("/")
    if parts[0] not in ("runs", *_SHARED) or not all(_PART.fullmatch(part) for part in parts) or len(parts) < 3:
        raise StoreError(f"{file}: {name[:100]!r} is nothing that a backup holds")
    out = folder / name
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        member(packed, name, out, packed.getinfo(name).file_size)
    except ValueError as error:
        raise StoreError(f"{file}: damaged ({error})") from error
    if _sha256(out) != sha256:
        raise StoreError(f"{file}: damaged ({name} is not what was packed); use another copy")
    if out.name == _SECRET:
        out.chmod(0o600)


def _state(folder: Path, name: str, file: Path) -> State:
    """Raises StoreError for a store that is another run's."""
    state = folded(RunPaths(folder / "runs" / name).db)
    if state.run != name:
        raise StoreError(f"{file}: the store of {name} is one of the run {state.run}")
    return state


def _adopt(workspace: Workspace, folder: Path, state: State, undo: ExitStack) -> None:
    """`undo` takes away again what this places."""
    part, paths = RunPaths(folder / "runs" / state.run), workspace.run(state.run)
    for place in _SHARED:
        for made in sorted((folder / place).glob("*")):
            there = workspace.folder(place) / made.name
            if not there.exists():
                made.rename(there)
                undo.callback(remove, there)
    repository = HarnessRepository(workspace.harness_repository)
    if state.generations:
        undo.callback(
            _forget, repository, [ref for ref in refs(state) if _lacks(repository, ref)], repository.root.exists()
        )
        repository.take_in(part.root / HISTORY, refs(state))
        (part.root / HISTORY).unlink()
    part.keep_private()
    part.root.rename(paths.root)
    undo.callback(remove, paths.root)
    if state.best is not None:
        undo.callback(repository.forget_run, state.run, paths.worktree)
        repository.start_run(state.run, state.best.commit, paths.worktree)
        follow(state, repository, paths.worktree)


def _lacks(repository: HarnessRepository, ref: str) -> bool:
    return not repository.root.exists() or repository.resolve(ref) is None


def _forget(repository: HarnessRepository, taken: Sequence[str], was_there: bool) -> None:
    """These refs, or all of a repository that was made for them."""
    if was_there:
        for ref in taken:
            repository.unmark(ref)
    elif repository.root.exists():
        remove(repository.root)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
