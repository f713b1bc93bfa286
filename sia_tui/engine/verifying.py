"""A run looked at whole: its store, what git has of it, its adapters, and the digests it rests on, against each other."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

from sia_tui.core.hashing import digest
from sia_tui.core.seals import UNSEEN, Check, Seal
from sia_tui.core.state import Generation, State, Step
from sia_tui.engine.history import notes, refs
from sia_tui.engine.integrity import Say, seals
from sia_tui.harness.repository import HarnessRepository, RepositoryError
from sia_tui.policy.adapters import adapter_hash
from sia_tui.repositories import repository_of
from sia_tui.store.asked import is_anothers
from sia_tui.store.soundness import RESTORE, checks
from sia_tui.store.workspace import RunPaths, Workspace

ELSEWHERE = "harness environment"
"""A seal of the machine, not of the run."""


def verify(workspace: Workspace, paths: RunPaths, say: Say) -> list[Check]:
    """Every check, in order; where the log cannot be read the others cannot be made. Changes nothing."""
    found, state = checks(paths.db)
    if state is None or any(check.level == "broken" for check in found[:2]):
        return found
    found += _git(paths, state) if state.generations else []
    found += [_adapter(paths, state, *adapted) for adapted in _adapted(state)]
    looked = seals(workspace, paths, state, state.generations[-1:], say)
    return found + [_sealed(seal) for seal in looked if not seal.name.startswith(("g", "adapter"))]


def _git(paths: RunPaths, state: State) -> Iterator[Check]:
    try:
        repository = repository_of(paths)
    except RepositoryError as error:
        yield Check("git", str(error), "behind", "resume RUN, by its owner")
        return
    try:
        repository.check()
        yield Check("git: objects", "sound")
    except RepositoryError as error:
        yield Check("git: objects", str(error), "broken", RESTORE)
    for generation in state.generations:
        yield _generation(repository, state, generation)
    yield _refs(repository, paths, state)
    if not is_anothers(paths):
        yield _worktree(repository, paths)


def _generation(repository: HarnessRepository, state: State, generation: Generation) -> Check:
    """Its commit is there, with the tree and the tuple that the log says; the tuple is the log's own, part by part."""
    name = f"git: g{generation.index}"
    try:
        told, tree = (
            repository.generation(generation.commit),
            repository.subtree(generation.commit, state.task),
        )
    except (RepositoryError, ValueError) as error:
        return Check(name, str(error), "broken", RESTORE)
    faults = [] if tree == generation.tree else ["its tree is not the one in the log"]
    faults += [] if digest(told) == generation.key else ["generation.json is not what its key was made of"]
    policy, task = state.policy_ready, state.task_ready
    logged = {"harness": generation.tree, "adapter": generation.adapter}
    if policy is not None and task is not None:
        logged |= {"base_model": policy.sha256, "serving": policy.serving_hash}
        logged |= {"verifier": task.verifier_hash, "split": task.split_hash}
    faults += [f"its {part} is not the log's" for part, value in logged.items() if told.get(part) != value]
    if faults:
        return Check(name, "; ".join(faults), "broken", RESTORE)
    return Check(name, f"{generation.commit[:10]}, tree and tuple as recorded")


def _refs(repository: HarnessRepository, paths: RunPaths, state: State) -> Check:
    """Branch, tags, proposals' refs and notes follow the log, and are made anew from it: they are behind, never lost."""
    wanted, run = refs(state), state.run
    behind = [ref for ref, commit in wanted.items() if repository.resolve(ref) != commit]
    told = dict(notes(state))
    behind += [
        f"note of {commit[:10]}" for commit, text in told.items() if repository.noted(run, commit) != text.strip()
    ]
    if not behind:
        return Check("git: refs", f"branch, {len(wanted) - 1} refs and {len(told)} notes say what the log says")
    more = f" and {len(behind) - 5} more" if len(behind) > 5 else ""
    do = f"nothing where an engine is alive; else: sia-tui verify {paths.name} --mend"
    return Check("git: refs", f"behind the log: {', '.join(behind[:5])}{more}", "behind", do)


def _worktree(repository: HarnessRepository, paths: RunPaths) -> Check:
    """A workspace that was copied or moved takes along where git is; an engine ties it anew, and nothing of it is lost."""
    if repository.is_tied(paths.worktree):
        return Check("git: worktree", f"{paths.worktree} is of {repository.root}")
    found = "is no worktree of" if paths.worktree.exists() else "is not there; it would be one of"
    do = f"nothing where an engine is alive; else: sia-tui verify {paths.name} --mend"
    return Check("git: worktree", f"{paths.worktree} {found} {repository.root}", "behind", do)


def _adapted(state: State) -> Iterator[tuple[str, str, Step | None]]:
    """Each adapter the run may still be asked for, once: whose it is, its name and the step that trained it."""
    told = set[str]()
    for made in state.generations:
        step = None if made.proposal is None else state.step(made.proposal)
        if made.adapter is not None and made.adapter not in told:
            told.add(made.adapter)
            yield f"g{made.index}", made.adapter, step
    for step in state.steps:
        if step.trained is not None and step.refused is None and step.trained.adapter not in told:
            told.add(step.trained.adapter)
            yield step.id, step.trained.adapter, step


def _adapter(paths: RunPaths, state: State, whose: str, sha256: str, step: Step | None) -> Check:
    """The bytes are those that its name, its manifest and the log say."""
    name = f"adapter of {whose}"
    folder = paths.adapter(sha256)
    try:
        if adapter_hash(folder) != sha256:
            return Check(name, f"{folder} is not the adapter that was measured", "broken", RESTORE)
        said = _manifest(folder)
    except PermissionError as error:
        if is_anothers(paths):
            return Check(name, UNSEEN, "behind", "nothing")
        return Check(name, str(error), "broken", f"chmod -R u+rX {shlex.quote(str(folder))}")
    except (OSError, ValueError) as error:
        return Check(name, str(error), "broken", RESTORE)
    logged = {"adapter": sha256, "base_model": state.policy_ready.sha256 if state.policy_ready else None}
    if step is not None and step.training is not None:
        logged["parent"] = step.training.parent_adapter
    # Manifests of earlier versions name no parent.
    faults = [
        f"its manifest has another {part}" for part, value in logged.items() if said.get(part) not in (None, value)
    ]
    if faults:
        return Check(name, "; ".join(faults), "broken", RESTORE)
    return Check(name, f"{sha256[:16]}, {'as its manifest and the log say' if said else 'as the log says'}")


def _manifest(folder: Path) -> dict[str, object]:
    """Empty of an adapter that came without one."""
    file = folder / "manifest.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def _sealed(seal: Seal) -> Check:
    if seal.holds:
        return Check(seal.name, f"{seal.recorded[:16]}, as recorded")
    if not seal.seen:
        return Check(seal.name, seal.told, "behind", "nothing")
    if seal.name == ELSEWHERE:
        return Check(seal.name, "another Python or machine than then", "behind", "new answers may differ by rounding")
    told = seal.why or f"was {seal.recorded[:16]}, is {(seal.found or '–')[:16]}"
    return Check(seal.name, told, "broken", "put back what it was, or branch from the run with what it is")
