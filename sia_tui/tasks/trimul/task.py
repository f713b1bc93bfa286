"""TriMul as a task: a case is a problem size, the answer is C."""

from __future__ import annotations

from sia_tui.tasks.plans import forms_of, packaged
from sia_tui.tasks.task import Task
from sia_tui.tasks.trimul.cases import NAME, make_cases
from sia_tui.tasks.trimul.grammar import CHOICES
from sia_tui.tasks.trimul.judging import gold_of
from sia_tui.tasks.trimul.spec import FLAGS, SIGNATURE

TRAIN, DEV, HIDDEN = 48, 24, 24
PACKAGED = ("spec.py", "grammar.py", "render_c.py")
"""Of this package, what the first harness is given too."""
DESCRIPTION = """\
The outgoing triangle multiplicative update of AlphaFold 3, in fp32. A case is a problem size: inputs tell batch, n, dim, \
hidden, what the inputs are drawn from, and whether there is a mask. The answer is C, compiled by gcc {flags}, that defines
{signature}
and is called on fresh inputs, beside a naive kernel on the same ones; it must be right within rtol = atol = 2e-2. The score \
rises evenly with the logarithm of the speed-up: 0.375 at the naive kernel's speed, 0.75 at 8 times, 1 at 32 times. A wrong, \
crashing or late kernel earns nothing. No threads.
The first harness asks the policy for a plan, one letter for each of {fields} choices (grammar.py), and renders it \
(render_c.py); decided.py fixes choices."""


def load(seed: int, folds: int, limit: int | None) -> Task:
    """The seed deals the sizes; test has the published ones, scaled."""
    cases = {case.id: case for case in make_cases(seed, min(TRAIN, limit or TRAIN), DEV, HIDDEN, folds)}
    fields = {name: tuple(map(str, values)) for name, values in CHOICES.items()}
    return Task(
        name=NAME,
        description=DESCRIPTION.format(flags=" ".join(FLAGS), signature=SIGNATURE, fields=len(fields)),
        labels=(),
        cases=cases,
        gold=gold_of(cases.values()),
        packaged=packaged(__package__, PACKAGED, fields),
        forms=forms_of(fields),
        compiles=True,
    )
