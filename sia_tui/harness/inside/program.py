"""Confines this process and then becomes what it was asked for: another program, or a Python script."""

from __future__ import annotations

import json
import os
import runpy
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sia_tui.harness.inside import confine
else:
    import confine


def main() -> None:
    told = json.loads(sys.argv[1])
    confine.confine(told["confine"])
    argv = told["argv"]
    if told["spawns"]:
        os.execv(argv[0], argv)
    sys.argv = argv
    runpy.run_path(argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
