"""Python's own compiler on a file that is not run: its lines go to standard error, with status 1.

python syntax.py FILE
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path


def main() -> None:
    try:
        compile(Path(sys.argv[1]).read_text("utf-8"), "module.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        sys.exit("".join(traceback.format_exception_only(error)))


if __name__ == "__main__":
    main()
