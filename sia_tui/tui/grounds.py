"""The evidence under a question: what was seen of it so far, on which cases, and what the agent points to."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from sia_tui.core.advice import Row, Section, page
from sia_tui.core.attribution import attribution
from sia_tui.core.attribution import told as attributed
from sia_tui.core.events import PilotDone
from sia_tui.core.meantime import unmatched, untraced
from sia_tui.core.memo import told
from sia_tui.core.plans import Pilot
from sia_tui.core.proposals import Preview
from sia_tui.core.pulls import said
from sia_tui.core.telling import percent, points, repeated, traced
from sia_tui.store.reader import EpisodeRow
from sia_tui.tui.advised import laid
from sia_tui.tui.asked import Question
from sia_tui.tui.pieces import (
    BAD,
    DIM,
    GOOD,
    STRONG,
    WARN,
    Line,
    Opens,
    bar,
    fit,
    head,
    interval,
    line,
    minutes,
    thousands,
    wrap,
)

_TONES = {"better": GOOD, "worse": BAD, "indecisive": WARN}
LIGHTS = {"ok": ("✓", GOOD), "amber": ("▲", WARN), "red": ("✗", BAD)}
_MOST = 200
"""Cases of one list that are shown; the rest is counted."""
_DRAWN = ("pass rates", "pass", "useful groups")
"""Rows of the page that the bars and the lines under them say already."""


def grounds(asked: Question, width: int) -> list[Line]:
    """Everything there is to weigh, most telling first, for a column of `width` cells."""
    step = asked.step
    pilot = _piloted(step.pilot, width) if step.pilot else []
    keeping = asked.gate.kind == "keep"
    promise, sides = _promise(asked, width), _sides(asked, width)
    sections = [
        _measured(asked) if keeping else [],
        _more(asked, width),
        _preview(asked, step.preview, width) if step.preview else [],
        *pilot[:1],
        *((sides, promise) if keeping else (promise, sides)),
        *pilot[1:],
        _again(asked, width),
        _criticised(asked, width),
        _evidence(asked, width),
        _why(asked, width),
        _checks(asked),
    ]
    lines: list[Line] = []
    for section in sections:
        lines += [line(), *section] if lines and section else section
    return lines


def _preview(asked: Question, seen: Preview, width: int) -> list[Line]:
    name = f"g{asked.state.incumbent}"
    room = max(4, width - 28)
    lines = [head("SEEN SO FAR", f"{seen.n} train cases, paired")]
    for label, mean in ((f"now {name}", seen.incumbent), ("patched", seen.candidate)):
        solved = f"{label:<8} {round(mean * seen.n):>4}/{seen.n} {percent(mean):>7} "
        lines.append(line(solved, (bar(mean, room), "$accent" if label == "patched" else DIM)))
    tone = GOOD if seen.lo > 0 else BAD if seen.hi < 0 else WARN
    lines.append(
        line(
            ("Δ ", DIM),
            (f"{points(seen.gain)} {interval(seen.lo, seen.hi)}", f"bold {tone}"),
            f"   fixed {len(seen.fixed)} · broke {len(seen.broke)}",
        )
    )
    lines.append(line(("a hint, not proof: these are train cases", DIM)))
    factor = seen.tokens_after / seen.tokens_before - 1 if seen.tokens_before else 0.0
    lines.append(
        line(
            ("tokens a case ", DIM),
            f"{thousands(seen.tokens_before)} → {thousands(seen.tokens_after)}",
            (f"  ({100 * factor:+.0f} %)", WARN if factor > 0.05 else ""),
        )
    )
    lines += _matched(asked, width)
    lines.append(line(("without the policy ", DIM), (percent(seen.tool_share), WARN if seen.tool_share > 0.5 else "")))
    return lines


def _matched(asked: Question, width: int) -> list[Line]:
    """What the incumbent makes of as many tokens: a patch that is not above that has bought its gain."""
    found, most = asked.step.matched, asked.config.evaluate.matched if asked.config else 0
    if found is not None:
        solved = f"{round(found.mean * found.n)}/{found.n} {percent(found.mean)}"
        told = f"as many tokens on g{found.generation}, the best of {found.samples}: {solved}; it takes the verifier to pick it"
    elif (samples := unmatched(asked.step, most)) and asked.gate.kind == "step":
        told = (
            f"as many tokens on g{asked.state.incumbent}, the best of {samples}: an engine measures it while this waits"
        )
    else:
        return []
    return [line((text, DIM if found is None else "")) for text in wrap(told, width)]


def _piloted(done: PilotDone, width: int) -> list[list[Line]]:
    """The page on which an algorithm is chosen, with bars in the place of its counts."""
    measured, *chosen = page(done.pilot, done.advised)
    rest = replace(measured, rows=tuple(row for row in measured.rows if row.label not in _DRAWN))
    bars = _pilot(done.pilot, done.expected_s, width)
    return [bars, *(laid(told, width) for told in (*chosen[:1], rest, *chosen[1:]))]


_NOTHING = "  teaches nothing"


def _pilot(pilot: Pilot, expected_s: float, width: int) -> list[Line]:
    room = max(4, width - 24 - len(_NOTHING))
    most = max(pilot.solved) or 1
    lines = [
        head("WILL IT LEARN", f"{pilot.n} cases × {pilot.samples}, paid"),
        line((f"solved of {pilot.samples:<4} cases", DIM)),
    ]
    for label, count, teaches in _buckets(pilot):
        style = "$accent" if teaches else DIM
        end = "" if teaches else _NOTHING
        lines.append(line(f"{label:>12}  {count:>4} ", (bar(count / most, room), style), (end, DIM)))
    tone = GOOD if pilot.useful >= 0.3 else WARN
    lines += [
        line(("useful groups ", DIM), (f"{percent(pilot.useful)}", f"bold {tone}"), ("  solved and not", DIM)),
        line(
            ("pass@1 ", DIM),
            (percent(pilot.pass_1), STRONG),
            (f"   pass@{pilot.samples} ", DIM),
            (percent(pilot.pass_n), STRONG),
            (f"   {_able(pilot)}", DIM),
        ),
        line(("expected ", DIM), (minutes(expected_s), STRONG), (" for the whole training", DIM)),
    ]
    return lines


def _buckets(pilot: Pilot) -> list[tuple[str, int, bool]]:
    """Cases by how often they were solved: one bar a count, or quarters when there are many samples."""
    n, solved = pilot.samples, pilot.solved
    if n <= 8:
        inner = [(str(k), solved[k], True) for k in range(1, n)]
    else:
        edges = sorted({1, *(round(n * part / 4) for part in (1, 2, 3)), n})
        inner = [
            (f"{a}–{b - 1}" if b - 1 > a else str(a), sum(solved[a:b]), True) for a, b in itertools.pairwise(edges)
        ]
    return [("0 never", solved[0], False), *inner, (f"{n} always", solved[n], False)]


def _able(pilot: Pilot) -> str:
    if pilot.pass_n == 0:
        return "only partial credit" if pilot.useful else "nothing to reinforce"
    return "able, unreliable" if pilot.pass_n - pilot.pass_1 > 0.15 else "little between once and often"


def _measured(asked: Question) -> list[Line]:
    found = asked.step.measured
    if found is None:
        return []
    apart = attribution(asked.state, asked.step)
    return [
        head("MEASURED", f"{found.n} dev cases, paired, g{found.generation} against its parent"),
        line(
            ("Δ ", DIM),
            (f"{points(found.gain)} {interval(found.lo, found.hi)}", f"bold {WARN}"),
            f"   fixed {len(found.fixed)} · broke {len(found.broke)}",
        ),
        line(("the interval holds 0: dev cannot tell", DIM)),
        *(line(text) for text in (attributed(apart) if apart else ())),
    ]


def _more(asked: Question, width: int) -> list[Line]:
    """The same under other seeds; which hunks the changes came through."""
    step = asked.step
    lines: list[Line] = []
    for found in step.evidence:
        tone = _TONES.get(found.outcome, "")
        lines += [
            line((f"seed {found.seed}  ", DIM), found.drawn.told),
            line((f"{found.draws} seeds  ", DIM), (found.pooled.told, f"bold {tone}"), f"  {found.outcome}"),
            line((f"fixed {found.fixed} · broke {found.broke} · {found.moved} cases changed with the seed", DIM)),
        ]
    lines = [head("UNDER OTHER SEEDS", "pooled by case"), *lines] if lines else []
    if step.traced:
        lines.append(head("HUNK BY HUNK", f"{len(step.traced.hunks)} left out in turn"))
        lines += [line(text) for told in traced(step.traced) for text in wrap(told, width)]
    return lines


def _again(asked: Question, width: int) -> list[Line]:
    """How far the incumbent's own score moves, measured while the question waits."""
    told = [line(text) for one in asked.state.repeats for text in wrap(repeated(one), width)]
    return [head("WHILE THIS WAITS", "how far a score moves by chance"), *told] if told else []


