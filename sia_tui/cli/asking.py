"""The verbs that ask something of a run: through its engine if one is alive, else settled here and now."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from sia_tui.cli.main import DONE, UsageError
from sia_tui.cli.reading import generation_index, read, readable
from sia_tui.core.contract import parsed
from sia_tui.core.gates import StaleHash, require_hash
from sia_tui.core.standing import left
from sia_tui.core.state import Step
from sia_tui.person import whoami
from sia_tui.store import asked
from sia_tui.store.asked import is_anothers
from sia_tui.store.lock import RunHeld, is_held
from sia_tui.store.place import require_in_place
from sia_tui.store.reader import Answer, RunReader, append_command
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writable import writing

ANSWER_S = 20.0


def approve(options: argparse.Namespace) -> int:
    changes = bool(options.hunks or options.patch or options.plan or options.fields)
    if options.until:
        if changes:
            raise UsageError("--until is about what was proposed: first approve the changed one, at a gate of its own")
        return _until(options)
    if changes:
        from sia_tui.cli.amending import change

        return _verdict(options, "amend", lambda step: change(options, step))
    return _verdict(options, "approve")


def contract(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    if options.end:
        return ask(workspace, paths, "end-contract", {})
    if options.until:
        return ask(workspace, paths, "contract", {"contract": _limits(options.until)})
    state = read(paths)
    if state.contract is not None:
        print(f"contract of {state.contract.by}: {left(state, state.contract)}")
    else:
        print("no contract stands" + (f"; the last one ended: {state.contract_ended}" if state.contract_ended else ""))
    return DONE


def _until(options: argparse.Namespace) -> int:
    limits = _limits(options.until)
    return _verdict(options, "contract", lambda step: {"contract": limits})


def _limits(text: str) -> dict[str, Any]:
    try:
        return asdict(parsed(text))
    except ValueError as fault:
        raise UsageError(str(fault)) from fault


def reject(options: argparse.Namespace) -> int:
    return _verdict(options, "reject", lambda step: {"other_lever": options.other_lever})


def defer(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    paths, gate = _gate(workspace, options.gate)
    return ask(workspace, paths, "defer", {"gate": gate})


def pause(options: argparse.Namespace) -> int:
    return _plain(options, "pause")


def stop(options: argparse.Namespace) -> int:
    return _plain(options, "stop")


def stop_training(options: argparse.Namespace) -> int:
    return _plain(options, "stop-training")


def rollback(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    index = generation_index(read(paths), options.generation)
    return ask(workspace, paths, "rollback", {"generation": index})


def ask(workspace: Workspace, paths: RunPaths, kind: str, body: Mapping[str, Any]) -> int:
    """Ask and print the answer. Raises UsageError when it is refused."""
    answer = answered(workspace, paths, kind, body)
    if not answer.ok:
        raise UsageError(answer.message)
    print(f"{paths.name}: {answer.message}")
    return DONE


def answered(workspace: Workspace, paths: RunPaths, kind: str, body: Mapping[str, Any]) -> Answer:
    """Append the command and see that it is answered. Raises UsageError when nobody answers in time, StoreError for a run
    that is not in its place."""
    require_in_place(paths)
    if is_anothers(paths):
        try:
            return asked.ask(paths, kind, body)
        except StoreError as error:
            raise UsageError(str(error)) from error
    say = partial(append_command, paths.db, kind, whoami(), body)
    number = say() if is_held(paths.lock) else _settled(workspace, paths, say)
    reader, end = RunReader(paths.db), time.monotonic() + ANSWER_S
    try:
        while (answer := reader.answer_to(number)) is None:
            if time.monotonic() > end:
                raise UsageError(f"the engine has not answered for {ANSWER_S:.0f} s; the {kind} is in its queue")
            time.sleep(0.05)
    finally:
        reader.close()
    return answer


def _settled(workspace: Workspace, paths: RunPaths, say: Callable[[], int]) -> int:
    from sia_tui.engine.settle import settle

    try:
        with writing(paths):
            return settle(workspace, paths, say)
    except RunHeld:
        # An engine has just taken the run, and will answer.
        return say()


def _plain(options: argparse.Namespace, kind: str) -> int:
    workspace = Workspace.locate(options.workspace)
    return ask(workspace, workspace.existing(options.run), kind, {})


def _verdict(options: argparse.Namespace, kind: str, more: Callable[[Step], Mapping[str, Any]] | None = None) -> int:
    """`more`: what else the command says, by the step that the gate is about."""
    workspace = Workspace.locate(options.workspace)
    paths, gate = _gate(workspace, options.gate)
    state = read(paths)
    if state.waiting is not None and state.waiting.id == gate:
        try:
            require_hash(state.waiting, options.hash, state.earlier)
        except StaleHash as stale:
            raise UsageError(str(stale)) from stale
    body = {"gate": gate, "hash": options.hash, "note": options.note}
    code = ask(workspace, paths, kind, body | dict(more(state.current) if more and state.current else {}))
    if not is_held(paths.lock):
        print(f"go on with: sia-tui resume {paths.name}")
    return code


def _gate(workspace: Workspace, name: str) -> tuple[RunPaths, str]:
    """`RUN/GATE`, or `GATE` when only one run has it open. Raises UsageError."""
    run, slash, gate = name.rpartition("/")
    if slash:
        return workspace.existing(run), gate
    having = [paths for paths, state in readable(workspace) if state.waiting and state.waiting.id == name]
    if len(having) == 1:
        return having[0], name
    if not having:
        raise UsageError(f"no gate {name} is waiting; see: sia-tui pending")
    raise UsageError(f"{name} waits in several runs: say which, as in {having[0].name}/{name}")
