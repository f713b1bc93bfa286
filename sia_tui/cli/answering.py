"""A bundle's `run.py`: new cases in, answers out, one JSON object a line."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sia_tui.cli.main import DONE, FAILED, USAGE
from sia_tui.core.episodes import Attempt, Case
from sia_tui.core.hashing import digest
from sia_tui.core.text import one_line
from sia_tui.store.lock import RunHeld, using
from sia_tui.store.workspace import Workspace

if TYPE_CHECKING:
    from sia_tui.config import RunConfig
    from sia_tui.engine.bundle import Bundle


class Misasked(Exception):
    """What is not a case, in one line."""


def main(root: Path, arguments: Sequence[str] | None = None) -> int:
    """Answers come in the order of the questions. Exit codes: 0 done, 1 failed, 2 wrong usage."""
    from sia_tui.config import ConfigError, load_config
    from sia_tui.engine.bundle import Bundle
    from sia_tui.engine.export import ExportError
    from sia_tui.harness.environment import EnvironmentFailed
    from sia_tui.harness.sandbox import SandboxUnavailable
    from sia_tui.harness.workers import HarnessBroken
    from sia_tui.policy.client import GatewayDied, GatewayError

    options = _parser().parse_args(arguments)
    bundle = Bundle(root)
    try:
        cases = [_case({"text": options.text})] if options.text is not None else read_cases(sys.stdin)
        config = load_config(bundle.config, options.overrides)
        model = _model(bundle, options.model or config.policy.model, options.model is not None)
        workspace = Workspace(Path(options.workspace or os.environ.get("SIA_WORKSPACE") or root / ".sia").absolute())
        workspace.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with using(workspace.root, "run.py of a bundle"):
            return asyncio.run(_answer(bundle, config, model, workspace, cases))
    except Misasked as error:
        return _refused(error, USAGE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (
        ConfigError,
        EnvironmentFailed,
        ExportError,
        GatewayDied,
        GatewayError,
        HarnessBroken,
        OSError,
        RunHeld,
        SandboxUnavailable,
    ) as error:
        return _refused(error, FAILED)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description='Answers new cases: one text, or a JSON object a line on standard input, such as {"text": "…"} with an '
        "id of your own if you like. Answers are JSON lines in the same order.",
    )
    parser.add_argument("text", nargs="?", help="one case; without it cases are read from standard input")
    parser.add_argument(
        "--model", metavar="DIR", help="the base model (default: the bundle's, else by the config's name)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=c",
        dest="overrides",
        help="override one key of the config, such as policy.backend=hf where the run had vllm",
    )
    parser.add_argument(
        "--workspace",
        metavar="DIR",
        help="for the harness' own Python (default: $SIA_WORKSPACE, else the bundle's .sia)",
    )
    return parser


def _model(bundle: Bundle, name: str | None, asked: bool) -> Path:
    """The base model's folder: the one asked for, else the bundle's own, else by its name. Raises Misasked."""
    from sia_tui.policy.base import ModelMissing, find

    if not asked and bundle.model.is_dir():
        return bundle.model
    if name is None:
        raise Misasked("this bundle comes without its base model: name its folder with --model (see README.md)")
    try:
        return find(name)
    except ModelMissing as missing:
        said = f"{missing}; or name the base model's folder with --model (see README.md)"
        raise Misasked(said if asked else f"this bundle comes without its base model. {said}") from None


async def _answer(bundle: Bundle, config: RunConfig, model: Path, workspace: Workspace, cases: Sequence[Case]) -> int:
    from sia_tui.engine.answering import answer
    from sia_tui.engine.engine import cancel_on_signals

    cancel_on_signals()
    waiting, told = list(reversed(cases)), dict[str, Attempt]()

    def done(attempt: Attempt) -> None:
        told[attempt.case.id] = attempt
        while waiting and waiting[-1].id in told:
            print(json.dumps(_said(told[waiting.pop().id]), ensure_ascii=False), flush=True)

    def say(line: str) -> None:
        print(one_line(line), file=sys.stderr)

    await answer(bundle, config, model, workspace, list({case.id: case for case in cases}.values()), done, say)
    return DONE


def read_cases(lines: Iterable[str]) -> list[Case]:
    """Raises Misasked."""
    cases, inputs = [], dict[str, object]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            case = _case(json.loads(line))
        except (ValueError, TypeError) as error:
            raise Misasked(f'line {number} is no case ({error}); write {{"text": "…"}}') from None
        if inputs.setdefault(case.id, case.inputs) != case.inputs:
            raise Misasked(f"line {number}: another case has the id {case.id}; give each its own")
        cases.append(case)
    return cases


def _case(told: object) -> Case:
    """A case without an id has one by its content. Its split says only that no right answer is at hand."""
    if not isinstance(told, dict):
        raise TypeError("not an object")
    inputs = {name: value for name, value in told.items() if name != "id"}
    if not inputs or not all(isinstance(value, str) for value in told.values()):
        raise TypeError("its fields must be texts")
    return Case(told.get("id") or digest(inputs)[:16], "test", inputs)


def _said(attempt: Attempt) -> dict[str, object]:
    error = attempt.error and f"{attempt.error.kind}: {one_line(attempt.error.message)}"
    return {
        "id": attempt.case.id,
        "answer": attempt.answer,
        "source": attempt.source,
        "calls": len(attempt.calls),
        "seconds": round(attempt.seconds, 3),
        "error": error,
    }


def _refused(error: Exception, code: int) -> int:
    print(f"run.py: {one_line(str(error), 1000)}", file=sys.stderr)
    return code
