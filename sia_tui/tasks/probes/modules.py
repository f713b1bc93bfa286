"""TriMul on a GPU, whose answers are Python modules: its corpus, beside plain PyTorch, which does the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from sia_tui.tasks.attempts import Attempt, always
from sia_tui.tasks.probe import Probe
from sia_tui.tasks.probes import texts
from sia_tui.tasks.task import Task
from sia_tui.tasks.trimul import gpu
from sia_tui.tasks.trimul.cases import shape_of
from sia_tui.tasks.trimul.gpu.attacks import attacks

PLAIN: Final = (Path(gpu.__file__).parent / "plain.py").read_text("utf-8")
WRONG: Final = f"""{PLAIN}
right = custom_kernel
def custom_kernel(data):
    right(data)
    data[3]["output"].add_(1)
"""
SLACK: Final = 0.1
"""Of the reward; never measured on a GPU."""


def probe(task: Task) -> Probe:
    """On the smallest train case."""
    smallest = min(task.ids("train"), key=_work(task))
    plain = [made for made in texts.attempts(task) if made.row in ("null", "empty", "dtype")]
    tried = [
        Attempt(one.name, one.tries, always(one.source), caught=tuple(one.caught), honest=one.honest)
        for one in attacks()
    ]
    return Probe(
        ids=(smallest,),
        right=always(PLAIN),
        wrong=always(WRONG),
        attempts=(*plain, *tried),
        nulls={"plain PyTorch": always(PLAIN)},
        honest=always(PLAIN),
        slack=SLACK,
        least=0.0,
        repeats=5,
    )


def _work(task: Task) -> Callable[[str], int]:
    def work(id: str) -> int:
        shape = shape_of(task.cases[id].inputs)
        return shape.batch * shape.n**3 * shape.hidden

    return work
