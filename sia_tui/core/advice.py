"""The page on which an algorithm is chosen, the same for a person and for the Feedback-Agent: what was measured,
what that recommends and where to start, the rule that fired and why the others did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sia_tui.core.choosing import ONLY_RANKED, VARIANTS, Recommendation, Ruling
from sia_tui.core.plans import Pilot
from sia_tui.core.rewards import Rewards, pass_at, rewards
from sia_tui.core.telling import percent

Mark = Literal["", "chosen", "later", "no"]
"""Of a rule: the first that holds, one that holds and comes later, one that does not hold."""


@dataclass(frozen=True)
class Row:
    label: str
    text: str
    mark: Mark = ""


@dataclass(frozen=True)
class Section:
    title: str
    note: str
    rows: tuple[Row, ...]


def page(pilot: Pilot, advised: Recommendation | None) -> tuple[Section, ...]:
    """What the pilot measured and, where a recommendation was recorded, how it came about."""
    found = rewards(pilot)
    ranked = found.ranked or (advised is not None and advised.rule == ONLY_RANKED)
    rows = _measured(pilot, replace(found, ranked=ranked))
    measured = Section("REWARDS", f"{pilot.n} train cases × {pilot.samples} samples", rows)
    return (measured,) if advised is None else (measured, _start(advised), _rules(advised))


def text(sections: Sequence[Section]) -> str:
    """Plain lines."""
    marks = {"": " ", "chosen": "▸", "later": "+", "no": "·"}
    lines: list[str] = []
    for section in sections:
        lines.append(f"{section.title.lower()}: {section.note}")
        width = max((len(row.label) for row in section.rows), default=0)
        lines += [f"  {marks[row.mark]} {row.label:<{width}}  {row.text}" for row in section.rows]
    return "\n".join(lines)


def _measured(pilot: Pilot, found: Rewards) -> tuple[Row, ...]:
    half = max(1, pilot.samples // 2)
    ks = sorted({1, half, pilot.samples})
    rows = [
        Row("pass rates", _pass_rates(found)),
        Row("pass", ", ".join(f"@{k} {percent(pass_at(pilot, k))}" for k in ks)),
        Row("useful groups", percent(pilot.useful)),
        Row("values", f"{found.values} different, {percent(found.partial)} neither 0 nor 1"),
        Row(
            "shape",
            f"skew {found.skew:+.1f}, excess {found.excess:+.1f}, best tenth {found.tail:.1f} × mean",
        ),
        Row("scale", "only ranked" if found.ranked else "absolute"),
        Row("regression risk", f"{percent(found.settled)} solved more often than not"),
        Row("a rollout", f"{pilot.seconds:.2g} s side by side, {pilot.tokens:,.0f} tokens"),
    ]
    step = (Row("a step", pilot.rehearsal.told),) if pilot.rehearsal else ()
    return (*rows, *_calls(pilot), *step)


def _pass_rates(found: Rewards) -> str:
    """Cases by the share of their samples that solve them, in quarters."""
    n = found.samples
    inner = [0, 0, 0, 0]
    for solved, count in enumerate(found.histogram[1:n], 1):
        inner[min(3, 4 * solved // n)] += count
    quarters = ("< 1/4", "< 1/2", "< 3/4", "< 1")
    told = [f"never {found.histogram[0]}", *(f"{name} {count}" for name, count in zip(quarters, inner, strict=True))]
    return " · ".join([*told, f"always {found.histogram[n]}"])


def _calls(pilot: Pilot) -> tuple[Row, ...]:
    """Pilots of earlier versions did not count them."""
    if not pilot.calls:
        return ()
    cut = f"{percent(pilot.truncated)} cut short"
    return (
        Row("its calls", f"{pilot.calls:.1f} in {pilot.episode_s:.2g} s, {pilot.sampled:,.0f} tokens sampled, {cut}"),
    )


def _rules(advised: Recommendation) -> Section:
    rows = tuple(Row(_leads(ruling), ruling.told, _mark(ruling, advised)) for ruling in advised.rules)
    return Section("RULES", "the first that holds decides", rows)


def _leads(ruling: Ruling) -> str:
    return f"{ruling.rule} → {ruling.algorithm or 'none'}"


def _mark(ruling: Ruling, advised: Recommendation) -> Mark:
    if ruling.rule == advised.rule:
        return "chosen"
    return "later" if ruling.holds else "no"


def _start(advised: Recommendation) -> Section:
    plan = advised.plan
    if plan is None:
        return Section("RECOMMENDED", "no training", (Row(advised.rule, advised.because),))
    rows = [
        Row("by the rule", f"{advised.rule} ({advised.because})"),
        Row("start from", f"{plan.steps} steps of {plan.cases_per_step} × {plan.samples} at {plan.learning_rate:g}"),
        Row("with", f"clip {plan.clip:g}, kl {plan.kl:g}; else the house's plan"),
        *(Row(change.field, f"{change.was:g} → {change.now:g}: {change.why}") for change in advised.changes),
    ]
    if plan.algorithm == "grpo":
        rows += [Row(f"or {name}", when) for name, when in VARIANTS.items()]
    return Section("RECOMMENDED", plan.algorithm, tuple(rows))