def _sides(asked: Question, width: int) -> list[Line]:
    """The cases that changed sides: by the measurement if there is one, else by the preview."""
    found = asked.step.measured or asked.step.preview
    if found is None:
        return []
    lines = _cases(asked, "BROKE", "✗", BAD, found.broke)
    gap = [line()] if lines and found.fixed else []
    lines += [*gap, *_cases(asked, "FIXED", "✓", GOOD, found.fixed)]
    why = untraced(asked.step, asked.config.evaluate.trace if asked.config else 1)
    told = wrap(f"not traced hunk by hunk: {why}", width) if lines and why else []
    return [*lines, *(line((text, DIM)) for text in told)]


def _cases(asked: Question, name: str, glyph: str, tone: str, cases: Sequence[str]) -> list[Line]:
    if not cases:
        return []
    lines = [head(f"{name} {len(cases)}", "⏎ reads both answers")]
    for case in cases[:_MOST]:
        row = asked.found.by_case.get(case)
        lines.append(line((f"{glyph} ", tone), fit(case, 17), " ", _outcome(row), opens=Opens("case", case)))
    left = len(cases) - _MOST
    return [*lines, line((f"… {left} more", DIM))] if left > 0 else lines


def _outcome(row: EpisodeRow | None) -> str:
    if row is None:
        return ""
    return f"{row.failure or 'right'} · {row.answer or '–'}"


