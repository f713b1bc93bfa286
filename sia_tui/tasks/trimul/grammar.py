"""Plans: what one decides about a kernel, in fourteen words.

    layout=last vec=16 ti=4 tj=4 unroll=2 block=0 nest=ijco pad=0 product=outer rows=8 norm=fused gates=together outgate=late
    exp=poly

Every combination is a plan, and every plan is a right kernel on every shape: a plan decides speed alone. Which are fast
is not known here.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from random import Random
from typing import Any, Final, Literal, TypeVar, get_args, get_type_hints


class NoPlan(ValueError):
    """A text that is no plan, and why, in one line."""


@dataclass(frozen=True)
class Plan:
    layout: Literal["last", "block", "first"]
    """How left and right lie: channels last [i,k,h]; in blocks of a vector [h/vec,i,k,vec]; or first [h,i,k], where the
    triangle is a dot product along k in place of a sum of vectors of channels."""
    vec: Literal[1, 4, 8, 16]
    """Floats a vector."""
    ti: Literal[1, 2, 3, 4, 6]
    tj: Literal[1, 2, 3, 4, 6]
    """Rows i and j whose products are summed side by side in registers."""
    unroll: Literal[1, 2, 4]
    """Of the loop over k."""
    block: Literal[0, 16, 32, 64]
    """Rows of i, and of j, that are done with before the next are looked at; 0: all."""
    nest: Literal["cij", "cji", "ijc", "jic", "ijco", "jico"]
    """The triangle's loops, outermost first; c are channels. With o a tile's outputs are finished inside, else in a pass
    of their own."""
    pad: Literal[0, 16]
    """Floats between one row i and the next, against rows that fall on the same cache lines."""
    product: Literal["dot", "outer"]
    """How rows are multiplied by weights: dot products with rows of weights, or sums of vectors of columns."""
    rows: Literal[1, 2, 4, 8]
    """Pairs multiplied by the same weights side by side."""
    norm: Literal["fused", "apart"]
    """Whether pairs are normalised where they are used, or in a pass of their own that is stored."""
    gates: Literal["together", "apart"]
    """Whether a projection meets its gate in registers, or in a pass of its own."""
    outgate: Literal["early", "late"]
    """Whether the output's gate is made with the projections and stored, or where it is needed."""
    exp: Literal["libm", "poly"]
    """The exponential of the C library, or a polynomial on vectors."""


def choices(kind: type) -> dict[str, tuple[Any, ...]]:
    """What may stand for each word of a kind of plan, in the order words are written."""
    return {name: get_args(hint) for name, hint in get_type_hints(kind).items()}


CHOICES: Final = choices(Plan)

P = TypeVar("P")


def parse_as(kind: type[P], text: str) -> P:
    """Words in any order, each once, none left out. Raises NoPlan."""
    known = choices(kind)
    given: dict[str, str] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            raise NoPlan(f"{word[:40]!r} is no word of a plan: {', '.join(known)} = a value")
        if name in given:
            raise NoPlan(f"{name} is there twice")
        given[name] = value
    if missing := [name for name in known if name not in given]:
        raise NoPlan(f"the plan does not say {', '.join(missing)}")
    return kind(**{name: _value(name, values, given[name]) for name, values in known.items()})


def parse(text: str) -> Plan:
    return parse_as(Plan, text)


def written(plan: Any) -> str:
    """The one way to write a plan."""
    return " ".join(f"{field.name}={value}" for field, value in zip(fields(plan), astuple(plan), strict=True))


def random_plan(rng: Random) -> Plan:
    """Any plan, each as likely as any other."""
    return Plan(**{name: rng.choice(values) for name, values in CHOICES.items()})


def _value(name: str, values: tuple[Any, ...], word: str) -> Any:
    for value in values:
        if str(value) == word:
            return value
    raise NoPlan(f"{name}={word[:40]} is not one of {', '.join(map(str, values))}")
