"""Git brought in line with the log: branch, tags, proposal refs, notes, worktree. Safe to repeat at any time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sia_tui.core.attribution import attribution
from sia_tui.core.attribution import told as attributed
from sia_tui.core.state import Generation, State, Step
from sia_tui.core.telling import percent, points, tell
from sia_tui.core.text import clean, one_line
from sia_tui.engine.session import Session
from sia_tui.harness.repository import HarnessRepository, RepositoryError


def follow_log(session: Session) -> None:
    """Make every ref say what the log says. Raises RepositoryError if somebody else moved the run's branch."""
    if session.state.generations and not follow(session.state, session.repository, session.paths.worktree):
        session.report.say(f"{session.paths.worktree} has edits of yours and was left as it is")
    if session.state.generations and session.config.share.readers is not None:
        pack_for_others(session.state, session.repository, session.paths.history)


def pack_for_others(state: State, repository: HarnessRepository, out: Path) -> None:
    """What git has of this run, for those who may read it: the repository has every run's. Raises RepositoryError, OSError."""
    wanted, notes = refs(state), f"refs/notes/sia/{state.run}"
    if (stands := repository.resolve(notes)) is not None:
        wanted[notes] = stands
    if repository.packed(out) == wanted:
        return
    part = out.with_name(f".{out.name}.new")
    # One engine has the run: a lock is of a git that was killed.
    part.with_name(f"{part.name}.lock").unlink(missing_ok=True)
    repository.pack(wanted, part)
    part.chmod(0o640)
    part.replace(out)


def follow(state: State, repository: HarnessRepository, worktree: Path) -> bool:
    """False if the worktree holds a person's edits. Raises RepositoryError."""
    for ref, commit in marks(state).items():
        repository.mark(ref, commit)
    for commit, text in notes(state):
        repository.note(state.run, commit, text)
    return move_branch(repository, state, worktree)


def marks(state: State) -> dict[str, str]:
    """Tags of generations and refs of proposals, by their names: where each stands."""
    tags = {f"refs/tags/{state.run}/g{made.index}": made.commit for made in state.generations}
    return tags | {f"refs/sia/proposals/{step.id}": step.commit for step in state.steps if step.commit is not None}


def refs(state: State) -> dict[str, str]:
    """All that keeps a run's commits: its marks and its branch."""
    return marks(state) | ({f"refs/heads/{state.run}": state.best.commit} if state.best else {})


def notes(state: State) -> Iterator[tuple[str, str]]:
    """What stands below which commit."""
    for generation in state.generations:
        yield generation.commit, generation_note(state, generation)
    for step in state.steps:
        if step.commit is not None and not step.candidates:
            yield step.commit, step_note(step)


def move_branch(repository: HarnessRepository, state: State, worktree: Path) -> bool:
    """The run's branch to its incumbent, the worktree after it. False if the worktree holds a person's edits."""
    best, ref = state.best, f"refs/heads/{state.run}"
    if best is None:
        return True
    if (branch := repository.resolve(ref)) is None:
        # Somebody deleted it.
        branch = best.commit
        repository.mark(ref, branch)
    repository.tie(state.run, worktree, branch)
    if branch == best.commit:
        behind = _left_behind(repository, state, worktree, best.commit)
        return behind is None or repository.follow(worktree, behind, best.commit)
    if branch not in {generation.commit for generation in state.generations}:
        raise RepositoryError(
            f"branch {state.run} of {repository.root} stands at {branch[:10]}, which is no generation of this run; "
            f"move it back with: git -C {repository.root} update-ref refs/heads/{state.run} {best.commit[:10]}"
        )
    repository.move(state.run, branch, best.commit)
    return repository.follow(worktree, branch, best.commit)


def _left_behind(repository: HarnessRepository, state: State, worktree: Path, wanted: str) -> str | None:
    """The generation that the worktree shows in the place of its branch's: somebody was killed between moving the two."""
    shown = repository.laid_out(worktree)
    if shown is None or shown == repository.resolve(f"{wanted}^{{tree}}"):
        return None
    commits = (made.commit for made in state.generations)
    return next((commit for commit in commits if repository.resolve(f"{commit}^{{tree}}") == shown), None)


def generation_note(state: State, generation: Generation) -> str:
    """What `git log --notes` shows below a generation's commit: for people, so hidden too; test once the run is over."""
    lines = [f"g{generation.index} of {state.run}"]
    lines += [
        f"{split}: {percent(found.mean)} [{100 * found.lo:.1f}, {100 * found.hi:.1f}], n = {found.n}"
        for split, found in generation.results.items()
        if split != "test" or state.over
    ]
    lines += [f"{risk.light.name}: {risk.light.detail}" for risk in state.risks]
    step = next((step for step in state.steps if generation.index in step.candidates), None)
    if step is not None:
        lines += step_note(step).splitlines()
        found = attribution(state, step)
        lines += attributed(found) if found else []
    decided = {None: "not decided yet", True: "kept", False: "rolled back"}[generation.kept]
    return clean("\n".join([*lines, decided]))


def step_note(step: Step) -> str:
    lines = []
    if step.proposal.predicted_gain is not None:
        lines.append(f"predicted: {points(step.proposal.predicted_gain)} points")
    if step.preview is not None:
        lines.append(f"preview: {points(step.preview.gain)} points on {step.preview.n} train cases")
    lines += [line for event in (step.pilot, step.trained) if event and (line := tell(event))]
    lines += [f"verdict: {verdict.kind} by {verdict.by}, {verdict.note or 'no note'}" for verdict in step.verdicts]
    happened = (*step.measures, *step.evidence, step.traced, step.refused, step.amended)
    lines += [line for event in happened if event and (line := tell(event))]
    return clean("\n".join(one_line(line, 1000) for line in lines)) or "no verdict yet"
