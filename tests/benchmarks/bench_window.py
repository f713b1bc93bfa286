"""What the window costs beside the plain tool: an 8,000-line diff against difflib, 100,000 rollouts against one plain query.

python -m tests.benchmarks.bench_window
"""

from __future__ import annotations

import difflib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sia_tui.store.browse import Browser, Wanted
from sia_tui.tui.diffing import parse
from tests.tui.runs import make_run

ROUNDS = 7
SCREEN = 40


def main() -> None:
    diff()
    rollouts()


def seconds(work: Callable[[], object]) -> float:
    """Median of some rounds."""
    spent = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def diff() -> None:
    old = [f"def f{n}(a, b): return a + b * {n}\n" for n in range(8000)]
    new = [line.replace("a + b", "b + a") if n % 5 == 0 else line for n, line in enumerate(old)]
    text = "".join(difflib.unified_diff(old, new, "a/f", "b/f"))

    def shown() -> None:
        parsed = parse(text)
        for index in range(SCREEN):
            parsed.shown(index)

    plain = seconds(lambda: list(difflib.unified_diff(old, new)))
    mine = seconds(shown)
    print(f"8,000-line diff to a first screen: {1000 * mine:.0f} ms, {mine / plain:.2f} × difflib's own diff")


def rollouts() -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = make_run(Path(folder) / "runs" / "r", "training")
        with sqlite3.connect(paths.db) as connection:
            connection.executemany(
                "insert into episodes (id, key, case_id, split, reward, source, tokens, seconds, isolation, at, answer)"
                " values (?, 'k', ?, 'train', 1.0, 'policy', 100, 0.1, 'bwrap', '2026-01-05T07:00:00+00:00', 'x')",
                ((f"b-{n}", f"c-{n}") for n in range(100_000)),
            )
        browser = Browser(paths.db)

        def first() -> None:
            numbers = browser.numbers(Wanted())
            browser.rows(numbers[-SCREEN:])

        plain = seconds(lambda: connection.execute("select * from episodes").fetchall())
        mine = seconds(first)
        browser.close()
        connection.close()
    print(f"100,000 rollouts to a first screen: {1000 * mine:.0f} ms, {mine / plain:.2f} × reading every row")


if __name__ == "__main__":
    main()
