"""TriMul on this machine's GPU: what is held off, and microseconds by public shape, beside what was published.

    python -m tests.benchmarks.bench_gpu [--module FILE.py]... [--plans 0] [--seed 0] [--out FILE.json] [--no-exploits]

Timed are plain PyTorch, one plan written by hand, as many random plans as asked for, and modules of one's own, GPU
MODE's too. Without a GPU: one line, and exit 1.
Never yet run on a GPU.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from sia_tui.core.episodes import Score
from sia_tui.harness.sandbox import choose, probe
from sia_tui.tasks.trimul.cases import PUBLISHED
from sia_tui.tasks.trimul.gpu import trial as trying
from sia_tui.tasks.trimul.gpu.attacks import attacks
from sia_tui.tasks.trimul.gpu.home import home, only
from sia_tui.tasks.trimul.gpu.ready import card_of, last_gpu, missing
from sia_tui.tasks.trimul.gpu.trial import Trial
from sia_tui.tasks.trimul.grammar import parse_as
from sia_tui.tasks.trimul.grammar_triton import CHOICES, Plan
from sia_tui.tasks.trimul.render_triton import render
from sia_tui.tasks.trimul.spec import Shape
from tests.tasks.trimul.conftest import wall_at

PLAN = (
    "dot=fp16 pairs=64 channels=32 slice=32 norm=fused sides=apart outgate=early lie=first sums=first keep=bf16 "
    "ti=128 tj=64 tk=32 group=8 stages=3 warps=8"
)
"""By hand and by reasoning; no plan was ever timed."""
PUBLIC_US = {"best human, H100": 1371.0, "TTT-Discover, H100": 1161.0}
"""Geometric means over the same seven shapes, by CUDA events (arXiv 2601.16175)."""
ATTACKED = PUBLISHED[0]
SLACK = 0.1
"""Of the reward, that an honest attempt may be paid more than plain PyTorch."""

Entry = Callable[[Shape], str]


def main(argv: list[str] | None = None) -> None:
    options = _options(argv)
    if why := missing():
        sys.exit(f"bench-gpu is skipped: {why}")
    gpu = last_gpu()
    os.environ.update(only(gpu))
    import torch

    with tempfile.TemporaryDirectory(prefix="trimul-gpu-") as name:
        folder, wall = Path(name), wall_at(choose("auto", probe()))
        theirs, ours = (home(folder / it, "cuda", wall, gpu=gpu) for it in ("theirs", "ours"))
        with Trial("cuda", card_of("cuda"), theirs, ours, folder / "lock") as trial:
            held = {} if options.no_exploits else _attacked(trial)
            timed = {name: _timed(name, trial, entry) for name, entry in _entries(options).items()}
    told = {"card": torch.cuda.get_device_name(0), "torch": torch.__version__, "timed": timed, "exploits": held}
    options.out.write_text(json.dumps(told, indent=2))
    print(f"\n{table(timed)}\n\n{told['card']}; details: {options.out}")
    sys.exit(0 if all(held.values()) else 1)


def table(timed: dict[str, list[dict[str, float | str]]]) -> str:
    """Markdown: a row an entry, a column a shape, the geometric mean where every shape was right."""
    heads = [f"{s.batch}×{s.n}, {s.dim}{' mask' if s.masked else ''}, {s.distribution}" for s in PUBLISHED]
    rows = ["| µs | " + " | ".join(heads) + " | geometric mean |", "|---" * (len(heads) + 2) + "|"]
    for name, results in timed.items():
        cells = [f"{one['us']:.1f}" if "us" in one and not one["failure"] else str(one["failure"]) for one in results]
        times = [float(one["us"]) for one in results if "us" in one and not one["failure"]]
        mean = f"{statistics.geometric_mean(times):.1f}" if len(times) == len(PUBLISHED) else "–"
        rows.append(f"| {name} | {' | '.join(cells)} | {mean} |")
    published = [
        f"| {name} (published) | {' | '.join(['–'] * len(heads))} | {us:.0f} |" for name, us in PUBLIC_US.items()
    ]
    return "\n".join(rows + published)


def _entries(options: argparse.Namespace) -> dict[str, Entry]:
    entries: dict[str, Entry] = {
        "plain PyTorch": _written(Path(trying.__file__).with_name("plain.py")),
        "a plan by hand": partial(render, parse_as(Plan, PLAN)),
    }
    rng = Random(options.seed)
    for number in range(options.plans):
        plan = Plan(**{name: rng.choice(values) for name, values in CHOICES.items()})
        entries[f"random plan {number}"] = partial(render, plan)
    for path in options.module:
        entries[path.stem] = _written(path)
    return entries


def _written(path: Path) -> Entry:
    """The same module for every shape."""
    text = path.read_text("utf-8")
    return lambda shape: text


def _timed(name: str, trial: Trial, entry: Entry) -> list[dict[str, float | str]]:
    results: list[dict[str, float | str]] = []
    for shape in PUBLISHED:
        score = trial.score(entry(shape), shape)
        results.append({"shape": str(shape), "failure": score.failure or "", **score.metrics, **score.detail})
        print(f"{name}: {shape}: {_told(score)}", flush=True)
    return results


def _attacked(trial: Trial) -> dict[str, bool]:
    plain = trial.score_null(ATTACKED)
    print(f"plain PyTorch: {_told(plain)}", flush=True)
    held = {}
    for attack in attacks():
        score = trial.score(attack.source, ATTACKED)
        held[attack.name] = attack.held_off(score.failure) and score.reward < plain.reward + SLACK
        print(f"{'held off' if held[attack.name] else 'GOT THROUGH'}: {attack.name}: {_told(score)}", flush=True)
    return held


def _told(score: Score) -> str:
    us = score.metrics.get("us", math.nan)
    return f"{us:.1f} µs, reward {score.reward:.3f}" if score.failure is None else f"{score.failure}: {score.detail}"


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", type=Path, action="append", default=[])
    parser.add_argument("--plans", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-gpu.json"))
    parser.add_argument("--no-exploits", action="store_true")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
