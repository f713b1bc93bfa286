"""The reading verbs: standard library only, so that they answer at once."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sia_tui.cli.again import evidence_data, evidences, gain_told, pairs_told, remeasures
from sia_tui.cli.main import DONE, UsageError
from sia_tui.cli.table import table
from sia_tui.core.clock import when
from sia_tui.core.state import State
from sia_tui.core.summary import gate, summary
from sia_tui.core.telling import percent, points, tell
from sia_tui.core.text import clean, one_line
from sia_tui.store.asked import is_anothers
from sia_tui.store.lock import is_held
from sia_tui.store.place import misplaced, nameless
from sia_tui.store.reader import RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace


def ls(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    pass_over(workspace)
    runs = [_listed(workspace.run(name)) for name in workspace.run_names()]
    rows = [(r["run"], r["task"], r["status"], r["steps"], _mean(r["dev"]), when(r["created_at"])) for r in runs]
    _print(options, runs, lambda: table(("run", "task", "status", "steps", "dev", "created"), rows))
    return DONE


def _listed(paths: RunPaths) -> dict[str, Any]:
    try:
        state = read(paths)
    except (StoreError, ValueError) as error:
        return {
            "run": paths.name,
            "task": "?",
            "status": f"unreadable: {one_line(str(error), 60)}",
            "steps": 0,
            "dev": None,
            "created_at": "",
            "engine": "?",
        }
    _warn_of(paths, state)
    told = told_of(paths, state)
    best = told["generations"][state.incumbent]["dev"] if state.incumbent is not None else None
    return {
        "run": paths.name,
        "task": state.task,
        "status": told["status"],
        "steps": len(state.steps),
        "dev": best,
        "created_at": state.created_at,
        "engine": told["engine"],
    }


def show(options: argparse.Namespace) -> int:
    paths = Workspace.locate(options.workspace).existing(options.run)
    state = read(paths)
    _warn_of(paths, state)
    told = _with_again(paths, state)
    _print(options, told, lambda: _shown(told))
    return DONE


def _with_again(paths: RunPaths, state: State) -> dict[str, Any]:
    """The summary, and what was measured again beside the run."""
    again = remeasures(paths, state)
    apart, more = pairs_told(again, state), [evidence_data(found) for found in evidences(again, state)]
    return told_of(paths, state) | {"kept_pairs": apart, "more_evidence": more}


def told_of(paths: RunPaths, state: State) -> dict[str, Any]:
    """The summary, with what only the engine's lock can tell: a run that says `running` and has no engine does not."""
    told, alive = summary(state), is_held(paths.lock)
    if told["status"] == "running" and not alive:
        told["status"] = "interrupted" if state.engine else "not started"
    return told | {"engine": "alive" if alive else "none"}


def shown(paths: RunPaths) -> str:
    """What `show` prints."""
    return _shown(_with_again(paths, read(paths)))


