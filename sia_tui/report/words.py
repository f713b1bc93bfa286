"""How figures are written in a report."""

from __future__ import annotations

from sia_tui.core.events import Evaluated, Measured


def share(value: float) -> str:
    return f"{100 * value:.1f} %"


def interval(lo: float, hi: float) -> str:
    return f"[{100 * lo:.1f}, {100 * hi:.1f}]"


def gain(mean: float, lo: float, hi: float) -> str:
    return f"{100 * mean:+.1f} [{100 * lo:+.1f}, {100 * hi:+.1f}]"


def gained(found: Measured | None) -> str:
    return "–" if found is None else gain(found.gain, found.lo, found.hi)


def scored(found: Evaluated | None) -> str:
    return "–" if found is None else f"{share(found.mean)} {interval(found.lo, found.hi)}, n = {found.n}"


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"
