"""The page on which an algorithm is chosen, the same for a person and for the Feedback-Agent: what was measured, which
rule that fires, why the others do not, and where to start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sia_tui.core.choosing import VARIANTS, Recommendation, Ruling
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
    measured = Section("MEASURED", f"{pilot.n} train cases × {pilot.samples} samples", _measured(pilot, rewards(pilot)))
    return (measured,) if advised is None else (measured, _rules(advised), _start(advised))


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
    risk = f"{percent(found.settled)} of the cases are solved more often than not: what a bad update could lose"
    rows = [
        Row("pass rates", _pass_rates(found)),
        Row("pass", ", ".join(f"@{k} {percent(pass_at(pilot, k))}" for k in ks)),
        Row("useful groups", percent(pilot.useful)),
        Row("rewards", f"{found.values} different, {percent(found.partial)} neither 0 nor 1"),
        Row(
            "shape",
            f"skew {found.skew:+.1f}, excess kurtosis {found.excess:+.1f}, best tenth {found.tail:.1f} × the mean",
        ),
        Row("scale", "only ranked" if found.ranked else "absolute"),
        Row("regression risk", risk),
    ]
    return (*rows, Row("a rollout", _rollout(pilot)))


def _pass_rates(found: Rewards) -> str:
    """Cases by the share of their samples that solve them, in quarters."""
    n = found.samples
    inner = [0, 0, 0, 0]
    for solved, count in enumerate(found.histogram[1:n], 1):
        inner[min(3, 4 * solved // n)] += count
    quarters = ("< ¼", "< ½", "< ¾", "< 1")
    told = [f"never {found.histogram[0]}", *(f"{name} {count}" for name, count in zip(quarters, inner, strict=True))]
    return " · ".join([*told, f"always {found.histogram[n]}"])


def _rollout(pilot: Pilot) -> str:
    """Pilots of earlier versions did not tell calls and lengths."""
    told = f"{pilot.seconds:.2g} s side by side, {pilot.tokens:,.0f} tokens"
    if not pilot.calls:
        return told
    return (
        f"{told} of which {pilot.sampled:,.0f} sampled, {pilot.calls:.1f} calls in {pilot.episode_s:.2g} s, "
        f"{percent(pilot.truncated)} of them cut short"
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
    if advised.plan is None:
        return Section("RECOMMENDED", "no training", (Row(advised.rule, advised.because),))
    plan = advised.plan
    size = f"{plan.steps} steps, {plan.cases_per_step} × {plan.samples}, learning rate {plan.learning_rate:g}, clip {plan.clip:g}"
    rows = [Row("start", f"{size}, kl {plan.kl:g}")]
    rows += [Row(change.field, f"{change.was:g} → {change.now:g}: {change.why}") for change in advised.changes]
    if not advised.changes:
        rows.append(Row("", "the house's plan as it is: no measurement asks for a change"))
    if plan.algorithm == "grpo":
        rows += [Row(f"or {name}", when) for name, when in VARIANTS.items()]
    return Section("RECOMMENDED", f"{advised.algorithm}, by the rule “{advised.rule}”", tuple(rows))
