"""TriMul on a GPU as a task: a case is a problem size, the answer a Python module with Triton kernels."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

from sia_tui.tasks.plans import forms_of, packaged
from sia_tui.tasks.task import Task
from sia_tui.tasks.trimul.cases import PUBLISHED, dealt
from sia_tui.tasks.trimul.gpu.contract import CONTRACT
from sia_tui.tasks.trimul.grammar_triton import CHOICES
from sia_tui.tasks.trimul.judging import gold_of

NAME: Final = "trimul-gpu"
TRAIN, DEV, HIDDEN = 24, 12, 12
PACKAGED = ("spec.py", "grammar.py", "grammar_triton.py", "render_triton.py")
_BATCHES, _NS, _DIMS, _CHANNELS = (1, 2), range(128, 1025, 64), (128, 256, 384, 768), 128
_MOST: Final = 1024 * 1024 * 384
"""Numbers of an input at most: what it takes in double precision fits on a card of 80 GB."""
DESCRIPTION = """\
The outgoing triangle multiplicative update of AlphaFold 3, on a GPU. A case is a problem size: inputs tell batch, n, dim, \
hidden, what the inputs are drawn from, and whether there is a mask. The answer is the source of a Python module that may \
import torch and triton and defines
{contract}
It is called on fresh inputs and must be right within rtol = atol = 2e-2. The score rises evenly with the logarithm of the \
speed-up over plain PyTorch in fp32: 0.375 at the same speed, 0.75 at 8 times, 1 at 32 times. A wrong, crashing or late \
module earns nothing.
{first}"""
PLANS = """\
The first harness asks the policy for a plan, one letter for each of {fields} choices (grammar_triton.py), and renders it \
(render_triton.py); decided.py fixes choices."""
MODULES = "The first harness asks the policy for the whole module and takes the last fenced block of its reply."


def load(seed: int, folds: int, limit: int | None, module: Path | None = None) -> Task:
    """The seed deals the sizes; test has the published ones, whole. `module`: a first harness that asks for modules."""
    sizes = [(*size, _CHANNELS) for size in itertools.product(_BATCHES, _NS, _DIMS)]
    sizes = [size for size in sizes if size[0] * size[1] ** 2 * size[2] <= _MOST]
    dealing = dealt(NAME, PUBLISHED, sizes, seed, min(TRAIN, limit or TRAIN), DEV, HIDDEN, folds)
    cases = {case.id: case for case in dealing}
    fields = {} if module else {name: tuple(map(str, values)) for name, values in CHOICES.items()}
    first = MODULES if module else PLANS.format(fields=len(fields))
    return Task(
        name=NAME,
        description=DESCRIPTION.format(contract=CONTRACT, first=first),
        labels=(),
        cases=cases,
        gold=gold_of(cases.values()),
        seed=module,
        packaged={} if module else packaged("sia_tui.tasks.trimul", PACKAGED, fields),
        forms=None if module else forms_of(fields),
        compiles=True,
    )
