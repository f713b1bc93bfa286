"""What somebody asked for finds no room: said in one line, with where and what to do, and nothing half of it is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sia_tui.harness.sandbox import probe
from tests.cli.exported import Shop

pytestmark = [
    pytest.mark.xdist_group("export"),
    pytest.mark.skipif(not probe().of("bwrap").works, reason="bubblewrap makes no small disk here"),
]
ROOT = Path(__file__).parents[2]
SIZE = 16 << 10


@pytest.mark.parametrize(
    "asked",
    [
        ("backup", "real", "OUT"),
        ("export", "real", "g0", "--patches", "OUT"),
        ("export", "real", "--bundle", "--redact", "--out", "OUT"),
        ("report", "real", "--out", "OUT"),
    ],
    ids=lambda asked: "-".join(word.strip("-") for word in asked if word not in ("real", "OUT")),
)
def test_it_says_where_and_leaves_nothing(shop: Shop, tmp_path: Path, asked: tuple[str, ...]) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    words = [str(disk / "out") if word == "OUT" else word for word in asked]
    program = [sys.executable, "-m", "sia_tui", *words, "--workspace", str(shop.workspace.root)]
    fill = 'cat /dev/zero > "$0/taken" 2> /dev/null; "$@"; code=$?; find "$0" -type f; exit $code'
    small = ["bwrap", "--dev-bind", "/", "/", "--size", str(SIZE), "--tmpfs", str(disk)]
    done = subprocess.run(
        [*small, "sh", "-c", fill, str(disk), *program],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    *_, said = done.stderr.strip().splitlines()
    assert said.startswith(f"sia-tui: no room left to write in {disk} (0.0 MB free): "), done.stderr
    assert said.endswith("make some, or name another place") and done.returncode == 1
    assert done.stdout.split() == [str(disk / "taken")]
