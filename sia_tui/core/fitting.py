"""Whether a plan can be carried out: it fits the machine and ends before the clock; and if not, what would."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sia_tui.core.costs import KEPT_FREE, Cost, Seen, Setup, arrangement, cost, places
from sia_tui.core.memory import serving
from sia_tui.core.plans import OFFLINE, Rehearsal, TrainPlan
from sia_tui.core.proposals import Light
from sia_tui.core.shape import BYTES

TIGHT = 0.9
"""Share of a place above which it is told that there is little left."""
NO_MEMORY = ("out of memory", "outofmemory", "can't allocate memory", "memoryerror")
"""How torch, on a GPU and on a CPU, and Python say it."""


@dataclass(frozen=True)
class Refusal:
    """One reason why a plan cannot be carried out, and what would help; each a line."""

    why: str
    would: str

    @property
    def told(self) -> str:
        return f"{self.why}; {self.would}"


@dataclass(frozen=True)
class Deadline:
    """When a training has to be over."""

    name: str
    left_s: float


Change = Callable[[Setup], tuple[str, Setup] | None]
"""What to change, in words, and what it makes; None where it does not apply."""


def refusals(setup: Setup, seen: Seen, deadlines: tuple[Deadline, ...]) -> tuple[Refusal, ...]:
    """Every reason against carrying it out; none: go on."""
    found = cost(setup, seen)
    return (*_missing(setup), *_memory(setup, found), *_time(setup, seen, found, deadlines))


def light(setup: Setup, seen: Seen, deadlines: tuple[Deadline, ...]) -> Light:
    """Red for what does not fit; amber for what fits barely, or should not end in time as far as can be told."""
    found = cost(setup, seen)
    short = [*_missing(setup), *_memory(setup, found)]
    if short:
        return Light("fits", "red", short[0].told)
    late = list(_time(setup, seen, found, deadlines))
    if late:
        return Light("fits", "amber", late[0].told)
    fullest = max(found.places, key=lambda place: place.needs / place.has if place.has else 0.0)
    tight = fullest.has is not None and fullest.needs > TIGHT * fullest.has
    stale = ", so staleness counts as 0" if setup.plan.staleness else ""
    told = f"in turns{stale}: {fullest.told}" if found.arrangement == "in turns" else fullest.told
    return Light("fits", "amber" if tight else "ok", told)


def rehearsal_light(made: Rehearsal) -> Light:
    """Red where memory ran out, as it would again; amber where the steps could not be made for anything else."""
    if not made.fault and made.steps:
        return Light("rehearsal", "ok", f"{made.steps} steps made")
    if not any(said in made.fault.lower() for said in NO_MEMORY):
        return Light("rehearsal", "amber", made.told)
    would = "weights.micro_tokens, weights.gradient_checkpointing or a shorter max_tokens would help"
    return Light("rehearsal", "red", f"{made.told}; {would}")


def _missing(setup: Setup) -> Iterator[Refusal]:
    named = {*setup.plan.train_on, *setup.plan.serve_on}
    absent = sorted(number for number in named if number >= setup.machine.gpus)
    if absent:
        there = f"0 to {setup.machine.gpus - 1}" if setup.machine.gpus else "none"
        yield Refusal(f"GPU {absent[0]} is not there", f"of this machine's there are {there}: serve_on, train_on")
    split = len(setup.plan.serve_on)
    replicas = setup.server.replicas
    if split and setup.server.share and split != setup.server.gpus * replicas:
        each = f", each of {replicas} replicas" if replicas > 1 else ""
        yield Refusal(
            f"{split} GPUs are to serve, and vLLM is split over {setup.server.gpus}{each}",
            f"policy.vllm.tensor_parallel={max(1, split // replicas)} would do",
        )
    if split > 1 and setup.server.backend == "hf":
        yield Refusal(f"{split} GPUs are to serve, and the backend hf uses one", "policy.backend=vllm would do")


def _memory(setup: Setup, found: Cost) -> Iterator[Refusal]:
    full = [place for place in found.places if not place.fits]
    if full:
        would = " or ".join(remedies(setup)[:3])
        help_ = f"would fit: {would}" if would else "no change of this plan would fit: take a larger machine"
        yield from (Refusal(place.told, help_) for place in full)


def remedies(setup: Setup) -> list[str]:
    """The changes that make it fit, each with the largest micro-batch it allows: those that need fewest, and one more."""
    by_count = [
        [told for some in itertools.combinations(CHANGES, count) if (told := _remedy(setup, some))]
        for count in range(len(CHANGES) + 1)
    ]
    fewest = next((count for count, found in enumerate(by_count) if found), len(by_count))
    return [told for found in by_count[fewest : fewest + 2] for told in found]


def _remedy(setup: Setup, changes: tuple[Change, ...]) -> str | None:
    words = []
    changed = setup
    for change in changes:
        made = change(changed)
        if made is None:
            return None
        word, changed = made
        words.append(word)
    tokens = largest_pass(changed)
    if tokens is None:
        return None
    if tokens < setup.trainer.micro_tokens:
        words.append(f"weights.micro_tokens={tokens}")
    return " with ".join(words) or None


def largest_pass(setup: Setup) -> int | None:
    """The most tokens of a pass, up to what is asked for, that fit; None if not even one row does."""

    def fits(tokens: int) -> bool:
        smaller = replace(setup, trainer=replace(setup.trainer, micro_tokens=tokens))
        return all(place.fits for place in places(smaller))

    return largest(min(setup.row, setup.trainer.micro_tokens), setup.trainer.micro_tokens, fits)


def largest(low: int, high: int, fits: Callable[[int], bool]) -> int | None:
    """The largest number in [low, high] that fits, if those that fit are the small ones; None if not even `low` does."""
    if low > high or not fits(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _checkpointing(setup: Setup) -> tuple[str, Setup] | None:
    if setup.trainer.checkpointing:
        return None
    return "weights.gradient_checkpointing=true", replace(setup, trainer=replace(setup.trainer, checkpointing=True))


def _bfloat16(setup: Setup) -> tuple[str, Setup] | None:
    if BYTES[setup.trainer.dtype] == BYTES["bfloat16"]:
        return None
    return "weights.dtype=bfloat16", replace(setup, trainer=replace(setup.trainer, dtype="bfloat16"))


def _share(setup: Setup) -> tuple[str, Setup] | None:
    """What vLLM needs and no more, in hundredths of a GPU."""
    if not setup.server.share:
        return None
    needed = sum(serving(setup.shape, setup.plan, replace(setup.server, gpus=setup.split)).values())
    share = math.ceil(100 * needed / (1 - KEPT_FREE) / setup.machine.card.memory) / 100
    if share >= 1 or share == setup.server.share:
        return None
    return f"policy.vllm.memory={share:.2f}", replace(setup, server=replace(setup.server, share=share))


def _turns(setup: Setup) -> tuple[str, Setup] | None:
    """On all the GPUs it has now."""
    if arrangement(setup) != "apart":
        return None
    plan = replace(setup.plan, serve_on=setup.used, train_on=setup.used)
    return f"in turns (serve_on and train_on both {_listed(setup.used)})", replace(setup, plan=plan)


def _apart(setup: Setup) -> tuple[str, Setup] | None:
    """Serving on the fewest GPUs that hold it, training on all the others."""
    numbers = tuple(range(setup.machine.gpus))
    for count in (1, 2, 4, 8):
        if count >= len(numbers) or setup.shape.heads % count:
            return None
        plan = replace(setup.plan, serve_on=numbers[:count], train_on=numbers[count:])
        moved = replace(setup, plan=plan)
        if all(place.fits for place in places(moved)[1:]):
            told = f"apart (serve_on {_listed(plan.serve_on)}, train_on {_listed(plan.train_on)})"
            return (told, moved) if plan != setup.plan else None
    return None


def _listed(numbers: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, numbers))}]"


CHANGES: tuple[Change, ...] = (_checkpointing, _share, _bfloat16, _turns, _apart)


def _time(setup: Setup, seen: Seen, found: Cost, deadlines: tuple[Deadline, ...]) -> Iterator[Refusal]:
    first = min(deadlines, key=lambda deadline: deadline.left_s, default=None)
    if first is None or found.seconds <= first.left_s:
        return
    basis = "measured" if found.measured["rollouts"] and found.measured["steps"] else "guessed"
    left = max(0.0, first.left_s) / 60
    why = f"takes {found.seconds / 60:.0f} min ({basis}), and {left:.0f} min are left of {first.name}"
    yield Refusal(why, _shorter(setup, seen, first.left_s))


def _shorter(setup: Setup, seen: Seen, left_s: float) -> str:
    """The largest number of what makes it long that still ends in time."""

    def ends(plan: TrainPlan) -> bool:
        return cost(replace(setup, plan=plan), seen).seconds <= left_s

    plan, offline = setup.plan, setup.plan.algorithm in OFFLINE
    steps = largest(1, plan.steps, lambda steps: ends(replace(plan, steps=steps)))
    if steps is not None:
        return f"would end in time: steps {steps}"
    cases = largest(1, plan.cases, lambda cases: ends(replace(plan, cases=cases, steps=1))) if offline else None
    return "not even one step would end in time" if cases is None else f"would end in time: steps 1, cases {cases}"
