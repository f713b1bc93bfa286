"""What an episode costs the one process that writes: its event, row and trajectory in a transaction, the room it takes, and
what it costs every later start of the engine, which folds the log. Beside it the same rows a hundred to a transaction, by SQLite
alone: what a writer that gathers could come to. In CPU time, so that a busy machine counts less.

python -m tests.benchmarks.bench_events [episodes, default 20000]
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sia_tui.core import events as ev
from sia_tui.core.episodes import Attempt, Call, Case, Score
from sia_tui.store.trajectories import pack
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
SCORE = Score(1.0, None, {})
TOGETHER = 100
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
        gathered = cost(lambda: gather(Path(folder) / "gathered.db", episodes)) / episodes
    rate = WORKERS / EPISODE_S
    print(
        f"writing an episode: {1e6 * writing:.0f} µs of CPU, {size / 1024:.2f} KiB; to fold it: {1e6 * opening:.0f} µs"
    )
    print(f"the same, {TOGETHER} to a transaction: {1e6 * gathered:.0f} µs")
    print(f"a writer on one core: {1 / writing:,.0f} episodes a second; {WORKERS:,} workers make {rate:,.0f}")
    print(
        f"{WHOLE:,} episodes: {WHOLE * writing / 3600:.1f} h of one core, {WHOLE * size / 2**30:.0f} GiB, "
        f"{WHOLE * opening / 60:.0f} min to start an engine again"
    )


def write(store: RunStore, episodes: int) -> None:
    for number in range(episodes):
        case = replace(CASE, id=f"train-{number % 3000}")
        store.record_episode(f"e{number}", "key", replace(ATTEMPT, case=case), Score(float(number % 2), None, {}))


def gather(path: Path, episodes: int) -> None:
    with sqlite3.connect(path) as db:
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=normal")
        db.execute("create table events (seq integer primary key, at, kind, data)")
        db.execute("create table episodes (id primary key, key, case_id, reward, answer, tokens, seconds, at)")
        db.execute("create table trajectories (episode primary key, body)")
        for start in range(0, episodes, TOGETHER):
            some = range(start, start + TOGETHER)
            bodies = [(f"e{one}", zlib.compress(pack(ATTEMPT, SCORE))) for one in some]
            told = [("at", "EpisodeDone", json.dumps({"id": f"e{one}", "key": "key", "tokens": 227})) for one in some]
            rows = [(f"e{one}", "key", f"train-{one % 3000}", 1.0, "theft", 227, 0.2, "at") for one in some]
            with db:
                db.executemany("insert into events (at, kind, data) values (?, ?, ?)", told)
                db.executemany("insert into episodes values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
                db.executemany("insert into trajectories values (?, ?)", bodies)
    db.close()


def cost(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def room(folder: str) -> int:
    return sum(file.stat().st_size for file in Path(folder).iterdir())


if __name__ == "__main__":
    main()
