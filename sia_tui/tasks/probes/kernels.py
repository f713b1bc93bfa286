"""TriMul, whose answers are C: `exploits/` has bodies of kernels beside the naive one, which they call to do their work."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Final

from sia_tui.tasks import trimul
from sia_tui.tasks.attempts import Attempt, always, attempt, read
from sia_tui.tasks.probe import Probe
from sia_tui.tasks.probes import texts
from sia_tui.tasks.task import Task
from sia_tui.tasks.trimul.cases import shape_of
from sia_tui.tasks.trimul.grammar import parse
from sia_tui.tasks.trimul.programs import find_blas
from sia_tui.tasks.trimul.render_c import render
from sia_tui.tasks.trimul.spec import SIGNATURE
from sia_tui.tasks.trimul.verdict import LONGEST

FOLDER = Path(trimul.__file__).parent
NAIVE: Final = (FOLDER / "naive.c").read_text("utf-8")
GOOD = parse(
    "layout=block vec=16 ti=4 tj=4 unroll=2 block=32 nest=cij pad=0 product=outer rows=8 norm=fused gates=together "
    "outgate=early exp=poly"
)
SLACK: Final = 0.1
"""Of the reward: a factor of 1.7 in time, which a busy machine may take or give two calls that do the same."""
LEAST: Final = 0.45
"""What a good plan earns at least: 1.5 times the naive kernel's speed."""
HEADERS = (
    "stdlib",
    "string",
    "unistd",
    "fcntl",
    "errno",
    "pthread",
    "sys/mman",
    "sys/socket",
    "signal",
    "dlfcn",
    "time",
)
HONEST = f"#define trimul honest\n{NAIVE}\n#undef trimul\n"
WORK: Final = (
    "honest(batch, n, dim, hidden, x, mask, norm_weight, norm_bias, left, right, left_gate, right_gate, out_gate, "
    "out_norm_weight, out_norm_bias, to_out, out, work);"
)
SIZE: Final = "((long)batch * n * n * dim)"


def probe(task: Task) -> Probe:
    """On the smallest train case: milliseconds of the naive kernel."""
    smallest = min(task.ids("train"), key=lambda id: _work(task, id))
    shape = shape_of(task.cases[smallest].inputs)
    plain = [made for made in texts.attempts(task) if made.row in ("null", "empty", "dtype")]
    return Probe(
        ids=(smallest,),
        right=always(render(GOOD, shape)),
        wrong=always(NAIVE.replace("k < n;", "k < n - 1;")),
        attempts=(*plain, *attempts()),
        nulls={"naive": always(NAIVE)},
        own_null="one-thread BLAS",
        honest=always(kernel(WORK)),
        slack=SLACK,
        least=LEAST,
        repeats=5,
    )


def kernel(body: str, before: str = "") -> str:
    """C that defines a kernel with this body. It may call `honest`, the naive kernel."""
    heads = "".join(f"#include <{name}.h>\n" for name in HEADERS)
    # For compiling faster.
    return f'#pragma GCC optimize("O1")\n#define _GNU_SOURCE\n{heads}{HONEST}{before}\n{SIGNATURE} {{\n{body}\n}}\n'


@cache
def attempts() -> tuple[Attempt, ...]:
    return tuple(_attempts())


def _attempts() -> Iterator[Attempt]:
    for name, entry in read(FOLDER / "exploits"):
        yield attempt(name, entry, always(_source(entry)))


def _source(entry: dict[str, Any]) -> str:
    if "source" in entry:
        return _filled(entry["source"]) + " " * (LONGEST if "pad" in entry else 0)
    body = f"if ({entry['unless']}) abort();\n$WORK" if "unless" in entry else entry["body"]
    return kernel(_filled(body), _filled(entry.get("before", "")))


def _filled(text: str) -> str:
    blas = find_blas()
    bench = FOLDER / "bench.py"
    library = blas.library if blas else "libopenblas.so"
    return Template(text).substitute(WORK=WORK, SIZE=SIZE, NAIVE=NAIVE, BENCH=bench, BLAS=library)


def _work(task: Task, id: str) -> int:
    shape = shape_of(task.cases[id].inputs)
    return shape.batch * shape.n**3 * shape.hidden
