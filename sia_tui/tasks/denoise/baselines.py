"""What needs no policy: no denoising, kNN smoothing, MAGIC as it comes, and MAGIC with parameters tuned on train.

`python -m sia_tui.tasks.denoise.baselines --job JOB.json`; progress to stdout as JSON lines {"done", "total", "what"}.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from sia_tui.core.episodes import Split

TUNED_ON = 4
"""Train tissues that MAGIC's parameters are chosen on."""
NAMES = ("none", "knn", "magic", "magic-tuned")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(job: Path, report: Callable[[int, int, str], None]) -> None:
    """Rewards of each null by tissue, written whole at the end; the tuned parameters are kept beside the tissues."""
    from sia_tui.tasks.denoise.nulls import knn_smoothing, magic, no_denoising
    from sia_tui.tasks.denoise.protocol import Counts, Matrix, judge
    from sia_tui.tasks.denoise.store import TissueStore
    from sia_tui.tasks.denoise.tuning import Settings, magic_with, tune

    told = json.loads(job.read_text(encoding="utf-8"))
    store, names = TissueStore(Path(told["store"])), told["tissues"]
    kept = store.folder / "magic.json"
    report(0, len(names), "tuning MAGIC on train")
    if not kept.exists():
        train = [name for name in store.facts(lambda said: None) if name.startswith("train-")]
        settings = tune([store.tissue(name) for name in train[:TUNED_ON]])
        kept.write_text(json.dumps(asdict(settings)), encoding="utf-8")
    tuned = magic_with(Settings(**json.loads(kept.read_text(encoding="utf-8"))))
    made: tuple[Callable[[Counts], Matrix], ...] = (no_denoising, knn_smoothing, magic, tuned)
    nulls = dict(zip(NAMES, made, strict=True))
    found: dict[str, dict[str, float]] = {name: {} for name in nulls}
    for done, tissue in enumerate(map(store.tissue, names)):
        report(done, len(names), tissue.name)
        for name, null in nulls.items():
            found[name][tissue.name] = judge(tissue.train, tissue.test, null(tissue.train))["reward"]
    draft = job.with_suffix(".draft")
    draft.write_text(json.dumps(found), encoding="utf-8")
    draft.replace(job.with_suffix(".rewards"))


def write_job(folder: Path, store: Path, split: Split, tissues: Sequence[str]) -> Path:
    """The JOB file of one split's tissues."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{split}-job.json"
    path.write_text(json.dumps({"store": str(store), "tissues": list(tissues)}), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sia_tui.tasks.denoise.baselines", description=__doc__)
    parser.add_argument("--job", type=Path, required=True)
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    job = parser.parse_args().job
    run(job, lambda done, total, what: print(json.dumps({"done": done, "total": total, "what": what}), flush=True))


if __name__ == "__main__":
    main()
