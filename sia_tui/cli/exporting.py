"""`sia-tui export`: a generation as files that other programs load, or as an agent that answers new cases."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sia_tui.cli.main import DONE, Failure, UsageError
from sia_tui.cli.reading import generation_index, read
from sia_tui.config import ConfigError
from sia_tui.core.room import no_room, unsaved
from sia_tui.core.telling import points
from sia_tui.core.text import one_line
from sia_tui.store.workspace import RunPaths, Workspace

if TYPE_CHECKING:
    from sia_tui.core.state import State
    from sia_tui.engine.export import Source


def export(options: argparse.Namespace) -> int:
    from sia_tui.engine.export import ARCHIVE, ExportError, beside, find, hashes
    from sia_tui.harness.repository import RepositoryError
    from sia_tui.policy.merge import CannotMerge
    from sia_tui.tasks.task import TaskError

    if options.merge and not options.hf:
        raise UsageError("--merge goes with --hf")
    if options.redact:
        return _redacted(options)
    if options.generation is None:
        raise UsageError("export RUN GEN: name a generation, such as g2")
    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    state = read(paths)
    index = generation_index(state, options.generation)
    if options.patches:
        return _patches(options, paths, state, index)
    form = "bundle" if options.bundle else "merged" if options.merge else "hf"
    out = Path(options.out or f"{paths.name}-g{index}-{form}").absolute()
    if form != "bundle" and out.name.endswith(ARCHIVE):
        raise UsageError(f"only a bundle may be a file; name a folder instead of {out.name}")
    if form == "hf" and state.generations[index].adapter is None:
        raise UsageError(f"g{index} of {paths.name} has no adapter; --hf --merge exports its base model")
    try:
        source = find(workspace, paths, state, index, _say)
        with beside(out) as part:
            if form == "bundle":
                _bundle(workspace, source, paths.config, part)
            else:
                _model(source, options.merge, part)
            files = hashes(part) if options.json else {}
    except FileExistsError as error:
        raise UsageError(str(error)) from error
    except (CannotMerge, ConfigError, ExportError, OSError, RepositoryError, TaskError) as error:
        raise Failure(_why(error, out)) from error
    _tell(options, source, form, out, files)
    return DONE


def _redacted(options: argparse.Namespace) -> int:
    """The run as a recording: what answers cases would hold what it learned from."""
    from sia_tui.cli.replaying import pack

    if not options.bundle:
        raise UsageError("--redact goes with --bundle, and no GEN")
    shared = f"sia-tui export {options.run} --bundle --redact"
    if options.generation is not None:
        raise UsageError(
            f"a generation that answers cases holds the rows, prompts and weights it answers by, and cannot be without their "
            f"words; the whole run can be shared without them, to be looked at: {shared}"
        )
    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    out = Path(options.out or f"{paths.name}-redacted.zip").absolute()
    if out.exists():
        raise UsageError(f"{out} is there already; name another file with --out")
    return pack(workspace, paths, out, redact=True, as_json=options.json)


def _why(error: Exception, out: Path) -> str:
    return unsaved(error, out) if no_room(error) else str(error)


def _patches(options: argparse.Namespace, paths: RunPaths, state: State, index: int) -> int:
    if options.out:
        raise UsageError("--patches names its folder itself; leave --out away")
    out = Path(options.patches).absolute()
    names, same = _series(paths, state, index, out), _unchanged(state, index)
    if options.json:
        told = {"run": state.run, "generation": index, "path": str(out), "files": names, "without_a_patch": same}
        print(json.dumps(told, ensure_ascii=False, indent=2))
        return DONE
    print(_written(state, index, names, out))
    print(f"put them on an empty repository with: git am {shlex.quote(str(out))}/*.patch")
    if same:
        print(f"{', '.join(same)}: weights only, which change no file of the harness")
    return DONE


def series(paths: RunPaths, index: int, folder: str) -> str:
    """Write what `--patches` does, and say so. Raises UsageError, Failure, StoreError."""
    state = read(paths)
    try:
        out = Path(folder).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"{folder}: {error}") from error
    return _written(state, index, _series(paths, state, index, out), out)


def _written(state: State, index: int, names: Sequence[str], out: Path) -> str:
    return f"{state.run} g{index}: {len(names)} patches in {out}"


def _series(paths: RunPaths, state: State, index: int, out: Path) -> list[str]:
    """Of the generations that led to this one; each was kept until it was changed. The files' names."""
    from sia_tui.engine.export import ExportError, beside
    from sia_tui.harness.repository import RepositoryError
    from sia_tui.repositories import repository_of

    try:
        repository = repository_of(paths)
        with beside(out) as part:
            part.mkdir(exist_ok=True)
            return repository.series(state.generations[index].commit, state.task, _gains(state), part)
    except FileExistsError as error:
        raise UsageError(str(error)) from error
    except (ExportError, OSError, RepositoryError) as error:
        raise Failure(_why(error, out)) from error


def _gains(state: State) -> dict[str, str]:
    """By commit, what its step gained."""
    found = {}
    for step in state.steps:
        for measure in step.measures:
            span = f"{points(measure.gain)} [{points(measure.lo)}, {points(measure.hi)}]"
            found[state.generations[measure.generation].commit] = f"Gain: {span} points on dev, n = {measure.n}"
    return found


def _unchanged(state: State, index: int) -> list[str]:
    """Those on the way to a generation that left the harness as it was."""
    found, at = list[str](), state.generations[index]
    while at.parent is not None:
        before = state.generations[at.parent]
        found += [f"g{at.index}"] if at.tree == before.tree else []
        at = before
    return found[::-1]


def _bundle(workspace: Workspace, source: Source, config: Path, part: Path) -> None:
    from sia_tui.engine.bundle import write_bundle

    write_bundle(workspace, source, config, part, _say)


def _say(line: str) -> None:
    print(one_line(line), file=sys.stderr)


def _model(source: Source, merge: bool, part: Path) -> None:
    from sia_tui.engine.card import adapter_card, merged_card
    from sia_tui.policy.export import write_adapter, write_base, write_merged

    if not merge:
        assert source.adapter is not None
        write_adapter(source.adapter, source.base, source.called, part)
    elif source.adapter is not None:
        write_merged(source.adapter, source.base, part)
    else:
        write_base(source.base, part)
    card = merged_card(source) if merge else adapter_card(source)
    (part / "README.md").write_text(card, encoding="utf-8")


def _tell(options: argparse.Namespace, source: Source, form: str, out: Path, files: Mapping[str, str]) -> None:
    if options.json:
        told = {
            "run": source.state.run,
            "generation": source.generation.index,
            "form": form,
            "path": str(out),
            "base_model": source.state.policy_ready and source.state.policy_ready.sha256,
            "adapter": source.generation.adapter,
            "files": files,
        }
        print(json.dumps(told, ensure_ascii=False, indent=2))
        return
    where = shlex.quote(str(out))
    print(f"{source.state.run} g{source.generation.index}: {out}")
    if form == "bundle":
        print(
            f"ask it with: python {where}/run.py < cases.jsonl" if out.is_dir() else f"unpack it with: tar xzf {where}"
        )