def _shown(told: dict[str, Any]) -> str:
    lines = [
        f"run {told['run']} · task {told['task']} · {told['status']}"
        + (f" · {one_line(told['stop_reason'], 400)}" if told["stop_reason"] else "")
    ]
    rows = [
        (
            ("▸" if g["index"] == told["incumbent"] else " ") + f"g{g['index']}",
            g["lever"],
            one_line(g["title"], 48),
            _interval(g["dev"]),
            _gain(g["gain"]),
            _mean(g["hidden"]),
            percent(g["dev"]["tool_share"]) if g["dev"] else "–",
            {None: "…", True: "kept", False: "rolled back"}[g["kept"]],
            g["verdict"]["by"] if g["verdict"] else "",
            g["commit"][:8],
        )
        for g in told["generations"]
    ]
    lines.append(
        table(("", "lever", "step", "dev [95 %]", "gain [95 %]", "hidden", "no policy", "", "verdict", "commit"), rows)
    )
    for made in told["attributions"]:
        lines += ["", f"{made['title']}: which lever", *made["table"], ""]
    for made in told["traced"]:
        lines += [f"{one_line(made['title'], 60)}, hunk by hunk:", *(f"  {one_line(line)}" for line in made["lines"])]
    for pair in told["kept_pairs"]:
        lines += [
            "",
            f"g{pair['between']} and g{pair['new']}, kept one after the other: which lever",
            *pair["table"],
            "",
        ]
    for found in told["more_evidence"]:
        seeds, pooled = len(found["draws"]), gain_told(found["pooled"])
        lines.append(f"g{found['candidate']} over g{found['incumbent']} on dev under {seeds} sampling seeds: {pooled}")
    lines += [f"refused: {one_line(r['title'], 60)} ({r['by']}: {one_line(r['reason'], 100)})" for r in told["refused"]]
    lines += _nodes(told["nodes"]) + _replicas(told["replicas"])
    lines += [f"alarm: {a['kind']}: {one_line(a['detail'], 300)}" for a in told["alarms"]]
    lines += _evaluator(told["evaluator"])
    if told["contract"]:
        lines.append(f"contract of {told['contract']['by']}: {told['contract']['left']}")
    if told["waiting"]:
        asked = told["waiting"]
        lines.append(f"waiting: {asked['gate']} {asked['hash'][:12]}: {one_line(asked['title'])}; see: sia-tui pending")
    nulls = [(name, _percent(x["dev"]), _percent(x["test"])) for name, x in told["null_baselines"].items()]
    if nulls:
        lines += ["", table(("null baseline", "dev", "test"), nulls)]
    if told["test"]:
        test = told["test"]
        before = (
            f"; other runs of this workspace had opened it before: {test['opened_before']}"
            if test["opened_before"]
            else ""
        )
        lines.append(f"test, opened once for g{test['generation']}: {_interval(test)}, n = {test['n']}{before}")
    if told["manifest"]:
        lines.append("hashes: " + ", ".join(f"{name} {hash[:12]}" for name, hash in told["manifest"].items()))
    cost = told["cost"]
    gpus = f", {cost['gpu_hours']:.1f} GPU-hours" if cost["gpu_hours"] else ""
    lines.append(f"cost: {cost['wall_s'] / 60:.1f} min{gpus}, {cost['episodes']} episodes, {cost['tokens']} tokens")
    if cost["calls"]:
        said = f"{cost['calls']} replies, {cost['agent_tokens']} tokens, {cost['money']:.2f} $ where prices are known"
        lines.append(f"agents' models: {said}; what was said: sia-tui agents log {told['run']}")
    return "\n".join(lines)


def _nodes(told: Sequence[dict[str, Any]]) -> list[str]:
    """Machines of a cluster; none where the run works on one."""
    rows = [
        (
            one_line(node["name"], 30),
            node["standing"],
            node["slots"],
            node["gpus"],
            node["lost"],
            node["reissued"],
            one_line(node["why"], 100),
        )
        for node in told
    ]
    return ["", table(("node", "", "slots", "GPUs", "losses", "begun anew", ""), rows)] if rows else []


def _replicas(told: Sequence[dict[str, Any]]) -> list[str]:
    """Servers that answer as the policy; nothing for one alone."""
    rows = [
        (
            number,
            one_line(one["where"], 30),
            "out" if one["out"] else "answers",
            one["lost"],
            one["reissued"],
            one_line(one["out"], 100),
        )
        for number, one in enumerate(told)
    ]
    return ["", table(("replica", "", "", "losses", "asked anew", ""), rows)] if len(rows) > 1 else []


def _evaluator(told: dict[str, Any]) -> list[str]:
    """What is not well with it, and what was accepted of that."""
    odd = [row for row in told["findings"] or () if row["level"] != "ok"]
    lines = [f"evaluator: {row['level']} {row['row']}: {one_line(row['found'], 200)}" for row in odd]
    return lines + [
        f"accepted risk: {risk['row']} — {one_line(risk['reason'], 200)} ({risk['by']}, {when(risk['at'])})"
        for risk in told["accepted"]
    ]


