"""What a release installs: pinned with hashes, as tested, and under licences that let it be used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)[^\n]*\\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)
_ROW = re.compile(r"^\| ([a-z0-9._-]+) \| (\d\S*) \| (.+) \|$", re.MULTILINE)
FREE = ("MIT", "BSD", "Apache", "ISC", "PSF", "Python Software Foundation", "MPL", "Mozilla", "Public Domain", "LGPL")
"""Families of licences of which one at least must be named."""
BOUND = re.compile(r"(?<!L)(?<!Lesser )GPL|AGPL|SSPL|Non-?Commercial|Proprietary", re.IGNORECASE)
"""None of which may be."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    return {name: version for name, version, _ in _PIN.findall((ROOT / "requirements.lock").read_text("utf-8"))}


def direct() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = [_NAME.match(line) for line in project["dependencies"]]
    return [plain(match[0]) for match in found if match]


def test_the_lock_has_every_dependency_with_its_hashes_as_it_was_tested() -> None:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    pins = locked()
    assert {line.partition("==")[0] for line in lines if line[:1].isalnum()} == pins.keys()
    assert set(direct()) <= pins.keys()
    tested = [line.partition("==") for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()]
    asked = {plain(name): version for name, _, version in tested if version and not name.startswith("#")}
    assert {name: asked[name] for name in asked.keys() & pins.keys()} == {
        name: pins[name] for name in asked if name in pins
    }
    assert not [line for line in lines if "file:" in line or "+cpu" in line]


def test_every_dependency_is_listed_under_a_licence_that_lets_it_be_used() -> None:
    rows = {
        name: (version, licence) for name, version, licence in _ROW.findall((ROOT / "docs/licences.md").read_text())
    }
    assert set(direct()) <= rows.keys()
    pins = locked()
    for name, (version, licence) in rows.items():
        assert pins[name] == version, f"{name}: make lock"
        assert any(family in licence for family in FREE) and not BOUND.search(licence), (name, licence)
