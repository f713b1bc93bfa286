"""Approve until: a person's standing yes with limits, and with tripwires that end it. What it answers is a pure function
of the run's state."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from sia_tui.core.proposals import Lever
from sia_tui.core.spent import Cost, Spent

BY = "contract of "
"""How a verdict that it gives is signed, before the name of whoever made it."""
Covered = Literal["harness", "weights", "both"]
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


@dataclass(frozen=True)
class Contract:
    """Raises ValueError for limits that cannot be.

    Beside these it ends at any red light, any alarm, an indecisive result and one that is held for a person.
    """

    levers: tuple[Lever, ...] = ("harness",)
    """Proposals of others wait."""
    steps: int = 3
    """So many are answered."""
    wall_s: float | None = None
    """Working time of the run from now on, in seconds."""
    tokens: int | None = None
    """Of episodes, from now on."""
    gpu_s: float | None = None
    """Working time of the run's GPUs from now on, in seconds of one GPU."""
    money: float | None = None
    """US dollars of agents' models from now on, where their prices are known."""
    preview: float | None = None
    """A patch whose preview gains less, in reward units, waits."""
    dev: float | None = None
    """It ends when a candidate's mean on dev is below this."""

    def __post_init__(self) -> None:
        if not self.levers or odd(self.levers):
            raise ValueError(
                f"contract: levers are {' '.join(get_args(Covered))}, got {' '.join(self.levers) or 'none'}"
            )
        for name, least in (("steps", 1), ("wall_s", 1.0), ("tokens", 1), ("gpu_s", 1.0), ("money", 0.01)):
            value = getattr(self, name)
            if value is not None and not least <= value <= 10**12:
                raise ValueError(f"contract: {name} must be {least:g} or more, got {value:g}")
        for name in ("preview", "dev"):
            value = getattr(self, name)
            if value is not None and not -1000 <= value <= 1000:
                raise ValueError(f"contract: {name} must be a share of the reward, got {value:g}")

    @property
    def spends(self) -> Mapping[Spent, float]:
        """The limits of what the run may cost from now on."""
        found = {name: getattr(self, name) for name in get_args(Spent)}
        return {name: limit for name, limit in found.items() if limit is not None}

    @property
    def told(self) -> str:
        said = [f"{'/'.join(self.levers)}: at most {self.steps} steps"]
        said += [amount(name, limit) for name, limit in self.spends.items()]
        said += [f"previews of {100 * self.preview:+.1f} and more"] if self.preview is not None else []
        said += [f"dev not below {100 * self.dev:.1f} %"] if self.dev is not None else []
        return ", ".join(said)


@dataclass(frozen=True)
class Standing:
    """A contract that holds, with where the run stood when it was made."""

    contract: Contract
    by: str
    cost: Cost
    steps: int
    """Proposals that there were."""
    alarms: int
    measured: int
    """Proposals that had a result."""
    given: int = 0
    """Times that it said yes."""
    under_way: bool = True
    """Whether the last of them was not over yet."""


def odd(levers: tuple[str, ...]) -> bool:
    return any(lever not in get_args(Covered) for lever in levers)


def amount(name: Spent, value: float) -> str:
    """`2 h of work`, `1.5 GPU-hours`, `2,000 tokens`, `3.20 $ of models`."""
    match name:
        case "wall_s":
            return f"{span(value)} of work"
        case "gpu_s":
            return f"{value / 3600:.2g} GPU-hours" if value < 36_000 else f"{value / 3600:.0f} GPU-hours"
        case "tokens":
            return f"{value:,.0f} tokens"
        case "money":
            return f"{value:.2f} $ of models"


def span(seconds: float) -> str:
    """`2 h 10 m`, `40 m`, `30 s`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return " ".join(filter(None, (f"{hours} h" if hours else "", f"{minutes} m" if minutes else ""))) or "0 m"


def parsed(text: str) -> Contract:
    """`steps=5,levers=harness+weights,wall=2h,tokens=2M,preview=1,dev=45`: points and per cent as they are shown.
    Raises ValueError, in one line."""
    parts = [part.partition("=") for part in text.replace(" ", "").split(",") if part]
    return made({name: value for name, _, value in parts})


NAMES: Mapping[str, str] = {
    "levers": "such as harness+weights",
    "steps": "at most so many",
    "wall": "of work, such as 90m or 2h",
    "tokens": "of episodes, such as 500k or 2M",
    "gpu": "GPU-hours, such as 6 or 1.5",
    "money": "$ of agents' models",
    "preview": "points at least, else it waits",
    "dev": "per cent; below, it ends",
}
"""What each limit of the written form may be."""


def made(values: Mapping[str, str]) -> Contract:
    """From the written form of each limit; an empty one is none. Raises ValueError, in one line."""
    if unknown := [name for name in values if name not in NAMES]:
        raise ValueError(f"contract: no limit {unknown[0]!r}; there are {', '.join(NAMES)}")
    given = {name: value for name, text in values.items() if (value := text.strip())}
    wall, tokens = given.get("wall"), given.get("tokens")
    return Contract(
        levers=tuple(re.split(r"[+/ ]+", given.get("levers", "harness"))),  # type: ignore[arg-type]
        steps=round(_number("steps", given.get("steps", "3"))),
        wall_s=None if wall is None else _scaled("wall", wall, UNITS),
        tokens=None if tokens is None else round(_scaled("tokens", tokens, SIZES)),
        gpu_s=None if "gpu" not in given else 3600 * _number("gpu", given["gpu"].removesuffix("h")),
        money=None if "money" not in given else _number("money", given["money"].strip("$")),
        preview=_share("preview", given),
        dev=_share("dev", given),
    )


def _share(name: str, given: Mapping[str, str]) -> float | None:
    return None if name not in given else _number(name, given[name].rstrip("%")) / 100


def _scaled(name: str, text: str, units: Mapping[str, float]) -> float:
    found = re.fullmatch(r"([\d.]+)([a-zA-Z]?)", text)
    if found is None or found[2] not in units:
        raise ValueError(f"contract: {name} is {NAMES[name]}, got {text}")
    return _number(name, found[1]) * units[found[2]]


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"contract: {name} must be a number, {NAMES[name]}; got {text}")
    return value