def pending(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    there = [(paths, state) for paths, state in readable(workspace) if state.waiting]
    waiting = [_asked(paths, state) for paths, state in there if state.status in ("running", "paused")]
    _print(options, waiting, lambda: "\n\n".join(map(_question, waiting)) or "no gate is waiting")
    return DONE


def _asked(paths: RunPaths, state: State) -> dict[str, Any]:
    """The gate; about a measured result, with the same under other seeds where somebody asked for that."""
    again, measured = remeasures(paths, state), state.current.generation if state.current else None
    more = [evidence_data(found) for found in evidences(again, state) if found.candidate == measured]
    return gate(state) | {"more_evidence": more[0] if more else None}


def _question(asked: dict[str, Any]) -> str:
    seen, measured = asked["preview"], asked["measured"]
    lines = [f"{asked['run']}/{asked['gate']}  {asked['hash'][:12]}  {asked['lever']}: {one_line(asked['title'])}"]
    lines.append(one_line(asked["reason"], 2000))
    if made := asked["amended"]:
        gone = (
            f", without {', '.join(one_line(hunk['told'], 80) for hunk in made['dropped'])}" if made["dropped"] else ""
        )
        lines.append(f"amended:   {made['id']} as {made['by']} changed it{gone}")
    if asked["predicted_gain"] is not None:
        sees = f"; dev can tell about {points(asked['resolvable_gain'])} from noise" if asked["resolvable_gain"] else ""
        lines.append(f"predicted: {points(asked['predicted_gain'])} points{_within(asked['predicted_range'])}{sees}")
    lines += _record(asked)
    if seen:
        lines.append(
            f"preview:   {percent(seen['incumbent'])} → {percent(seen['candidate'])} on {seen['n']} train cases, "
            f"{points(seen['gain'])} [{points(seen['ci95'][0])}, {points(seen['ci95'][1])}], "
            f"fixed {seen['fixed']}, broke {seen['broke']}, "
            f"tokens a case {seen['tokens_before']:.0f} → {seen['tokens_after']:.0f}, "
            f"{percent(seen['tool_share'])} answered without the policy"
        )
    if asked["matched"]:
        lines.append(f"null:      {asked['matched']['told']}, for about its tokens")
    if asked["attribution"]:
        lines += asked["attribution"]
    elif measured:
        lines.append(f"measured:  {_gain(measured)} points on dev, n = {measured['n']}: {measured['outcome']}")
    if measured and measured["held"]:
        lines.append(f"held:      {one_line(measured['held'], 1000)}")
    lines += _more_evidence(asked)
    lines += [f"{light['level']:>5}  {light['name']}  {one_line(light['detail'], 1000)}" for light in asked["lights"]]
    if asked["pilot"]:
        lines += _planned(asked)
    if asked["patch"]:
        lines += ["", clean(asked["patch"]).rstrip()]
    name = f"{asked['run']}/{asked['gate']} --hash {asked['hash'][:12]}"
    return "\n".join([*lines, "", f"sia-tui approve {name}", f"sia-tui reject {name} --reason '…'"])


def _more_evidence(asked: dict[str, Any]) -> list[str]:
    """What the hash binds, what it does not, and how more is asked for."""
    lines = [f"more:      {one_line(found['told'], 300)}" for found in asked["under_seeds"]]
    lines += [f"noise:     {told}" for told in asked["noise"]]
    lines += [f"hunks:     {one_line(told, 200)}" for told in asked["traced"] or ()]
    found = asked["more_evidence"]
    if found is not None and len(found["draws"]) > len(asked["under_seeds"]) + 1:
        lines += [f"seed {draw['seed']}:    {gain_told(draw)}" for draw in found["draws"][1:]]
        lines.append(f"together:  {gain_told(found['pooled'])}, over {len(found['draws'])} seeds, beside the run too")
    more = asked["preview"] or asked["measured"]
    return [*lines, f"more of it: sia-tui more-evidence {asked['run']} {asked['gate']}"] if more else lines


def _within(bounds: Sequence[float] | None) -> str:
    return f" {_bounds(bounds, '+.1f')}" if bounds else ""


def _record(asked: dict[str, Any]) -> list[str]:
    """How far the prediction may be believed, and what would prove it wrong."""
    record, lines = asked["record"], []
    if asked["advice"]:
        lines.append(f"advisor:   {asked['advice']['told']}")
    if record:
        expected = record["expected_gain"]
        then = "" if expected is None else f"; expect {points(expected)}"
        lines.append(f"record:    {record['agent']}/{record['lever']}: {record['told']}{then}")
    if asked["refuted_by"]:
        lines.append(f"wrong if:  {one_line(asked['refuted_by'], 400)}")
    return lines


def _planned(asked: dict[str, Any]) -> list[str]:
    """The pilot, and the plan against the last one carried out."""
    seen, plan, last = asked["pilot"], asked["plan"], asked["last_plan"] or {}
    told = [
        f"pilot:     {seen['n']} train cases × {seen['samples']}: {percent(seen['pass_1'])} of the rollouts solve their case, "
        f"{percent(seen['pass_n'])} of the cases are solved at least once, {percent(seen['useful'])} of the groups teach",
        f"expected:  {seen['expected_s'] / 60:.1f} min{_hours(seen)}; the incumbent is not touched",
        clean(seen["page"]),
        "plan:",
    ]
    for name, value in plan.items():
        was = f"   was {last[name]}" if name in last and last[name] != value else ""
        told.append(f"  {name:<15} {value}{was}")
    return told


def _hours(seen: dict[str, Any]) -> str:
    return f", {seen['expected_gpu_hours']:.1f} GPU-hours" if seen["expected_gpu_hours"] else ""


def history(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    reader = RunReader(paths.db)
    told = [
        {"at": entry.at, "kind": type(entry.event).__name__, "text": text}
        for entry in reader.log()
        if (text := tell(entry.event))
    ]

    def lines() -> str:
        story = [f"{when(line['at'])}  {one_line(line['text'], 400)}" for line in told]
        how = f"git -C {workspace.harness_repository} log --graph --notes --exclude='refs/notes/*' --all"
        return "\n".join(story if is_anothers(paths) else [*story, "", f"the same in git, diffs included: {how}"])

    _print(options, told, lines)
    return DONE


def generation_index(state: State, name: str) -> int:
    """`g2` or `2`. Raises UsageError."""
    number = name.removeprefix("g")
    if not re.fullmatch(r"\d{1,9}", number) or int(number) >= len(state.generations):
        known = f"g0 … g{len(state.generations) - 1}" if state.generations else "none yet"
        raise UsageError(f"{state.run} has no generation {name}; there are: {known}")
    return int(number)


def readable(workspace: Workspace) -> Iterator[tuple[RunPaths, State]]:
    """Every run that can be read, newest first; one that cannot, or is not in its place, is named on stderr and passed over."""
    pass_over(workspace)
    for name in workspace.run_names():
        paths = workspace.run(name)
        try:
            state = read(paths)
        except (StoreError, ValueError) as error:
            print(f"sia-tui: passed over: {error}", file=sys.stderr)
            continue
        if (told := misplaced(paths, state.run)) is not None:
            print(f"sia-tui: passed over: {told}", file=sys.stderr)
            continue
        yield paths, state


def pass_over(workspace: Workspace) -> None:
    """Say which folders are no run's by their names."""
    for folder in workspace.misnamed():
        print(f"sia-tui: passed over: {nameless(folder)}", file=sys.stderr)


def _warn_of(paths: RunPaths, state: State) -> None:
    """It may be looked at, but nothing else."""
    if (told := misplaced(paths, state.run)) is not None:
        print(f"sia-tui: {told}", file=sys.stderr)


def read(paths: RunPaths) -> State:
    reader = RunReader(paths.db)
    try:
        return reader.state()
    finally:
        reader.close()


def _print(options: argparse.Namespace, told: object, lines: Callable[[], str]) -> None:
    print(json.dumps(told, ensure_ascii=False, indent=2) if options.json else lines())


def _percent(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _mean(found: dict[str, Any] | None) -> str:
    return _percent(found["mean"] if found else None)


def _interval(found: dict[str, Any] | None) -> str:
    return "–" if not found else f"{percent(found['mean'])} {_bounds(found['ci95'], '.1f')}"


def _gain(found: dict[str, Any] | None) -> str:
    return "" if not found else f"{points(found['gain'])} {_bounds(found['ci95'], '+.1f')}"


def _bounds(ci95: Sequence[float], form: str) -> str:
    return f"[{100 * ci95[0]:{form}}, {100 * ci95[1]:{form}}]"