def _evidence(asked: Question, width: int) -> list[Line]:
    pilot = asked.step.pilot
    paid = pilot.pilot.episodes if pilot else ()
    lines: list[Line] = []
    for name, ids in (("BEST-PAID ROLLOUTS", paid), ("THE AGENT POINTS TO", asked.step.proposal.evidence)):
        if not ids:
            continue
        known = {row.id: row for row in asked.found.evidence}
        lines += [line()] if lines else []
        lines.append(head(f"{name} {len(ids)}", "⏎ reads one"))
        lines += [_pointed(episode, known.get(episode), width) for episode in ids]
    return lines


def _pointed(episode: str, row: EpisodeRow | None, width: int) -> Line:
    if row is None:
        return line(("· ", DIM), episode, opens=Opens("episode", episode))
    right = row.failure is None
    rest = f"{row.case_id[:8]} {_outcome(row)}"
    return line(
        ("✓ " if right else "✗ ", GOOD if right else BAD),
        f"{episode} ",
        fit(rest, max(1, width - len(episode) - 4)),
        opens=Opens("episode", episode),
    )


def _promise(asked: Question, width: int) -> list[Line]:
    """What was promised, how its author's promises held so far, what would prove it wrong, what the levers paid so far."""
    proposal, record = asked.step.proposal, asked.step.record
    gain = proposal.predicted_gain
    rows = [] if gain is None else [Row("promised", f"{points(gain)}{_ranged(proposal.predicted_range)} on dev")]
    if record is not None:
        rows.append(Row("held", told(record)))
        rows += [] if gain is None else [Row("expect", points(record.discounted(gain)), "chosen")]
    rows += [Row("wrong if", proposal.refuted_by)] if proposal.refuted_by else []
    rows += [Row("advisor", said(asked.step.advice))] if asked.step.advice else []
    return laid(Section("THE RECORD", f"{proposal.agent} · {proposal.lever}", tuple(rows)), width) if rows else []


def _ranged(bounds: tuple[float, float] | None) -> str:
    return f" {interval(*bounds)}" if bounds else ""


def _criticised(asked: Question, width: int) -> list[Line]:
    """The second model's word, whole: the light has room for its beginning."""
    review = asked.step.review
    if review is None:
        return []
    tone = GOOD if review.light.level == "ok" else WARN
    said = [line((text, tone)) for text in wrap(review.light.detail, width)]
    return [head("THE CRITIC", f"{review.agent}: it decides nothing"), *said]


def _why(asked: Question, width: int) -> list[Line]:
    proposal = asked.step.proposal
    lines = [head("WHY"), *(line(text) for text in wrap(proposal.reason, width, 40))]
    most = max(proposal.clusters.values(), default=0) or 1
    for name, count in sorted(proposal.clusters.items(), key=lambda item: -item[1]):
        lines.append(line(f"{fit(name, 16)} {count:>5} ", (bar(count / most, max(4, width - 25)), DIM)))
    return lines


def _checks(asked: Question) -> list[Line]:
    lights = asked.step.lights or ()
    if not lights:
        return []
    lines = [head("CHECKS", f"{len(lights)}")]
    for light in lights:
        glyph, tone = LIGHTS[light.level]
        lines.append(line((f"{glyph} ", tone), light.name, (f"  {light.detail}", DIM)))
    return lines
