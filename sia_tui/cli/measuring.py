"""Verbs that measure beside a run: `reproduce`, `attribute`, `more-evidence`. None of them writes into the run's log; of an
open gate the run's own engine is asked for more evidence."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sia_tui.cli.again import evidence_data, evidence_lines, gain_data, gained
from sia_tui.cli.asking import ask
from sia_tui.cli.main import DONE, FAILED, Failure, UsageError
from sia_tui.cli.reading import generation_index, read
from sia_tui.cli.table import table
from sia_tui.config import ConfigError, RunConfig, load_config
from sia_tui.core.attribution import Pair, pairs
from sia_tui.core.attribution import told as attributed
from sia_tui.core.comparing import Evidence, Repeated, repeated
from sia_tui.core.events import MeasuredAgain
from sia_tui.core.seals import Seal
from sia_tui.core.state import State
from sia_tui.core.telling import percent
from sia_tui.core.text import one_line
from sia_tui.store.again import Remeasures
from sia_tui.store.lock import is_held
from sia_tui.store.place import require_in_place
from sia_tui.store.workspace import RunPaths, Workspace

if TYPE_CHECKING:
    from sia_tui.engine.again import Wanted


class _Asked:
    """The run that a verb is about."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.workspace = Workspace.locate(options.workspace)
        self.paths: RunPaths = self.workspace.existing(options.run)
        require_in_place(self.paths)
        self.state: State = read(self.paths)
        self.config: RunConfig = _config(self.paths)

    @property
    def again(self) -> Remeasures:
        return Remeasures(self.paths, self.state, self.config.seed)

    def measured(self, wanted: Sequence[Wanted]) -> list[MeasuredAgain]:
        """Raises Failure."""
        if not wanted:
            return []
        from sia_tui.engine.again import beside, measure
        from sia_tui.engine.engine import EXPECTED, cancel_on_signals
        from sia_tui.store.lock import RunHeld, using

        async def work() -> list[MeasuredAgain]:
            cancel_on_signals()
            with using(self.workspace.root, "a command that measures again"):
                async with beside(self.workspace, self.paths, self.config, self.state, _say) as session:
                    return [await measure(session, self.state, one) for one in wanted]

        try:
            return asyncio.run(work())
        except RunHeld as held:
            raise UsageError(str(held)) from None
        except EXPECTED as error:
            raise Failure(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
        except asyncio.CancelledError:
            raise Failure("broken off; the same command goes on from here") from None


def reproduce(options: argparse.Namespace) -> int:
    """Exit code 1 where the generation is not what was recorded, or answers otherwise beyond chance."""
    from sia_tui.engine.again import Wanted
    from sia_tui.engine.integrity import seals

    asked = _Asked(options)
    index, split = generation_index(asked.state, options.generation), options.split
    _require_measured(asked.state, index, split)
    found = seals(asked.workspace, asked.paths, asked.state, [asked.state.generations[index]], _say)
    told: dict[str, Any] = {"run": asked.paths.name, "generation": index, "split": split}
    told |= {"seals": [asdict(seal) | {"holds": seal.holds} for seal in found]}
    if not all(seal.holds for seal in found):
        _print(options, told | {"reproduces": False, "measured": None}, _broken(index, found))
        return FAILED
    seed = asked.config.seed if options.seed is None else options.seed
    made = asked.measured([Wanted(index, index, split, seed, anew=True)])[0]
    again = asked.again.episodes(made)
    cases = {row.case_id for row in again}
    result = repeated([row for row in asked.again.recorded(index, split) if row.case_id in cases], again)
    told |= {"reproduces": result.holds, "measured": _plain(result) | {"seed": seed}}
    _print(options, told, [*_intact(found), *_repeated(index, split, seed, asked.config.seed, result)])
    return DONE if result.holds else FAILED


def attribute(options: argparse.Namespace) -> int:
    """Measures what is missing of the two-by-two table of a kept pair of steps."""
    from sia_tui.engine.again import Wanted

    asked = _Asked(options)
    chosen = _pairs(asked.state, options.steps)
    seed, again = asked.config.seed, asked.again
    mixes = [pair.missing for pair in chosen if not again.first(pair.missing.harness, pair.missing.weights, seed)]
    asked.measured([Wanted(mix.harness, mix.weights, "dev", seed) for mix in mixes])
    again, lines, told = asked.again, list[str](), list[dict[str, Any]]()
    for pair in chosen:
        found = again.apart(pair)
        lines += [f"g{pair.between} and g{pair.new}, kept one after the other on g{pair.old}:", *attributed(found), ""]
        told.append(asdict(pair) | {"cells": asdict(found)})
    lines.append("intervals of each table hold all at once (Bonferroni)")
    _print(options, {"run": asked.paths.name, "pairs": told}, lines)
    return DONE


def more_evidence(options: argparse.Namespace) -> int:
    """For the open gate a command like any other; else candidate and incumbent on dev under other sampling seeds, all of
    them beside the run's own."""
    from sia_tui.engine.again import Wanted

    asked = _Asked(options)
    gate = asked.state.waiting
    if options.what is None or (gate is not None and options.what == gate.id):
        return _asked_for(options, asked)
    candidate = _candidate(asked.state, options.what)
    _require_measured(asked.state, candidate, "dev")
    incumbent = asked.state.generations[candidate].parent
    if incumbent is None:
        raise UsageError("g0 is nobody's candidate: there is nothing to pair it with")
    seeds = range(asked.config.seed + 1, asked.config.seed + 1 + (2 if options.seeds is None else options.seeds))
    asked.measured([Wanted(index, index, "dev", seed) for seed in seeds for index in (incumbent, candidate)])
    found = asked.again.evidence(candidate)
    told = {"run": asked.paths.name, **evidence_data(found)}
    _print(options, told, [*evidence_lines(found), *_bound(asked.state, found)])
    return DONE


def _asked_for(options: argparse.Namespace, asked: _Asked) -> int:
    if options.seeds not in (None, 1):
        raise UsageError("an open gate is given one more seed at a time: leave --seeds out, and ask again")
    code = ask(asked.workspace, asked.paths, "more-evidence", {"gate": options.what} if options.what else {})
    if not is_held(asked.paths.lock):
        print(f"go on with: sia-tui resume {asked.paths.name}")
    return code


def _config(paths: RunPaths) -> RunConfig:
    try:
        return load_config(paths.config)
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _require_measured(state: State, index: int, split: str) -> None:
    if split == "hidden" and not state.over:
        raise UsageError(f"{state.run} is not over: hidden stays unseen until then")
    if split not in state.generations[index].results:
        raise UsageError(f"g{index} of {state.run} was not measured on {split}")


def _pairs(state: State, steps: Sequence[str]) -> list[Pair]:
    """The one named by both of its generations, or every one. Raises UsageError."""
    there = pairs(state)
    known = ", ".join(f"g{pair.between} g{pair.new}" for pair in there) or "none"
    if steps and len(steps) != 2:
        raise UsageError(f"name both generations of a kept pair, or none for all; there are: {known}")
    named = {generation_index(state, step) for step in steps}
    chosen = [pair for pair in there if not named or named == {pair.between, pair.new}]
    if not chosen:
        raise UsageError(
            f"{state.run} has no such pair of a harness and a weights step kept one after the other; there are: {known}"
        )
    return chosen


def _candidate(state: State, what: str) -> int:
    """Of a gate that has been measured, or a generation by its name. Raises UsageError."""
    step = next((step for step in state.steps if any(gate.id == what for gate in step.gates)), None)
    if step is None:
        return generation_index(state, what)
    if step.measured is None or step.generation is None:
        raise UsageError(f"{what} asks before anything is measured on dev; say yes to it, or ask about a generation")
    return step.generation


def _bound(state: State, found: Evidence) -> list[str]:
    """What more evidence does not do."""
    lines = ["looking until it looks well is a bias: decide beforehand how many seeds"] if len(found.draws) > 2 else []
    decided = state.generations[found.candidate].kept is not None
    return [*lines, "what was decided stays decided" if decided else "the gate is still yours to answer"]


def _broken(index: int, found: Sequence[Seal]) -> list[str]:
    gone = ", ".join(seal.name for seal in found if not seal.holds)
    return [*_intact(found), "", f"g{index} was not measured: it is not what was recorded ({one_line(gone, 400)})"]


def _intact(found: Sequence[Seal]) -> list[str]:
    rows = [(seal.name, seal.recorded[:16], (seal.found or "–")[:16], one_line(seal.told, 200)) for seal in found]
    return [table(("what", "then", "now", ""), rows)]


def _repeated(index: int, split: str, seed: int, own: int, found: Repeated) -> list[str]:
    n = found.gain.n
    under = f"seed {seed}" + (", the run's own" if seed == own else f"; the run's own is {own}")
    verdict = "the same answers" if not found.differing else "the same within chance"
    return [
        "",
        f"g{index} on {split}, {n} cases, {under}:",
        f"recorded {percent(found.recorded)}, measured again {percent(found.again)}: {gained(found.gain)}",
        f"answered alike: {found.same} of {n}"
        + (f"; otherwise: {', '.join(found.differing[:10])}" if found.differing else "")
        + (" …" if len(found.differing) > 10 else ""),
        f"reproduces: {verdict}"
        if found.holds
        else "DOES NOT REPRODUCE: the interval of the difference does not hold 0",
    ]


def _plain(found: Repeated) -> dict[str, Any]:
    return {
        "recorded": found.recorded,
        "again": found.again,
        "gain": gain_data(found.gain),
        "same": found.same,
        "differing": list(found.differing),
    }


def _print(options: argparse.Namespace, told: object, lines: Sequence[str]) -> None:
    print(json.dumps(told, ensure_ascii=False, indent=2) if options.json else "\n".join(lines))


def _say(line: str) -> None:
    print(one_line(line, 600), file=sys.stderr)
