"""Finished episodes and why they fail, a line each."""

from __future__ import annotations

from collections.abc import Mapping

from sia_tui.core.state import State
from sia_tui.store.reader import EpisodeRow
from sia_tui.tui.pieces import BAD, DIM, GOOD, Line, Piece, bar, fit, line, thousands
from sia_tui.tui.view import View, clock

SEALED = ("hidden", "test")


def episode_line(row: EpisodeRow, width: int, over: bool) -> Line:
    """When, which case, what it earned, what it cost, what it answered; of sealed splits nothing before the run is over."""
    if row.split in SEALED and not over:
        return line((f"{clock(row.at)} ", DIM), (fit(f"{row.split}: sealed until the run is over", width - 9), DIM))
    good = row.reward >= 0.5
    mark = ("✓" if good else "✗", GOOD if good else BAD)
    wide = width >= 46
    head: list[Piece] = [
        (f"{clock(row.at)} ", DIM),
        fit(row.case_id, 12 if wide else 10),
        " ",
        mark,
        f" {row.reward:.1f} ",
    ]
    if wide:
        head.append((f"{thousands(row.tokens):>7} tok ", DIM))
    left = width - sum(len(piece if isinstance(piece, str) else piece[0]) for piece in head)
    said = row.answer if row.answer is not None else row.failure or "no answer"
    return line(*head, (fit(said, max(4, left)), "" if row.answer is not None else BAD))


def failures(state: State) -> tuple[str, Mapping[str, int]]:
    """Why episodes fail, and of what this is said: the step under way as the agent read it, else the incumbent."""
    step = state.current
    if step is not None and step.proposal.clusters:
        wrong = {kind: count for kind, count in step.proposal.clusters.items() if kind != "right"}
        return f"{step.id}, as the agent read them", wrong
    for generation in reversed(state.generations):
        for split in ("dev", "train"):
            if found := generation.results.get(split):
                return f"g{generation.index} on {split}, n = {found.n}", found.failures
    return "nothing measured yet", {}


def failure_lines(view: View, width: int, height: int) -> list[Line]:
    """The most frequent ones with bars; the rest in one line."""
    _, found = failures(view.state)
    ranked = sorted(((name, count) for name, count in found.items() if count), key=lambda item: -item[1])
    if not ranked:
        return [line(("none", DIM))] if height else []
    most, name_room = ranked[0][1], min(26, max(8, width // 2))
    shown = ranked if len(ranked) <= height else ranked[: max(0, height - 1)]
    room = max(1, width - name_room - 8)
    lines = [
        line(fit(name, name_room), f" {thousands(count):>6} ", (bar(count / most, room), "$warning"))
        for name, count in shown
    ]
    if rest := sum(count for _, count in ranked[len(shown) :]):
        lines.append(line((f"{len(ranked) - len(shown)} others: {thousands(rest)}", DIM)))
    return lines[:height]
