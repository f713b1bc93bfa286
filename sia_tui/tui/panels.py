"""Which measures of a training belong together: the panels practitioners look for, by the names that TRL gives them.

Names of before TRL's (`length`, `clip`, `ratio`, `gap`) stand in the panels of those that came after them, so that old
runs still draw. What nobody put in a panel has one of its own, last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from sia_tui.core.text import one_line
from sia_tui.store.reader import Metrics

Axis = tuple[str, ...]
"""Measures of one unit: lines that may share an axis. `gpu_busy` is each GPU's: `gpu_busy/0` and so on."""

SIGNALS = "signals, not verdicts"
OVERVIEW = "overview"


@dataclass(frozen=True)
class Panel:
    title: str
    axes: tuple[Axis, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for axis in self.axes for name in axis)


_RATIO, _GAP = "sampling/importance_sampling_ratio", "sampling/sampling_logp_difference"
PARTS = "rewards/"
"""Each figure that a verifier gives beside the reward, in a unit of its own: `rewards/exact/mean`."""
REWARD: Axis = ("reward", "held_out", "pass_1", "pass_n")
"""What is trained for beside what it is trained for: where they part, the proxy is being played."""
PANELS = (
    Panel("reward, proxy against held out", (REWARD,)),
    Panel(
        "policy",
        (
            ("kl",),
            ("entropy",),
            ("clip_ratio/low_mean", "clip_ratio/high_mean", "clip"),
            ("grad_norm",),
            ("loss",),
            ("learning_rate",),
        ),
    ),
    Panel(
        "length",
        (
            ("completions/mean_length", "completions/p95_length", "length"),
            ("completions/clipped_ratio",),
            ("shared_prefix",),
        ),
    ),
    Panel(
        "on-policy",
        (
            (f"{_RATIO}/min", f"{_RATIO}/mean", f"{_RATIO}/max", "ratio"),
            (f"{_GAP}/mean", f"{_GAP}/max", "gap"),
            ("ess",),
            ("staleness",),
        ),
    ),
    Panel(
        "groups",
        (
            ("useful",),
            ("advantage/min", "advantage/max", "advantage/std"),
            ("reward_std",),
            ("frac_reward_zero_std",),
        ),
    ),
    Panel("value", (("explained_variance",), ("value_loss",))),
    Panel("time", (("rollout_s", "train_s", "step_time"), ("peak_gib",))),
    Panel(
        "throughput",
        (
            ("rollout_tokens_s", "gateway/tokens_s"),
            ("train_tokens_s",),
            ("gateway/running", "gateway/queue"),
            ("kv_cache",),
            ("prefix_hits",),
            ("tokens",),
        ),
    ),
    Panel("machine", (("gpu_busy",), ("gpu_gib",), ("gpu_watts",), ("gpu_celsius",), ("cores",), ("rss_gib",))),
)

_LABELS = {
    "pass_1": "pass@1",
    "pass_n": "pass@n",
    "kl": "KL",
    "ess": "ESS",
    "clip_ratio/low_mean": "clip low",
    "clip_ratio/high_mean": "clip high",
    "completions/mean_length": "mean length",
    "completions/p95_length": "p95 length",
    "completions/clipped_ratio": "truncated",
    f"{_RATIO}/min": "IS min",
    f"{_RATIO}/mean": "IS mean",
    f"{_RATIO}/max": "IS max",
    f"{_GAP}/mean": "logp gap",
    f"{_GAP}/max": "logp gap max",
    "frac_reward_zero_std": "zero std",
    "learning_rate": "lr",
    "explained_variance": "explained var",
    "peak_gib": "peak GiB",
    "rollout_s": "rollout s",
    "train_s": "train s",
    "step_time": "step s",
    "rollout_tokens_s": "rollout tok/s",
    "gateway/tokens_s": "served tok/s",
    "train_tokens_s": "train tok/s",
    "gateway/running": "requests",
    "gateway/queue": "waiting",
    "kv_cache": "KV cache",
}

MACHINE = {"gpu_busy": "GPU", "gpu_gib": "GPU GiB", "gpu_watts": "GPU W", "gpu_celsius": "GPU °C", "rss_gib": "GiB"}
"""Measures of each GPU, and of each kind of process."""


def label(name: str) -> str:
    """A measure's name in the few cells a panel has."""
    of, _, part = name.partition("/")
    if name.startswith(PARTS):
        return one_line(part.removesuffix("/mean"), 13)
    if of in MACHINE:
        return (f"{part} {MACHINE[of]}" if of == "rss_gib" else f"{MACHINE[of]} {part}").strip()
    return _LABELS.get(name) or name.replace("_", " ").replace("/", " ")


def panels(rows: Sequence[Metrics]) -> tuple[Panel, ...]:
    """The panels of what was measured, each with the measures that are there and no others."""
    seen = {name for row in rows for name in row.values}
    found = _known(seen)
    rest = seen.difference(*(panel.names for panel in found))
    found.append(Panel("other", tuple((name,) for name in sorted(rest))))
    return tuple(panel for panel in found if panel.axes)


def reward_axis(rows: Sequence[Metrics]) -> Axis:
    """Without the share that was solved where it is the reward again, as of rewards that are 0 or 1."""
    told = [row.values for row in rows if "pass_1" in row.values]
    again = all(values["pass_1"] == values.get("reward") for values in told)
    return tuple(name for name in REWARD if name != "pass_1" or not again)


def missing(rows: Sequence[Metrics]) -> str:
    """Which panels are not there because nothing of them was measured, to be told; nothing where all are, or none is yet."""
    seen = {name for row in rows for name in row.values}
    absent = [panel.title for panel in _known(seen) if not panel.axes] if seen else []
    return f"not measured: {', '.join(absent)}" if absent else ""


def pages(rows: Sequence[Metrics], slots: int) -> tuple[Panel, ...]:
    """What is drawn below the reward, a page at a time: first the most telling axes of all panels, then panel by panel."""
    below = [panel for panel in panels(rows) if panel.title != PANELS[0].title]
    in_turn = [axis for turn in zip_longest(*(panel.axes for panel in below)) for axis in turn if axis is not None]
    overview = Panel(OVERVIEW, tuple(in_turn[:slots]))
    if len(in_turn) <= slots:
        return (overview,)
    return (overview, *(page for panel in below for page in _paged(panel, slots)))


def _known(seen: set[str]) -> list[Panel]:
    parts = tuple((name,) for name in sorted(seen) if name.startswith(PARTS))
    reward, *others = (Panel(panel.title, tuple(_present(panel.axes, seen))) for panel in PANELS)
    return [reward, Panel("reward parts", parts), *others]


def _present(axes: Sequence[Axis], seen: set[str]) -> Iterator[Axis]:
    for axis in axes:
        if there := tuple(one for name in axis for one in _each(name, seen)):
            yield there


def _each(name: str, seen: set[str]) -> list[str]:
    """It, or what it is of each part of the machine."""
    return sorted(one for one in seen if one == name or (name in MACHINE and one.startswith(f"{name}/")))


def _paged(panel: Panel, slots: int) -> Iterator[Panel]:
    for start in range(0, len(panel.axes), slots):
        yield Panel(panel.title, panel.axes[start : start + slots])
