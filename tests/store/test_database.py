"""What writes runs does without what it has no use for."""

from __future__ import annotations

import subprocess
import sys


def test_pandas_stays_out_of_what_writes_and_can_be_had_after_it() -> None:
    code = "import sys, sia_tui.store.writer; assert 'pandas' not in sys.modules; import pandas; print(pandas.DataFrame().empty)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "True\n", done.stderr
