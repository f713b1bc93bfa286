"""How soon `demo` shows the recorded run, in turns with the smallest Textual app there is, each over a real terminal.

    python -m tests.benchmarks.bench_demo [ROUNDS, default 5]

First content is the parts of the live pane, as the recorded run stood when it began; they come once it is unpacked and read.
"""

from __future__ import annotations

import os
import statistics
import sys

from tests.benchmarks.bench_large import SMALLEST, until_seen

DEMO = [sys.executable, "-m", "sia_tui", "demo"]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    plain, found = [], []
    for _ in range(rounds):
        plain.append(until_seen([sys.executable, "-c", SMALLEST], dict(os.environ), "SMALLEST"))
        found.append(until_seen(DEMO, dict(os.environ), "GENERATIONS", "BUDGET"))
    middle, least = statistics.median(found), statistics.median(plain)
    print(
        f"demo: first content {middle:.2f} s ({min(found):.2f}–{max(found):.2f}), {middle / least:.2f} × the smallest app;"
        f" load {os.getloadavg()[0]:.0f}"
    )


if __name__ == "__main__":
    main()
