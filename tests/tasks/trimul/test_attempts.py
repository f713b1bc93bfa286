"""The harness of docs/your-task.md that asks the task's compiler: what gcc refused is right the second time, and paid."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sia_tui.harness.attempts import Attempts
from sia_tui.tasks.trimul import bench as benching
from sia_tui.tasks.trimul.bench import Bench
from sia_tui.tasks.trimul.gpu.trial import Trial
from sia_tui.tasks.trimul.spec import SIGNATURE
from tests.harness.world import LEVELS, World, case, gateway
from tests.tasks.trimul.conftest import SMALL

pytestmark = pytest.mark.xdist_group("trimul")

RIGHT = Path(benching.__file__).with_name("naive.c").read_text()
BROKEN = RIGHT.replace(";", "", 1)


def documented() -> str:
    told = (Path(__file__).parents[3] / "docs" / "your-task.md").read_text("utf-8")
    return next(
        block
        for block in re.findall(r"^```python\n(.*?)^```$", told, re.DOTALL | re.MULTILINE)
        if "case.attempt" in block
    )


async def test_a_broken_answer_is_repaired_by_the_compilers_lines(bench: Bench, tmp_path: Path) -> None:
    async def policy(request: dict[str, Any]) -> tuple[int, Mapping[str, Any]]:
        first = len(request["messages"]) == 1
        text = f"Here it is:\n```c\n{BROKEN if first else RIGHT}```\n"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return 200, {"choices": [choice], "usage": {"completion_tokens": 9}}

    async def compiler(source: str) -> str:
        return await asyncio.to_thread(bench.compiler_says, source)

    world, attempts = World(LEVELS[0], tmp_path).write(documented()), Attempts(compiler, 1)
    sizes = {name: str(getattr(SMALL, name)) for name in ("batch", "n", "dim", "hidden", "distribution")}
    async with gateway(policy) as fake, world.worker(fake.lanes(1)) as worker:
        outcome = await worker.solve(0, case(**sizes, mask="no"), 30.0, attempts)
        lines = attempts.calls[0].result
        assert "kernel.c" in lines and "error" in lines and "expected" in lines
        assert lines in fake.requests[1]["messages"][-1]["content"]
    assert outcome.error is None
    assert bench.score(BROKEN, SMALL).failure == "compile"
    assert bench.score(outcome.answer, SMALL).reward > 0.2


@pytest.mark.parametrize(
    "source",
    [
        f"{SIGNATURE} {{}}",
        f"{SIGNATURE} {{ out[0] = 1 / 0; for (;;); }}",
        f"#include <stdlib.h>\n__attribute__((constructor)) void first(void) {{ abort(); }}\n{SIGNATURE} {{}}",
    ],
)
def test_what_compiles_is_told_nothing_however_wrong_it_is(bench: Bench, source: str) -> None:
    assert bench.compiler_says(source) == ""


def test_gcc_tells_of_no_file_that_a_kernel_may_not_see(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path / "gold.json"
    secret.write_text("the answer")
    assert "No such file" in (said := bench.compiler_says(f'#include "{secret}"')) and "the answer" not in said
    assert len(bench.compiler_says("x\n" * 30_000)) <= 2000
    assert "characters" in bench.compiler_says(" " * 70_000)


def test_what_was_compiled_is_not_compiled_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    source = f"{RIGHT}\n/* once */"
    assert bench.compiler_says(source) == "" == bench.compiler_says(f"{RIGHT}\n/* another */")
    monkeypatch.setattr("sia_tui.tasks.trimul.compiling.compiled", None)
    assert bench.score(source, SMALL).failure is None


def test_of_a_module_pythons_compiler_speaks_and_nothing_is_run(trial: Trial) -> None:
    assert trial.compiler_says("import os\nos._exit(3)") == ""
    said = trial.compiler_says("def custom_kernel(data):\n  return (")
    assert "SyntaxError" in said and "line 2" in said
    assert trial.compiler_says("(" * 60_000) != ""
    assert trial.compiler_says("x = '\0'") != ""
