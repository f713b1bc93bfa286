"""Denoising as a task: a case is a tissue, its inputs what is told of it, the answer a Python function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sia_tui.core.episodes import Case, Split
from sia_tui.tasks.denoise.grammar import FIELDS
from sia_tui.tasks.denoise.store import Progress, TissueStore, key_hash, open_store
from sia_tui.tasks.plans import forms_of, packaged
from sia_tui.tasks.task import Task

NAME = "denoise"
INITIALS: Mapping[str, str] = {"train": "t", "dev": "d", "hidden": "h", "test": "e"}
"""In a case's id: no two splits share one, or a case of the one would stand in for one of the other."""
SPLITS: Mapping[str, Split] = {"train": "train", "dev": "dev", "hidden": "hidden", "test": "test"}
PACKAGED = ("grammar.py", "render.py")
"""Of this folder, what the first harness is given too."""
DESCRIPTION = """\
Denoising of single-cell RNA counts. A case is a tissue: a matrix of molecules, cells by genes, from which a tenth of the \
molecules was held out. inputs tell its numbers of cells and genes, the molecules of a median cell (depth), and the percentage \
of zeros. The answer is the source of a Python function, `def denoise(counts: np.ndarray) -> np.ndarray`, with numpy alone: it \
gets the counts that are left and gives expected counts, in the same shape, finite and not negative.
The score of a case is mse_norm: 0 for no denoising, 1 for the held-out molecules themselves, after scaling to 1e4 and \
log1p. It is paid only where poisson_norm is at least 0.97 and the held-out molecules are as likely as under the tissue's mean \
profile. Failures: no_gain, poisson, likelihood, and what goes wrong in running it.
The first harness asks the policy for a plan, one letter for each of {fields} choices of a pipeline (grammar.py), and renders \
it (render.py); decided.py fixes choices."""


@dataclass(frozen=True)
class DenoiseTask(Task):
    """Holds the way to the held-out molecules: it stays on the engine's side."""

    store: TissueStore = field(default_factory=lambda: TissueStore(Path()), repr=False)
    names: dict[str, str] = field(default_factory=dict, repr=False)
    """Tissue by case id."""


def load(folder: Path, seed: int, folds: int, limit: int | None, progress: Progress = lambda said: None) -> DenoiseTask:
    """The task of the store in `folder`, which is made where there is none: of made-up tissues, unless own tissues were put
    there before (`own_tissues`). The seed deals train's folds."""
    store = open_store(folder)
    facts, key = store.facts(progress), key_hash(store)
    cases, names = {}, {}
    for name, told in facts.items():
        split, _, number = name.partition("-")
        index = int(number)
        if split == "train" and limit is not None and index >= limit:
            continue
        id = f"{key[:6]}{INITIALS[split]}{number}"
        names[id] = name
        cases[id] = Case(id, SPLITS[split], dict(told), (index + seed) % folds if split == "train" else None)
    return DenoiseTask(
        name=NAME,
        description=DESCRIPTION.format(fields=len(FIELDS)),
        labels=(),
        cases=cases,
        gold=dict.fromkeys(cases, ""),
        packaged=packaged(__package__, PACKAGED, FIELDS),
        forms=forms_of(FIELDS),
        store=store,
        names=names,
    )
