"""What a real terminal is sent, byte for byte, by a window on a run whose every text is hostile; and what it makes of trouble."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import sys
import time
import unicodedata
from contextlib import closing
from pathlib import Path

from sia_tui.core import events as ev
from sia_tui.harness.repository import HarnessRepository
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths, Workspace
from tests.terminal import Terminal
from tests.tui.runs import make_run
from tests.tui.soiled import soiled_run
from tests.tui.test_changing import FILES

OWN = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # control sequences
    r"|\x1b\](?:0;[^\x07\x1b]*|22;[^\x07\x1b]*|11;\?)(?:\x07|\x1b\\)"  # the title, and asking for the background
    r"|\x1bP[^\x1b]*\x1b\\"  # asking what the terminal can do
    r"|\x1b[=>78]"
)
"""What the window's framework says to a terminal. Writing to the clipboard is not among it."""
MOVES = re.compile(r"\x1b\[[0-9;]*[fHABCDEFGdJKLMPX@STr]")


EDITOR = """
import os, pathlib, sys
assert os.isatty(0) and os.isatty(1)
path = pathlib.Path(sys.argv[1])
path.write_text(path.read_text().replace("[:10]", "[:5]"))
"""


def open_window(workspace: Path, *arguments: str) -> Terminal:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "SIA_WORKSPACE": str(workspace), "TZ": "UTC"}
    (workspace / "editor.py").write_text(EDITOR)
    environment["VISUAL"] = f"{sys.executable} {workspace / 'editor.py'}"
    return Terminal([sys.executable, "-m", "sia_tui", *arguments], environment)


def test_no_byte_of_others_steers_a_real_terminal_whatever_befalls_the_run(tmp_path: Path) -> None:
    paths = soiled_run(Workspace(tmp_path).runs / "r", "patch_gate")
    with open_window(tmp_path, "attach", "r") as terminal:
        terminal.see("GENERATIONS")
        for key, there in (("4", "dev-0039"), ("5", "REWARD"), ("6", "Vote over"), ("1", "RUNS"), ("3", "other lever")):
            terminal.press(key)
            terminal.see(there)
            stands(terminal, "[red]x[/]")
            if key == "4":
                terminal.press("\r")
                terminal.see("罪名")
                stands(terminal, "[@click=app.quit]y[/][link=https://a.example]z[/link]")
                terminal.press("\x1b")
                time.sleep(0.3)
        locked(terminal, paths.db)
        vanish(paths.root)
        for key in "4562":
            terminal.press(key)
            time.sleep(0.1)
            terminal.screen()
        terminal.see("cannot read: r: its folder is gone")
        terminal.press("q")
        assert terminal.wait() == 0
    said = terminal.raw.decode("utf-8")
    assert "盗窃" in said and len(MOVES.findall(said)) > 100 and "Traceback" not in said
    assert "\x1b[22;0t\x1b]0;" in said and said.rindex("\x1b[23;0t") > said.rindex("\x1b]0;"), (
        "its title, and its own again"
    )
    assert "● 1 waiting · r · sia-tui" in re.findall(r"\x1b\]0;([^\x07\x1b]*)", said)
    left = OWN.sub("", said)
    assert {char for char in left if char not in "\r\n\t" and unicodedata.category(char) in ("Cc", "Cf")} == set()
    assert "\x1b]52" not in said


def stands(terminal: Terminal, text: str) -> None:
    """Below the window's first lines, which have the run's task."""
    end = time.monotonic() + 20
    while text not in terminal.screen().split("\n", 2)[2]:
        assert time.monotonic() < end, f"{text!r} did not come; the screen is\n{terminal.screen()}"


def vanish(folder: Path) -> None:
    """Whoever reads the run puts SQLite's own files into it meanwhile."""
    end = time.monotonic() + 10
    while folder.exists():
        assert time.monotonic() < end, list(folder.iterdir())
        shutil.rmtree(folder, ignore_errors=True)


def locked(terminal: Terminal, db: Path) -> None:
    """For five seconds somebody else writes, and what was asked meanwhile is done after it."""
    writer = sqlite3.connect(db, isolation_level=None)
    writer.execute("begin immediate")
    end = time.monotonic() + 5.0
    time.sleep(0.7)
    terminal.press("d")
    while time.monotonic() < end:
        terminal.screen()
    terminal.press("2")
    terminal.see("GENERATIONS")
    writer.execute("rollback")
    writer.close()
    until_put_off(terminal, db)


def until_put_off(terminal: Terminal, db: Path) -> None:
    end = time.monotonic() + 20
    with closing(RunReader(db)) as reader:
        while not isinstance(reader.log()[-1].event, ev.GateDeferred):
            assert time.monotonic() < end, f"the gate was not put off; the screen is\n{terminal.screen()}"
            terminal.screen()


def on_a_harness(paths: RunPaths) -> None:
    """What the patch is against, in a real repository."""
    files = {name: text.encode() for name, text in FILES.items()}
    with closing(RunReader(paths.db)) as reader:
        step = reader.state().current
    assert step is not None
    _, commit = HarnessRepository.plant(Workspace(paths.root.parents[1]).harness_repository, "lawbench", files)
    with closing(sqlite3.connect(paths.db)) as store, store:
        store.execute("update events set data = replace(data, ?, ?)", (step.proposal.base_commit, commit))


def test_e_lends_the_terminal_to_an_editor_and_what_it_leaves_is_another_proposal(tmp_path: Path) -> None:
    paths = make_run(Workspace(tmp_path).runs / "r", "patch_gate")
    on_a_harness(paths)
    with open_window(tmp_path, "attach", "r") as terminal:
        terminal.see("GENERATIONS")
        terminal.press("3")
        terminal.see("gate-4 ·")
        time.sleep(0.7)
        terminal.press("e")
        terminal.see("edited: a yes makes a new proposal")
        terminal.press("a")
        terminal.see("amended gate-4: sent in")
        terminal.see("takes its place")
        # Until the log is read again whoever leaves is asked about a gate that waits.
        terminal.see("No gate waits")
        terminal.press("\x11")
        assert terminal.wait() == 0
    with closing(RunReader(paths.db)) as reader:
        made = reader.state().current
    assert made is not None and made.proposal.patch is not None
    assert "[:5]" in made.proposal.patch and "[:10]" not in made.proposal.patch


def test_a_window_whose_terminal_is_gone_ends_also_where_a_hangup_was_ignored(tmp_path: Path) -> None:
    make_run(Workspace(tmp_path).runs / "r", "patch_gate")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "SIA_WORKSPACE": str(tmp_path)}
    command = ["sh", "-c", f"trap '' HUP; exec {sys.executable} -m sia_tui attach r"]
    with Terminal(command, environment) as terminal:
        terminal.see("GENERATIONS")
        os.close(terminal.fd)
        terminal.fd = os.open(os.devnull, os.O_RDONLY)
        end = time.monotonic() + 20
        while terminal.ended() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert terminal.ended() == -signal.SIGHUP
