"""Sources through the real sandbox, and files that a process could leave there."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from sia_tui.engine.candidate import Candidates
from sia_tui.tasks.denoise.protocol import Counts, judge
from sia_tui.tasks.denoise.render import render
from sia_tui.tasks.denoise.simulator import Tissue
from sia_tui.tasks.denoise.verify import LONGEST, Ran, read_matrix, verify
from sia_tui.tasks.probes.tissues import GOOD
from sia_tui.tasks.verifier import VerifierDied
from tests.harness.world import LEVELS


def saved(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize("candidates", LEVELS, indirect=True)
async def test_a_plan_earns_in_the_sandbox_what_it_earns_outside(candidates: Candidates, tissue: Tissue) -> None:
    names: dict[str, Any] = {}
    exec(render(GOOD), names)
    outside = judge(tissue.train, tissue.test, names["denoise"](tissue.train))
    inside = [await verify(render(GOOD), tissue, candidates.run) for _ in range(2)]
    assert inside[0] == inside[1] and inside[0]["failure"] is None and inside[0]["reward"] > 0.1
    assert inside[0]["reward"] == pytest.approx(outside["reward"], abs=1e-6)


@pytest.mark.parametrize(
    ("source", "failure", "said"),
    [
        ("def denoise(counts)\n    return counts", "syntax", "line 1"),
        ("answer = 1", "no_function", "write def denoise"),
        (
            "def denoise(counts):\n    return counts[0][0] / 0 + {}['gone']",
            "crash",
            "KeyError: 'gone' (line 2, in denoise)",
        ),
        ("def denoise(counts):\n    return None", "no_array", "NoneType"),
        ("import scipy.sparse, sklearn\ndef denoise(counts):\n    return counts * 1e-6", "no_gain", ""),
        ("def denoise(counts):\n    raise SystemExit('over')", "crash", "SystemExit: over"),
    ],
)
async def test_what_goes_wrong_is_named(
    candidates: Candidates, small: Tissue, source: str, failure: str, said: str
) -> None:
    verdict = await verify(source, small, candidates.run)
    assert (verdict["reward"], verdict["failure"]) == (0.0, failure)
    assert said in verdict["detail"].get("why", "")


async def test_nothing_is_left_behind(candidates: Candidates, small: Tissue) -> None:
    await verify("def denoise(counts):\n    return counts", small, candidates.run)
    assert [path.name for path in candidates.folder.iterdir() if path != candidates.log] == []


async def test_a_sandbox_that_cannot_run_a_canary_is_no_verdict(
    candidates: Candidates, small: Tissue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sia_tui.engine.candidate.CANARY", "import os\nos._exit(1)")
    with pytest.raises(VerifierDied, match="runs no candidate"):
        await verify("import os\nos._exit(1)", small, candidates.run)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (None, "no_answer"),
        ("", "no_answer"),
        (" \n", "no_answer"),
        (7, "bad_answer"),
        ("x" * (LONGEST + 1), "over_long"),
    ],
)
async def test_what_is_no_source_is_never_run(small: Tissue, answer: object, failure: str) -> None:
    async def run(source: str, counts: Counts) -> Ran:
        raise AssertionError("it was run")

    assert (await verify(answer, small, run))["failure"] == failure


async def test_a_process_that_left_no_file_has_no_answer(small: Tissue) -> None:
    async def run(source: str, counts: Counts) -> Ran:
        return Ran()

    assert (await verify("pass", small, run))["failure"] == "no_file"


def test_matrices_come_back_as_they_were_written() -> None:
    values = np.arange(12.0).reshape(3, 4)
    for array in (values, np.asfortranarray(values), values.astype(np.float16), values.astype(">i4")):
        found = read_matrix(saved(array), (3, 4))
        assert isinstance(found, np.ndarray) and (found == values).all()


@pytest.mark.parametrize(
    ("content", "failure"),
    [
        (b"", "format"),
        (b"no array at all", "format"),
        (saved(np.ones((3, 4)))[:-8], "format"),
        (saved(np.ones((3, 4))) + bytes(100_000), "size"),
        (saved(np.full((3, 4), None), allow_pickle=True), "format"),
        (saved(np.ones((3, 4))).replace(b"(3, 4)", b"(3**9)"), "format"),
        (saved(np.ones((3, 4))).replace(b"(3, 4), }    ", b"(99999999,9)}"), "format"),
        (saved(np.ones((3, 4))).replace(b"(3, 4), }", b"(-3, 4),}"), "format"),
        (saved(np.ones((3, 4))).replace(b"'<f8'", b"()   "), "format"),
        (saved(np.ones((3, 4))).replace(b"'<f8', 'f", b"('<f8',),'f"), "format"),
        (saved(np.ones((3, 4))).replace(b"(3, 4), }" + b" " * 30, b"(1" + b"0" * 30 + b",), }  "), "format"),
        (b"PK\x03\x04" + bytes(100), "format"),
        (b"\x80\x04K\x01.", "format"),
        (b"\x93NUMPY\x01\x00\xf0\x03" + b"(" * 1008, "format"),
        (b"\x93NUMPY\x09\x00" + bytes(100), "format"),
    ],
)
def test_files_that_hold_no_matrix(content: bytes, failure: str) -> None:
    assert read_matrix(content, (3, 4)) == failure
