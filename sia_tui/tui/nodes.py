"""A cluster's nodes and the policy's replicas: two lines of what a person needs, and a line for each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sia_tui.core.machine import Usage
from sia_tui.core.nodes import Node
from sia_tui.core.replicas import Replica, Serving
from sia_tui.core.text import one_line
from sia_tui.tui.pieces import BAD, DIM, GOOD, HEAD, STRONG, WARN, Line, Piece, fit, line, thousands
from sia_tui.tui.view import View, age_s

STALE_S = 30.0
_HEAD = 10
_NAME = 14


def there(view: View) -> bool:
    """Whether more than one machine works for the run, or more than one server answers."""
    return bool(view.state.nodes) or len(view.state.replicas) > 1


def usage(view: View, now: datetime) -> Usage | None:
    """What the engine measured lately; an old reading is worth nothing."""
    found = view.machine
    return found.usage if found is not None and view.alive and age_s(found.at, now) <= STALE_S else None


def summary_lines(view: View, now: datetime, width: int) -> list[Line]:
    """Nothing for a run of one machine and one server."""
    found, room = usage(view, now), max(4, width - _HEAD)
    lines = []
    if view.state.nodes:
        said, odd = _nodes(view.state.nodes, found)
        lines.append(line(("NODES     ", HEAD), (fit(said, room), WARN if odd else "")))
    if len(view.state.replicas) > 1:
        said, odd = _replicas(view.state.replicas, found)
        lines.append(line(("REPLICAS  ", HEAD), (fit(said, room), WARN if odd else "")))
    return lines


def node_lines(view: View, now: datetime, width: int, height: int) -> list[Line]:
    """Each node, then each replica; where there is no room for all, those with something amiss come first."""
    found = usage(view, now)
    busy = found.busy if found else {}
    doing = {one.number: one for one in found.serving} if found else {}
    rows = [(node.alive, _node(node, busy.get(node.name), width)) for node in view.state.nodes]
    if len(view.state.replicas) > 1:
        rows += [
            (not one.out, _replica(number, one, doing.get(number), width))
            for number, one in enumerate(view.state.replicas)
        ]
    if len(rows) > height:
        rows.sort(key=lambda row: row[0])
        left = len(rows) - max(0, height - 1)
        return [*(row for _, row in rows[: max(0, height - 1)]), line((f"{left} others", DIM))]
    return [row for _, row in rows]


def _nodes(nodes: tuple[Node, ...], found: Usage | None) -> tuple[str, bool]:
    work, away = [node for node in nodes if node.alive], [node for node in nodes if not node.alive]
    slots, gpus = sum(node.slots for node in work), sum(node.gpus for node in work)
    anew = sum(node.reissued for node in nodes)
    without = f" without {', '.join(one_line(one.name, 12) for one in away)}" if away else ""
    said = [f"{len(work)} of {len(nodes)} work{without}"]
    said += [f"{sum(found.busy.values())} of {slots} slots busy, {thousands(found.queue)} wait"] if found else []
    said += [f"{gpus} GPUs"] if gpus else []
    said += [f"{thousands(anew)} begun anew"] if anew else []
    said += [f"{one_line(one.name, 12)} {one.standing}: {one.why}" for one in away]
    return " · ".join(said), bool(away)


def _replicas(replicas: tuple[Replica, ...], found: Usage | None) -> tuple[str, bool]:
    out = [(number, one) for number, one in enumerate(replicas) if one.out]
    anew = sum(one.reissued for one in replicas)
    without = f" without {', '.join(str(number) for number, _ in out)}" if out else ""
    said = [f"{len(replicas) - len(out)} of {len(replicas)} answer{without}"]
    if found is not None and found.serving:
        said.append(f"{sum(one.requests for one in found.serving)} requests under way")
        said.append(f"{thousands(sum(one.tokens_per_second for one in found.serving))} tok/s")
    said += [f"{thousands(anew)} asked anew"] if anew else []
    said += [f"{number} out: {one.out}" for number, one in out]
    return " · ".join(said), bool(out)


def _node(node: Node, busy: int | None, width: int) -> Line:
    name: Piece = (fit(node.name, _NAME), STRONG)
    if not node.alive:
        return line(("✗ ", BAD), name, " ", (fit(f"{node.standing}: {node.why}", max(4, width - _NAME - 3)), WARN))
    said = f"{'–' if busy is None else busy}/{node.slots} busy"
    said += f"  {node.gpus} GPUs" if node.gpus else ""
    said += f"  {thousands(node.reissued)} begun anew" if node.reissued else ""
    return line(("● ", GOOD), name, " ", fit(said, max(4, width - _NAME - 3)))


def _replica(number: int, one: Replica, doing: Serving | None, width: int) -> Line:
    name: Piece = (fit(" ".join(filter(None, ["replica", str(number), one.where])), _NAME + 8), STRONG)
    room = max(4, width - _NAME - 11)
    if one.out:
        behind = doing is not None and doing.standing == "behind"
        return line(("◌ " if behind else "✗ ", BAD), name, " ", (fit(one.out, room), WARN))
    return line(("● ", GOOD), name, " ", fit(" ".join(_doing(doing)), room))


def _doing(doing: Serving | None) -> Iterator[str]:
    if doing is None:
        yield "–"
        return
    yield one_line(doing.adapter, 14) if doing.adapter else "base"
    yield f"{doing.requests} under way"
