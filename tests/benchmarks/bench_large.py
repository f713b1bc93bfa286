"""The window on a run of 1,000,000 events and 100,000 trajectories, over a real terminal: how soon it shows something, and
what it costs while 5,000 events a second arrive, left alone and with its help opened and closed all the time. Beside it, in the
same rounds, the smallest Textual app there is; beside the help, a screen full of text under a dialogue full of text, with nothing
arriving, by the same keys.

What arrives is what an engine writes in a training: every event an episode's, with its row (a tenth with their trajectories,
which nobody reads unasked: all of them would be 3 GB in ten minutes), and progress, metrics and a reading of the machine as
often as an engine has them. The events that are there are episodes' too, one in ten with its row.

python -m tests.benchmarks.bench_large [seconds of arriving events, default 60]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path

from tests.terminal import Terminal
from tests.tui.runs import make_run

EVENTS, EPISODES = 1_000_000, 100_000
ROUNDS = 5
PER_SECOND, EVERY_S = 5_000, 0.1
KEY_EVERY_S = 0.4
TICKS = os.sysconf("SC_CLK_TCK")
SMALLEST = """
from textual.app import App
from textual.widgets import Static

class Smallest(App):
    def compose(self):
        yield Static("SMALLEST")

Smallest().run()
"""
PLAIN = """
from textual.app import App
from textual.screen import ModalScreen
from textual.widgets import Static

def text(name):
    return "\\n".join([name, *("what a line of text says " * 3 for _ in range(30))])

class Box(ModalScreen):
    BINDINGS = [("question_mark", "dismiss")]
    CSS = "Box { align: center middle; & > Static { width: 76; height: auto; border: round $primary; background: $surface; } }"

    def compose(self):
        yield Static(text("keys: plain"))

class Plain(App):
    BINDINGS = [("question_mark", "open")]

    def compose(self):
        yield Static(text("PLAIN"))

    def action_open(self):
        self.push_screen(Box())

