"""A trajectory as lines to read: everything that went in and came out, in the order it happened."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from sia_tui.core.episodes import Attempt, Call, Score, ToolCall
from sia_tui.store.reader import EpisodeRow
from sia_tui.tui.pieces import ACCENT, BAD, DIM, GOOD, STRONG, WARN, Line, head, line, thousands, wrap
from sia_tui.tui.tokens import Texts, token_lines

LONGEST = 20_000
"""Characters of one text that are shown."""
UNBROKEN = 10 * LONGEST
"""Cells in which each line of a text has room: a mark for one character takes up to eight."""
_SEALED = ("hidden", "test")


def story(
    row: EpisodeRow,
    where: str,
    attempt: Attempt,
    score: Score,
    width: int,
    over: bool = False,
    texts: Texts | None = None,
) -> list[Line]:
    """The whole trajectory for `width` cells. `where`: what the episode was made for. Sealed cases stay so until `over`.
    With `texts` replies are told token by token."""
    if row.split in _SEALED and not over:
        return [line(("sealed until the run is over", WARN))]
    lines = [*_outcome(row, where, attempt, score), line()]
    for name, text in attempt.case.inputs.items():
        lines += [head("CASE", f"{row.case_id} · {name}"), *_text(text, width), line()]
    for number, call in enumerate(attempt.calls, 1):
        lines += [*_call(number, len(attempt.calls), call, width, score, texts), line()]
    for number, used in enumerate(attempt.tool_calls, 1):
        lines += [*_tool(number, used, width), line()]
    lines += _end(attempt, score, width, row.split)
    return lines


def _outcome(row: EpisodeRow, where: str, attempt: Attempt, score: Score) -> list[Line]:
    right = score.failure is None
    verdict = ("✓ right", f"bold {GOOD}") if right else (f"✗ {score.failure}", f"bold {BAD}")
    first = line(verdict, f"  reward {score.reward:g}", (f"   {where} · {row.split} · {row.id}", DIM))
    source = "" if row.source == "policy" else f" · answered by the {row.source}, not the policy"
    second = line(
        (
            f"{_count(len(attempt.calls), 'call')} · {_count(len(attempt.tool_calls), 'tool call')} · "
            f"{thousands(row.tokens)} tokens · "
            f"{attempt.seconds:.2f} s · {attempt.isolation}",
            DIM,
        ),
        (source, WARN),
    )
    return [first, second]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _text(text: str, width: int, style: str = "") -> Iterator[Line]:
    for part in wrap(text[:LONGEST], width - 2):
        yield line("  ", (part, style))
    if len(text) > LONGEST:
        yield line((f"  … {thousands(len(text) - LONGEST)} more characters; whole in run.db", WARN))


def _call(number: int, of: int, call: Call, width: int, score: Score, texts: Texts | None) -> Iterator[Line]:
    yield head(
        f"CALL {number} of {of}", f"temperature {call.temperature:g} · top_p {call.top_p:g} · {call.seconds:.2f} s"
    )
    for message in call.messages:
        yield line((str(message.get("role", "?")), ACCENT))
        yield from _text(str(message.get("content", "")), width)
    right = score.failure is None
    yield line(
        ("✓ " if right else "✗ ", GOOD if right else BAD),
        ("reply", f"bold {GOOD if right else BAD}"),
        (f"  {_sampling(call)}", DIM),
    )
    if texts is not None:
        yield from token_lines(call, texts, width)
    else:
        yield from _text(call.text, width, GOOD if right else BAD)


def _sampling(call: Call) -> str:
    adapter = f" · adapter {call.adapter[:12]}" if call.adapter else ""
    told = f"{call.finish_reason} · {len(call.prompt_ids)} + {len(call.completion_ids)} tokens, limit {call.max_tokens}"
    return f"{told}{_sureness(call)}{adapter}"


def _sureness(call: Call) -> str:
    """How likely the reply was to the policy itself."""
    finite = [value for value in call.logprobs if math.isfinite(value)]
    if not finite:
        return ""
    mean, least = sum(finite) / len(finite), min(finite)
    return f" · mean logprob {mean:.2f} · least likely token {100 * math.exp(min(0.0, least)):.1f} %"


def _tool(number: int, used: ToolCall, width: int) -> Iterator[Line]:
    yield head(f"TOOL {number}", f"{used.name} · {used.seconds:.3f} s")
    yield line(("arguments", DIM))
    yield from _text(used.arguments, width)
    yield line(("result", DIM))
    yield from _text(used.result, width)


def _end(attempt: Attempt, score: Score, width: int, split: str) -> Iterator[Line]:
    if attempt.error is not None:
        yield head("HARNESS ERROR", attempt.error.kind)
        yield from _text(attempt.error.message, width, BAD)
        yield from _text(attempt.error.traceback, width)
        yield line()
    yield head("ANSWER", f"by the {attempt.source}")
    yield from _text("none" if attempt.answer is None else attempt.answer, width, STRONG)
    if split == "train" and "expected" in score.detail:
        yield line(("expected", DIM))
        yield from _text(str(score.detail["expected"]), width, GOOD)
    yield from _pairs("SCORE", {"reward": score.reward, "failure": score.failure, **score.metrics}, width)
    yield from _pairs("NOTES", attempt.notes, width)


def _pairs(name: str, values: Mapping[str, Any], width: int) -> Iterator[Line]:
    if values:
        yield line()
        yield head(name)
        for key, value in values.items():
            yield from _text(f"{key}: {_plain(value)}", width)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
