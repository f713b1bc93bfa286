"""What an episode costs the one process that writes: its event, row and trajectory in a transaction, the room it takes, and
what it costs every later start of the engine, which folds the log. In CPU time, so that a busy machine counts less.

python -m tests.benchmarks.bench_events [episodes, default 20000]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sia_tui.core import events as ev
from sia_tui.core.episodes import Attempt, Call, Case, Score
from sia_tui.store.writer import RunStore

WORKERS, WHOLE, EPISODE_S = 1_000, 10_000_000, 0.2
PROMPT, SAMPLED = 215, 12
"""Tokens of one call, as LawBench's harness makes them with the nano policy."""
CALL = Call(
    messages=({"role": "user", "content": "the facts of a case, and ten charges with letters " * 20},),
    text="answer: C",
    prompt_ids=tuple(range(PROMPT)),
    completion_ids=tuple(range(SAMPLED)),
    logprobs=tuple(-0.123456789 / (1 + place) for place in range(SAMPLED)),
    adapter=None,
    temperature=0.0,
    top_p=1.0,
    max_tokens=64,
    finish_reason="stop",
    seconds=0.2,
)
CASE = Case("train-0", "train", {"text": "the facts of a case " * 40}, 0)
ATTEMPT = Attempt(CASE, "theft", "policy", (CALL,), (), None, 0.2, "bwrap")


def main() -> None:
    episodes = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.db"
        with RunStore(path) as store:
            store.record(ev.RunCreated("r", "lawbench", "config"))
            empty = room(folder)
            writing = cost(lambda: write(store, episodes)) / episodes
        size = (room(folder) - empty) / episodes
        opening = cost(lambda: RunStore(path).__exit__(None, None, None)) / episodes
    rate = WORKERS / EPISODE_S
    print(
        f"writing an episode: {1e6 * writing:.0f} µs of CPU, {size / 1024:.2f} KiB; to fold it: {1e6 * opening:.0f} µs"
    )
    print(f"a writer on one core: {1 / writing:,.0f} episodes a second; {WORKERS:,} workers make {rate:,.0f}")
    print(
        f"{WHOLE:,} episodes: {WHOLE * writing / 3600:.1f} h of one core, {WHOLE * size / 2**30:.0f} GiB, "
        f"{WHOLE * opening / 60:.0f} min to start an engine again"
    )


def write(store: RunStore, episodes: int) -> None:
    for number in range(episodes):
        case = replace(CASE, id=f"train-{number % 3000}")
        store.record_episode(f"e{number}", "key", replace(ATTEMPT, case=case), Score(float(number % 2), None, {}))


def cost(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def room(folder: str) -> int:
    return sum(file.stat().st_size for file in Path(folder).iterdir())


if __name__ == "__main__":
    main()
