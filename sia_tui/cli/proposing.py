"""`sia-tui propose`: a patch of a person's own, or an earlier one revived, shown before it is handed over."""

from __future__ import annotations

import argparse
import json
import shlex
from typing import Any

from sia_tui.cli.amending import written
from sia_tui.cli.asking import answered
from sia_tui.cli.main import DONE, UsageError
from sia_tui.cli.reading import read
from sia_tui.core.own import NotProposed, proposed, revivable
from sia_tui.core.reviving import Revived, revive
from sia_tui.core.state import State
from sia_tui.core.text import clean, one_line
from sia_tui.store.lock import is_held
from sia_tui.store.workspace import RunPaths, Workspace


def propose(options: argparse.Namespace) -> int:
    """Without --yes nothing is asked. Raises UsageError."""
    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    state = read(paths)
    try:
        found = _revived(paths, state, options.revive) if options.revive else None
        patch = found.patch if found is not None else written(options.patch)
        if found is not None and not patch:
            raise UsageError(f"{found.told}: nothing of {options.revive} is left to propose")
        revives = revivable(state, options.revive).id if options.revive else None
        made = proposed(state, "you", patch, options.title.strip(), options.reason.strip(), revives)
    except NotProposed as fault:
        raise UsageError(str(fault)) from fault
    said: dict[str, Any] = {"title": made.title, "patch": patch, "fits": _fits(found), "asked": False, "answer": None}
    if options.yes:
        body = {"patch": patch, "title": options.title, "reason": options.reason, "revives": revives}
        answer = answered(workspace, paths, "propose", body)
        if not answer.ok:
            raise UsageError(answer.message)
        said |= {"asked": True, "answer": answer.message}
    print(json.dumps(said, ensure_ascii=False, indent=2) if options.json else _told(said, found))
    if options.json:
        return DONE
    if not options.yes:
        print("\nnothing is proposed yet; do it with the same command and --yes")
    elif not is_held(paths.lock):
        print(f"go on with: sia-tui resume {shlex.quote(paths.name)}")
    return DONE


def _revived(paths: RunPaths, state: State, name: str) -> Revived:
    from sia_tui.harness.repository import RepositoryError
    from sia_tui.repositories import repository_of

    step, best = revivable(state, name), state.best
    if best is None:
        raise NotProposed("the run has no generation to change yet")
    try:
        repository = repository_of(paths)
        before = repository.files(step.proposal.base_commit, state.task)
        return revive(step.proposal.patch or "", before, repository.files(best.commit, state.task))
    except RepositoryError as error:
        raise UsageError(str(error)) from error


def _fits(found: Revived | None) -> list[dict[str, str]] | None:
    if found is None:
        return None
    return [{"hunk": fit.hunk.told, "fate": fit.fate, "why": fit.why} for fit in found.fits]


def _told(said: dict[str, Any], found: Revived | None) -> str:
    lines = [one_line(said["title"], 200)]
    if found is not None:
        lines.append(found.told)
        lines += [f"  {fit.fate:<14} {one_line(fit.hunk.told, 80)}  {fit.why}".rstrip() for fit in found.fits]
    return "\n".join([*lines, "", clean(said["patch"]).rstrip(), *([said["answer"]] if said["asked"] else [])])
