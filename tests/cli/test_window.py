"""When the window opens and when lines are printed; what a terminal is left with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sia_tui.cli.main import main
from tests.terminal import Terminal
from tests.tui.runs import make_run


def attached(workspace: Path) -> Terminal:
    command = [sys.executable, "-m", "sia_tui", "attach", "r", "--workspace", str(workspace)]
    return Terminal(command, os.environ)


def test_attach_on_a_terminal_opens_the_window_and_q_leaves_it(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "r", "plan_gate")
    with attached(tmp_path) as terminal:
        terminal.see("serves")
        terminal.see("GATE waits")
        terminal.press("q")
        assert terminal.wait() == 0
    assert "r: no engine is running; go on with: sia-tui resume r" in terminal.after()


def test_the_window_is_as_large_as_its_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    make_run(tmp_path / "runs" / "r", "plan_gate")
    with attached(tmp_path) as terminal:
        assert max(map(len, map(str.rstrip, terminal.see("serves").splitlines()))) > 100


def test_a_window_that_is_killed_leaves_the_run_alone(tmp_path: Path) -> None:
    db = make_run(tmp_path / "runs" / "r", "plan_gate").db
    before = db.read_bytes()
    with attached(tmp_path) as terminal:
        terminal.see("serves")
        os.kill(terminal.pid, signal.SIGKILL)
        terminal.wait()
    assert db.read_bytes() == before


@pytest.mark.parametrize("plain", [["--plain"], []])
def test_attach_without_a_terminal_prints_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], plain: list[str]
) -> None:
    make_run(tmp_path / "runs" / "r", "done")
    assert main(["attach", "r", "--workspace", str(tmp_path), *plain]) == 0
    told = capsys.readouterr().out
    assert "run done: all 4 steps made" in told and "no engine is running; see: sia-tui show r" in told


@pytest.mark.parametrize(
    "arguments",
    [["ls"], ["show", "r"], ["pending"], ["attach", "r", "--plain"], ["approve", "gate-9", "--hash", "12345678"]],
    ids=lambda arguments: arguments[0],
)
def test_a_verb_that_prints_imports_neither_textual_nor_torch(tmp_path: Path, arguments: list[str]) -> None:
    make_run(tmp_path / "runs" / "r", "fresh")
    code = (
        "import sys\nfrom sia_tui.cli.main import main\n"
        f"main({[*arguments, '--workspace', str(tmp_path)]!r})\n"
        "print([name for name in ('textual', 'textual_plot', 'torch', 'numpy') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"


def test_the_first_picture_waits_for_no_pane_and_nothing_heavy() -> None:
    """Each would cost a person a tenth of a second or more before anything is seen."""
    heavy = (
        "pydantic",
        "numpy",
        "textual_plot",
        "sia_tui.engine",
        "sia_tui.tui.screens.gate",
        "sia_tui.tui.screens.live",
    )
    code = f"import sys\nimport sia_tui.cli.window, sia_tui.tui.app\nprint([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
