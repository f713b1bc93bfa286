"""Writes docs/licences.md: under which licence each package comes that requirements.lock installs. `make lock`

By each package's own metadata (License-Expression, else its classifiers, else License), as installed here.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK, OUT = ROOT / "requirements.lock", ROOT / "docs" / "licences.md"
UNKNOWN = "unknown"
_PINNED = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)
_CLASSIFIER = "License :: "
_LONGEST = 60
"""Of a License field: some packages put the whole text there, whose first line names it."""


def main() -> None:
    found = [(name, version, licence_of(name)) for name, version in pinned()]
    rows = [f"| {name} | {version} | {licence} |" for name, version, licence in found if licence is not None]
    absent = sorted({name for name, _, licence in found if licence is None})
    told = [
        "# Licences",
        "",
        "Of every package that `requirements.lock` installs, by its own metadata. Written by `make lock`.",
        "",
        "| package | version | licence |",
        "|---|---|---|",
        *rows,
        "",
        "Not installed where this was written, so not read: what other platforms need, and what PyPI's torch for Linux brings",
        "along for NVIDIA's GPUs (NVIDIA's libraries come under NVIDIA's own licence).",
        "",
        *(f"- {name}" for name in absent),
    ]
    OUT.write_text("\n".join(told) + "\n", encoding="utf-8")


def pinned() -> list[tuple[str, str]]:
    """Names and versions; a name may stand there more than once, for several platforms."""
    return _PINNED.findall(LOCK.read_text(encoding="utf-8"))


def licence_of(name: str) -> str | None:
    """In one line, UNKNOWN where it says nothing; None where it is not installed."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    classified = [value for value in said.get_all("Classifier") or [] if value.startswith(_CLASSIFIER)]
    names = [value.rpartition(" :: ")[2] for value in classified if value != "License :: OSI Approved"]
    first = (said.get("License") or "").strip().partition("\n")[0].strip()
    plain = first if len(first) <= _LONGEST else ""
    return str(said.get("License-Expression") or " AND ".join(names) or plain or UNKNOWN)


if __name__ == "__main__":
    main()
