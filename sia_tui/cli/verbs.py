"""What may be said on the command line: the verbs with their options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

_Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _whole(least: int = 0, most: int = 10**9) -> Callable[[str], int]:
    def number(text: str) -> int:
        with suppress(ValueError):
            if least <= (value := int(text)) <= most:
                return value
        said = text if len(text) <= 30 else f"{text[:29]}…"
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {said!r}")

    return number


def parser() -> argparse.ArgumentParser:
    house = argparse.ArgumentParser(
        prog="sia-tui",
        description="Human-supervised self-improvement of an agent's harness and weights.",
        epilog="Exit codes: 0 done, 1 the run failed, 2 wrong usage, 3 waiting at a gate.",
    )
    house.add_argument("--workspace", metavar="DIR", help="whose runs the window lists without a verb")
    house.add_argument("--ascii", action="store_true", help="of that window: no glyphs, lines or braille")
    verbs = house.add_subparsers(dest="verb", metavar="[VERB]")
    for add in (_starting, _deciding, _looking_back, _proving, _keeping, _preparing):
        add(verbs)
    return house


def _starting(verbs: _Verbs) -> None:
    run = _verb(verbs, "run", "start a run from a config and open the window on it")
    run.add_argument("config", metavar="CONFIG", help="a file such as configs/lawbench-nano.yaml")
    run.add_argument("--name", metavar="N", help="the run's name (default: the config's, numbered)")
    run.add_argument("--gate", choices=("ask", "auto"), help="who answers at the gate (default: as the config says)")
    run.add_argument(
        "--headless", action="store_true", help="no window; do not wait at a gate: save it and exit with 3"
    )
    run.add_argument("--detach", action="store_true", help="run in the background; see it with attach")
    run.add_argument("--set", action="append", default=[], metavar="a.b=c", dest="overrides", help="override one key")

    resume = _verb(verbs, "resume", "go on with a paused, waiting, failed or killed run", run="RUN")
    resume.add_argument("--headless", action="store_true", help="do not wait at a gate: exit with 3")
    resume.add_argument("--wait", action="store_true", help=argparse.SUPPRESS)
    for verb in (run, resume):
        verb.add_argument(
            "--ascii",
            action="store_true",
            default=argparse.SUPPRESS,
            help="the window without glyphs, lines or braille",
        )
        verb.add_argument(
            "--accept-risk",
            action="append",
            default=[],
            metavar="ROW",
            dest="risks",
            help="go on though this row of `tasks check` fails",
        )
        verb.add_argument(
            "--reason",
            action="append",
            default=[],
            metavar="T",
            dest="reasons",
            help="why; once for each",
        )
    attach = _verb(verbs, "attach", "open the window on a run (default: the newest)", run="[RUN]")
    attach.add_argument("--ascii", action="store_true", default=argparse.SUPPRESS, help="no glyphs, lines or braille")
    attach.add_argument(
        "--read-only", action="store_true", help="the window, in which nothing can be decided or steered"
    )
    attach.add_argument("--plain", action="store_true", help="print lines instead, as without a terminal")
    serve = _verb(verbs, "serve", "the window in a browser (default: on the newest run)", run="[RUN]")
    serve.add_argument("--host", default="127.0.0.1", metavar="H", help="default: this machine only")
    serve.add_argument("--port", type=_whole(1, 65535), default=8000, metavar="P")
    serve.add_argument("--read-only", action="store_true", help="a page to look at: nothing can be decided or steered")
    serve.add_argument("--url", metavar="URL", help="where browsers find it, such as https://name behind a proxy")


def _deciding(verbs: _Verbs) -> None:
    _verb(verbs, "ls", "list the runs", json=True)
    _verb(verbs, "show", "a run's generations, scores and cost (default: the newest)", run="[RUN]", json=True)
    _verb(verbs, "pending", "gates that wait for a person, with their hashes and diffs", json=True)

    _verb(
        verbs,
        "audit",
        "who said yes to what, and whether the log still is what it was; exit 1 if not",
        run="RUN",
        json=True,
    )

    approve = _verb(verbs, "approve", "say yes at a gate")
    reject = _verb(verbs, "reject", "say no at a gate")
    defer = _verb(verbs, "defer", "put a gate off; it stays open")
    for verb in (approve, reject, defer):
        verb.add_argument("gate", metavar="GATE", help="GATE, or RUN/GATE when several runs wait")
    for verb in (approve, reject):
        verb.add_argument("--hash", required=True, metavar="H", help="the hash you looked at (8 characters or more)")
    part = approve.add_argument_group("a yes to something else, which is checked, tried and asked about anew")
    part.add_argument("--hunks", metavar="1,3", help="these hunks of the patch alone")
    part.add_argument("--patch", metavar="FILE", help="this patch in the place of the proposed one; - reads the input")
    part.add_argument(
        "--plan", metavar="FILE", help="fields of the plan, as YAML or JSON, in place of the proposed ones"
    )
    part.add_argument(
        "--set", action="append", default=[], metavar="FIELD=V", dest="fields", help="one field of the plan"
    )
    approve.add_argument(
        "--until",
        metavar="LIMITS",
        help="and what comes after it, as in levers=harness+weights,steps=5,wall=2h,tokens=2M,preview=1,dev=45",
    )
    approve.add_argument("--note", default="", metavar="T", help="a note for the record and the Feedback-Agent")
    reject.add_argument("--other-lever", action="store_true", help="and none of this lever's on this generation")
    reject.add_argument("--reason", default="", metavar="T", dest="note", help="why not; the Feedback-Agent reads it")

    digest = _verb(verbs, "digest", "what was decided meanwhile, why, and what it cost; on one page", "RUN", json=True)
    digest.add_argument(
        "--since", default="last", metavar="12h|last", help="30m, 12h, 2d, all, or when you last looked (default)"
    )

    contract = _verb(verbs, "contract", "the standing yes of `approve --until`: what is left of it", run="RUN")
    does = contract.add_mutually_exclusive_group()
    does.add_argument("--end", action="store_true", help="end it: gates ask again")
    does.add_argument("--until", metavar="LIMITS", help="make one while no gate waits; limits as of approve")

    own = _verb(verbs, "propose", "a patch of yours as the next proposal, or an earlier one revived", "RUN", json=True)
    what = own.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--patch", metavar="FILE", help="a unified diff of the harness, paths as in the harness; - reads the input"
    )
    what.add_argument("--revive", metavar="P|GEN", help="a refused or rolled-back step, made to fit what serves now")
    own.add_argument("--title", default="", metavar="T", help="what it does (--revive: as before)")
    own.add_argument("--reason", default="", metavar="T", help="why; the Feedback-Agent reads it")
    own.add_argument("--yes", action="store_true", help="really; without it what would be proposed is shown")

    _verb(verbs, "pause", "finish the episodes under way, then hold", run="RUN")
    _verb(verbs, "stop", "end a run early; test stays sealed", run="RUN")
    _verb(verbs, "stop-training", "end the training under way early; its best adapter is measured", run="RUN")


def _looking_back(verbs: _Verbs) -> None:
    _verb(verbs, "history", "how the harness evolved, refused and rolled-back steps included", run="RUN", json=True)
    diff = _verb(verbs, "diff", "the harness diff between two generations or proposals", run="RUN", json=True)
    diff.add_argument("a", metavar="A", help="a generation (g0) or proposal (p-…)")
    diff.add_argument("b", metavar="B")
    _verb(verbs, "decisions", "every step: promised against measured, who decided and why", run="RUN", json=True)
    blame = _verb(verbs, "blame", "which generation wrote each line of a file, and what it gained", "RUN", json=True)
    blame.add_argument("generation", metavar="GEN", help="a generation (g2) or proposal (p-…)")
    blame.add_argument("file", metavar="FILE", nargs="?", help="of the harness (default: lists its files)")
    samples = _verb(verbs, "samples", "rollouts of a training to read: best, worst, random, changed", "RUN", json=True)
    samples.add_argument("step", nargs="?", metavar="STEP", help="a weights step (p-…; default: the newest)")
    samples.add_argument(
        "--at", type=_whole(), metavar="N", help="only rollouts made N optimizer steps into the training"
    )
    rollback = _verb(verbs, "rollback", "make an earlier generation the incumbent again", run="RUN")
    branch = _verb(verbs, "branch", "a new run that starts from a generation of this one", run="RUN")
    for verb in (rollback, branch):
        verb.add_argument("generation", metavar="GEN", help="such as g2")
    branch.add_argument("--name", metavar="N", help="the new run's name (default: RUN-GEN, numbered)")
    branch.add_argument(
        "--set", action="append", default=[], metavar="a.b=c", dest="overrides", help="override one key"
    )

    delete = _verb(verbs, "delete", "delete a run with its folder, branch, tags and worktree", run="RUN")
    delete.add_argument("--yes", action="store_true", help="really; without it nothing is done")
    replay = _verb(verbs, "replay", "play a run, or a recording of one, in the window", run="[RUN]")
    replay.add_argument("--save", metavar="FILE", help="write it as one file instead, to be played elsewhere")
    replay.add_argument(
        "--rollouts", type=_whole(), metavar="N", help="with --save: keep whole at most N of the trainings' rollouts"
    )
    replay.add_argument(
        "--redact", action="store_true", help="with --save: without the words of cases, answers, agents and people"
    )
    _verb(verbs, "demo", "a real recorded run that came with the package, in the window")

    memory = _verb(verbs, "memory", "what agents of a task are told of earlier steps; yours to edit", json=True)
    memory.add_argument("task", metavar="TASK")
    change = memory.add_mutually_exclusive_group()
    change.add_argument("--add", metavar="TEXT", help="a constraint of yours, told to every agent of the task")
    change.add_argument("--forget", metavar="ID", help="strike an item out: agents are no longer told")
    change.add_argument("--restore", metavar="ID", help="tell agents of a struck-out item again")
    change.add_argument("--edit", action="store_true", help="all of that in $EDITOR")
    change.add_argument("--rebuild", action="store_true", help="read it off the runs again; your edits stay")

    export = _verb(verbs, "export", "take a generation out of its workspace", run="RUN", json=True)
    export.add_argument("generation", metavar="GEN", nargs="?", help="such as g2")
    form = export.add_mutually_exclusive_group(required=True)
    form.add_argument("--hf", action="store_true", help="its adapter, as a folder that PEFT and vLLM load")
    form.add_argument("--bundle", action="store_true", help="harness and policy, to answer new cases with one command")
    form.add_argument("--patches", metavar="DIR", help="the harness' way there, as mails that git am takes")
    export.add_argument(
        "--redact",
        action="store_true",
        help="with --bundle and no GEN: the whole run without private texts, a file that `replay` plays",
    )
    export.add_argument("--merge", action="store_true", help="with --hf: one model, the adapter merged into the base")
    export.add_argument(
        "--out", metavar="PATH", help="a new folder; a bundle may be a file, X.tar.gz (default: RUN-GEN-… here)"
    )


def _proving(verbs: _Verbs) -> None:
    report = _verb(
        verbs, "report", "a run as report.html and report.md, whole and self-contained", run="RUN", json=True
    )
    report.add_argument("--out", metavar="DIR", help="where to (default: RUN-report here)")
    compare = _verb(verbs, "compare", "two runs side by side, and the config where it differs", run="RUN", json=True)
    compare.add_argument("other", metavar="RUN")
    again = _verb(verbs, "reproduce", "measure a generation anew and compare; exit 1 if it differs", "RUN", json=True)
    again.add_argument("generation", metavar="GEN", help="such as g2")
    again.add_argument("--split", choices=("dev", "train", "hidden"), default="dev", help="test is never opened again")
    again.add_argument(
        "--seed", type=_whole(0, 2**32 - 1), metavar="N", help="of the sampling (default: the run's own)"
    )
    apart = _verb(verbs, "attribute", "measure what is missing to tell two kept levers apart", run="RUN", json=True)
    apart.add_argument("steps", nargs="*", metavar="GEN", help="the two generations (default: every kept pair)")
    more = _verb(verbs, "more-evidence", "a gain on dev again under other sampling seeds", run="RUN", json=True)
    what = "a generation, or a gate about a measured result (default: the open gate, which its engine puts again with more)"
    more.add_argument("what", nargs="?", metavar="GATE|GEN", help=what)
    more.add_argument("--seeds", type=_whole(1, 1000), metavar="K", help="how many (default: 2, of an open gate 1)")


def _keeping(verbs: _Verbs) -> None:
    look = "whether a run's store, git, adapters and digests are whole and agree; exit 1 if not"
    verify = _verb(verbs, "verify", look, run="RUN", json=True)
    verify.add_argument("--mend", action="store_true", help="first bring branch, tags and notes in line with the log")
    backup = _verb(verbs, "backup", "a run, also one that is being written, as one file with all it needs to go on")
    backup.add_argument("run", nargs="?", metavar="RUN")
    backup.add_argument("out", metavar="OUT", help="the file")
    backup.add_argument("--all", action="store_true", help="every run of the workspace")
    restore = _verb(verbs, "restore", "lay a backup out in a workspace; a run that is there already is refused")
    restore.add_argument("file", metavar="FILE")
    gc = _verb(verbs, "gc", "what no run refers to: listed with its size, deleted after a yes", json=True)
    gc.add_argument("--dry-run", action="store_true", help="only list it")
    gc.add_argument("--yes", action="store_true", help="do not ask")


def _preparing(verbs: _Verbs) -> None:
    tasks = _verb(verbs, "tasks", "list tasks, fetch their data, check it, make one of your own", json=True)
    tasks.add_argument("action", choices=("ls", "get", "check", "new", "import"))
    tasks.add_argument("task", nargs="?", metavar="TASK|FOLDER", help="check: a task of yours is named by its folder")
    tasks.add_argument("--cases", metavar="FILE", help="new: a JSON object a line, {inputs or input, gold, split?}")
    tasks.add_argument("--reward", metavar="FILE.py:FN", help="new: FN(answer, case) gives 0 to 1")
    tasks.add_argument("--command", metavar="'PROGRAM ARGS'", help="new: in place of --reward; JSON in, JSON out")
    tasks.add_argument("--url", metavar="URL", help="new: in place of --reward; asked by POST, in JSON")
    tasks.add_argument("--agent", metavar="'PROGRAM ARGS'", help="new: your own agent as the first harness")
    tasks.add_argument("--agent-dir", metavar="DIR", help="new: the agent's folder, which is copied; . by default")
    tasks.add_argument("--image", metavar="IMAGE", help="new: --command runs in this container image")
    tasks.add_argument("--description", metavar="TEXT", help="new: what agents are told of the task")
    tasks.add_argument("--folder", metavar="DIR", help="new, import: where to; ./TASK by default")
    tasks.add_argument("--name", metavar="NAME", help="import: what to call it; its folder's name by default")
    tasks.add_argument(
        "--verifiers", metavar="ENV", help="import: an environment of the verifiers package, not a folder"
    )
    tasks.add_argument("--arguments", metavar="JSON", default="{}", help="import --verifiers: of load_environment")
    tasks.add_argument("--requirements", metavar="FILE", help="new, import: the reward's own environment, pinned")
    tasks.add_argument("--at-once", type=_whole(1, 64), metavar="N", help="new: answers that are judged side by side")
    tasks.add_argument("--gpu", action="store_true", help="check: whether this machine can time TriMul on a GPU")
    tasks.add_argument("--wheel", metavar="FILE", help="get: use this file instead of downloading")
    plan = _verb(verbs, "plan", "what weights updates cost: memory, rollouts, time; exit 1 if one cannot be", json=True)
    plan.add_argument("what", metavar="RUN|CONFIG", help="a run (what it proposes, by what it measured) or a config")
    plan.add_argument("--set", action="append", default=[], metavar="a.b=c", dest="overrides", help="override one key")
    plan.add_argument("--gpu", metavar="H100x8", help="reckon with this machine instead of the one it runs on")
    plan.add_argument("--shape", metavar="FILE", help="the model's config.json, where its folder is not here")
    plan.add_argument("--algorithm", metavar="A", help="this one alone")
    agents = _verb(verbs, "agents", "what a model proposes on a recorded generation, or said in a run", json=True)
    agents.add_argument("action", choices=("try", "log"))
    agents.add_argument("what", metavar="CONFIG|RUN", help="try: the config that names the model; log: a run")
    agents.add_argument(
        "generation", nargs="?", metavar="RUN/GEN", help="try: such as lawbench-nano-1/g2; nothing is kept"
    )
    agents.add_argument(
        "--step", type=_whole(), metavar="N", help="log: only the making of step N; 0: the first harness"
    )
    config = _verb(verbs, "config", "your own settings: what they are, where they lie, what may be said", json=True)
    config.add_argument("action", choices=("show", "path", "schema"))
    config.add_argument("--keys", action="store_true", help="show: every key binding by its id")
    doctor = _verb(verbs, "doctor", "check this machine; each failing row names the fix", json=True)
    doctor.add_argument("--config", metavar="FILE", help="check it for this config: driver, GPUs, model, ports, plans")
    doctor.add_argument("--agents", action="store_true", help="with --config: one small call to each role's model")


def _verb(verbs: _Verbs, name: str, help_: str, run: str = "", json: bool = False) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=help_, description=help_[0].upper() + help_[1:] + ".")
    where = "default: $SIA_WORKSPACE, else ./.sia"
    verb.add_argument("--workspace", metavar="DIR", default=argparse.SUPPRESS, help=where)
    if run:
        verb.add_argument("run", metavar="RUN", **({"nargs": "?"} if run.startswith("[") else {}))  # type: ignore[arg-type]
    if json:
        verb.add_argument("--json", action="store_true", help="for machines")
    return verb