Plain().run()
"""
AT = "2026-01-05T07:00:00.000+00:00"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = make_run(Path(folder) / "runs" / "large", "training")
        fill(paths.db)
        environment = os.environ | {"SIA_WORKSPACE": folder, "XDG_CONFIG_HOME": folder}
        attach = [sys.executable, "-m", "sia_tui", "attach", "large"]
        opening(attach, environment)
        arriving(attach, environment, paths.db, float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)


def fill(db: Path) -> None:
    with sqlite3.connect(db) as connection:
        body = connection.execute("select body from trajectories limit 1").fetchone()[0]
        write(connection, "b", body, EVENTS, EPISODES, EPISODES)
    connection.close()


def write(connection: sqlite3.Connection, name: str, body: bytes, events: int, rows: int, bodies: int) -> None:
    told = json.dumps({"id": "e", "key": "k", "case": "c"})
    connection.executemany(
        "insert into events (at, kind, data) values (?, 'EpisodeDone', ?)", ((AT, told) for _ in range(events))
    )
    connection.executemany(
        "insert into episodes (id, key, case_id, split, reward, source, tokens, seconds, isolation, at, answer)"
        " values (?, 'k', ?, 'train', 1.0, 'policy', 100, 0.1, 'bwrap', ?, 'x')",
        ((f"{name}-{n}", f"c-{n}", AT) for n in range(rows)),
    )
    connection.executemany(
        "insert into trajectories (episode, body) values (?, ?)", ((f"{name}-{n}", body) for n in range(bodies))
    )


def opening(attach: list[str], environment: dict[str, str]) -> None:
    paints, contents, plain = [], [], []
    for _ in range(ROUNDS):
        plain.append(until_seen([sys.executable, "-c", SMALLEST], environment, "SMALLEST"))
        paints.append(until_seen(attach, environment, "history"))
        contents.append(until_seen(attach, environment, "GENERATIONS", "g2"))
    least = statistics.median(plain)
    for what, found in (("first paint", paints), ("first content", contents)):
        middle = statistics.median(found)
        print(f"{what}: {middle:.2f} s ({min(found):.2f}–{max(found):.2f}), {middle / least:.2f} × the smallest app")


def until_seen(command: list[str], environment: dict[str, str], *texts: str) -> float:
    began = time.perf_counter()
    with Terminal(command, environment) as terminal:
        terminal_until(terminal, lambda seen: all(text.encode() in seen for text in texts))
        return time.perf_counter() - began


def terminal_until(terminal: Terminal, holds: Callable[[bytes], bool], within_s: float = 60.0) -> bytes:
    """What came until it holds. Raw bytes: an emulator would take longer than what is measured."""
    seen, end = b"", time.monotonic() + within_s
    while not holds(seen):
        assert time.monotonic() < end, seen[-2000:]
        if select.select([terminal.fd], [], [], 0.05)[0]:
            seen += os.read(terminal.fd, 1 << 16)
    return seen


def arriving(attach: list[str], environment: dict[str, str], db: Path, seconds: float) -> None:
    with Terminal([sys.executable, "-c", PLAIN], environment) as terminal:
        terminal_until(terminal, lambda seen: b"PLAIN" in seen)
        plain = Keys.pressed(terminal, "PLAIN", seconds / 4)
    # In a process of its own, as an engine is: a thread of this one would hold up what reads the clock.
    spawn = multiprocessing.get_context("spawn")
    over = spawn.Event()
    writer = spawn.Process(target=writing, args=(db, over), daemon=True)
    with Terminal(attach, environment) as terminal:
        terminal_until(terminal, lambda seen: b"GENERATIONS" in seen)
        writer.start()
        before = resident(terminal.pid)
        began, used = time.monotonic(), cpu(terminal.pid)
        drain(terminal, seconds / 4)
        alone = (cpu(terminal.pid) - used) / (time.monotonic() - began)
        keys = Keys.pressed(terminal, "GENERATIONS", seconds)
        over.set()
        writer.join()
    print(
        f"{PER_SECOND:,} events/s for {seconds:.0f} s: {alone:.0%} of a core left alone; {keys},"
        f" {keys.middle / plain.middle:.2f} and {keys.late / plain.late:.2f} × a plain dialogue;"
        f" {before:.0f} → {keys.sizes[-1]:.0f} MB, most {max(keys.sizes):.0f}"
    )
    print(f"a plain dialogue over a plain screen, nothing arriving: {plain}")


@dataclass(frozen=True)
class Keys:
    """What it took to open and close the help, over and over."""

    delays: list[float]
    """Seconds from a key to its picture, the shortest first."""
    share: float
    """Of a core."""
    sizes: list[float]
    """Megabytes in memory after each round."""

    @property
    def middle(self) -> float:
        return self.delays[len(self.delays) // 2]

    @property
    def late(self) -> float:
        return self.delays[int(0.95 * len(self.delays))]

    def __str__(self) -> str:
        often = 1 / KEY_EVERY_S
        return (
            f"with a key up to {often:.1f} times a second {self.share:.0%}, key to paint p50 {1000 * self.middle:.0f} ms,"
            f" p95 {1000 * self.late:.0f} ms of {len(self.delays)}"
        )

    @classmethod
    def pressed(cls, terminal: Terminal, below: str, seconds: float) -> Keys:
        delays, sizes = [], []
        began, used = time.monotonic(), cpu(terminal.pid)
        while time.monotonic() < began + seconds:
            for text in ("keys: ", below):
                drain(terminal, KEY_EVERY_S)
                pressed = time.perf_counter()
                terminal.press("?")
                terminal_until(terminal, lambda seen, text=text: text.encode() in seen)  # type: ignore[misc]
                delays.append(time.perf_counter() - pressed)
            sizes.append(resident(terminal.pid))
        return cls(sorted(delays), (cpu(terminal.pid) - used) / (time.monotonic() - began), sizes)


def drain(terminal: Terminal, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal.fd], [], [], left)[0]:
            os.read(terminal.fd, 1 << 16)


def writing(db: Path, over: Event) -> None:
    connection = sqlite3.connect(db, timeout=30)
    connection.execute("pragma synchronous = normal")
    body = connection.execute("select body from trajectories limit 1").fetchone()[0]
    batch, each = 0, round(PER_SECOND * EVERY_S)
    due = time.monotonic()
    while not over.is_set():
        with connection:
            write(connection, f"live-{batch}", body, each, each, each // 10)
            heartbeat(connection, batch)
        batch, due = batch + 1, due + EVERY_S
        over.wait(max(0.0, due - time.monotonic()))
    connection.close()


def heartbeat(connection: sqlite3.Connection, batch: int) -> None:
    """What an engine says beside its log: progress twice a second, a step's metrics each second, the machine each three."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    if batch % 5 == 0:
        connection.execute("update progress set done = done + 1, beat_at = ?", (at,))
    if batch % 10 == 0:
        values = json.dumps({"reward": 0.5, "held_out": 0.4, "loss": 0.1, "entropy": 0.7, "kl": 0.01})
        query = "insert into metrics select proposal, max(step) + 1, ?, ? from metrics group by proposal"
        connection.execute(query, (at, values))
    if batch % 30 == 0:
        connection.execute("update machine set at = ?", (at,))


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1000


if __name__ == "__main__":
    main()
