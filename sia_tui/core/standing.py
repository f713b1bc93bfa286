"""What a standing yes answers at a gate, and what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sia_tui.core.contract import Standing, amount
from sia_tui.core.gates import Gate
from sia_tui.core.spent import Spent
from sia_tui.core.state import State, Step


@dataclass(frozen=True)
class Said:
    """`yes`; `waits`: this one is for a person; `over`: it ends, with the reason."""

    kind: Literal["yes", "waits", "over"]
    why: str


def says(state: State) -> Said | None:
    """Of the open gate; None where no contract stands or nothing is asked. Whatever ends it comes before a yes."""
    standing, step = state.contract, state.current
    if standing is None or step is None or step.open_gate is None:
        return None
    if why := _tripped(state, standing, step) or spent(state, standing):
        return Said("over", why)
    if why := _not_covered(standing, step):
        return Said("waits", why)
    return Said("yes", f"{standing.given + 1} of {standing.contract.steps}: {standing.contract.told}")


def asked(state: State, auto: bool) -> Gate | None:
    """The gate that waits for a person now: one that neither a contract answers or ends at, nor (`auto`) the config."""
    step, said = state.current, says(state)
    if step is None or (auto and not step.held) or (said is not None and said.kind != "waits"):
        return None
    return step.open_gate


def _tripped(state: State, standing: Standing, step: Step) -> str:
    """The tripwire that something since it was made has touched."""
    later = state.steps[standing.steps :]
    red = next((light for made in (*later, step) if (light := made.red) is not None), None)
    if red is not None:
        return f"red light: {red.name}: {red.detail}"
    if len(state.alarms) > standing.alarms:
        return f"alarm: {state.alarms[-1].detail}"
    if step.open_gate is not None and step.open_gate.kind == "keep":
        return f"a result for a person: {step.held or 'indecisive on dev'}"
    results = [one for one in state.steps if one.measures][standing.measured :]
    doubtful = [one for one in results if one.measured and (one.measured.held or one.measured.outcome == "indecisive")]
    if doubtful and (found := doubtful[-1].measured):
        return f"the result of {doubtful[-1].id}: {found.held or 'indecisive on dev'}"
    least = standing.contract.dev
    made = [
        state.generations[index]
        for one in state.steps[standing.steps - standing.under_way :]
        for index in one.candidates
    ]
    low = [
        f"g{one.index}"
        for one in made
        if least is not None and "dev" in one.results and one.results["dev"].mean < least
    ]
    return f"{low[-1]} is below {100 * (least or 0):.1f} % on dev" if low else ""


def spent(state: State, standing: Standing) -> str:
    """The limit that is reached."""
    if standing.given >= standing.contract.steps:
        return f"all {standing.contract.steps} steps answered"
    over = [name for name, rest in rests(state, standing).items() if rest <= 0]
    return f"{amount(over[0], standing.contract.spends[over[0]])} are spent" if over else ""


def rests(state: State, standing: Standing) -> Mapping[Spent, float]:
    """Of every limit of what it may cost, what is left."""
    return {
        name: limit - (getattr(state.cost, name) - getattr(standing.cost, name))
        for name, limit in standing.contract.spends.items()
    }


def _not_covered(standing: Standing, step: Step) -> str:
    """Why this one waits, while the contract stands."""
    limits, asked = standing.contract, step.proposal
    if asked.first or asked.lever not in limits.levers:
        return f"{'the first harness' if asked.first else f'the lever {asked.lever}'} is not in the contract"
    if any(light.name == "dropped hunks" and light.level != "ok" for light in step.lights or ()):
        return "a hunk is back that a person dropped"
    if limits.preview is not None and asked.patches:
        seen = step.preview
        if seen is None or seen.gain < limits.preview:
            gained = "there is no preview" if seen is None else f"the preview gains {100 * seen.gain:+.1f}"
            return f"{gained}, and it asks for {100 * limits.preview:+.1f}"
    return ""


def left(state: State, standing: Standing) -> str:
    """What of it is left, in words."""
    if why := spent(state, standing):
        return f"over at the next gate: {why}"
    limits = standing.contract
    said = [f"{limits.steps - standing.given} of {limits.steps} steps"]
    said += [amount(name, rest) for name, rest in rests(state, standing).items()]
    said += [f"previews of {100 * limits.preview:+.1f} and more"] if limits.preview is not None else []
    said += [f"dev not below {100 * limits.dev:.1f} %"] if limits.dev is not None else []
    return f"{'/'.join(limits.levers)}, left: {', '.join(said)}"
