"""Choosing a level, and what is said where one is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sia_tui.harness import sandbox, seccomp
from sia_tui.harness.inside import confine
from sia_tui.harness.sandbox import Finding, Probe, SandboxUnavailable, choose, probe
from sia_tui.harness.seccomp import SeccompUnavailable, program
from tests.harness.world import LEVELS

YES = Finding(True)
NO = Finding(False, "bubblewrap is not installed", "apt install bubblewrap")


def test_this_machine() -> None:
    for level in ("bwrap", "landlock"):
        finding = probe().of(level)
        assert (level in LEVELS) == finding.works
        assert finding.works or (finding.why_not and finding.hint)
    if shutil.which("bwrap") is None:
        assert probe().bwrap == NO


@pytest.mark.parametrize(
    ("wanted", "bwrap", "landlock", "chosen"),
    [
        ("auto", YES, YES, "bwrap"),
        ("auto", NO, YES, "landlock"),
        ("landlock", YES, YES, "landlock"),
        ("bwrap", YES, NO, "bwrap"),
        ("none", NO, NO, "none"),
    ],
)
def test_choice(wanted: sandbox.Wanted, bwrap: Finding, landlock: Finding, chosen: str) -> None:
    assert choose(wanted, Probe(bwrap, landlock, 7)) == chosen


@pytest.mark.parametrize(("wanted", "landlock"), [("bwrap", YES), ("auto", NO)])
def test_refusal_is_one_line_that_says_what_to_do(wanted: sandbox.Wanted, landlock: Finding) -> None:
    with pytest.raises(SandboxUnavailable, match="apt install bubblewrap") as refusal:
        choose(wanted, Probe(NO, landlock, 0))
    assert "\n" not in str(refusal.value)


def test_bubblewrap_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert probe.__wrapped__().bwrap == NO


@pytest.mark.parametrize(
    ("script", "why_not"),
    [
        ("echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1", "is refused: bwrap: setting up uid map"),
        ("echo 'bwrap: Unknown option --size' >&2; exit 1", "is too old"),
        ("exit 9", "is refused: exit status 9"),
    ],
)
def test_bubblewrap_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, why_not: str) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(fake))
    finding = probe.__wrapped__().bwrap
    assert not finding.works and why_not in finding.why_not and finding.hint


def test_an_old_landlock_is_no_isolation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine, "landlock_abi", lambda: 2)
    assert "version 2" in probe.__wrapped__().landlock.why_not


def test_without_libseccomp_neither_level_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(hold_metadata: bool) -> bytes:
        raise SeccompUnavailable("Unable to find libseccomp")

    monkeypatch.setattr(seccomp, "program", missing)
    found = probe.__wrapped__()
    assert not found.bwrap.works and not found.landlock.works and "libseccomp2" in found.landlock.hint


def test_the_seccomp_program_is_whole_instructions() -> None:
    assert len(program(True)) % 8 == 0 and 0 < len(program(False)) < len(program(True)) <= 8 * 4096
