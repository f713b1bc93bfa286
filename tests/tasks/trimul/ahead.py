"""A rendered module's kernels compiled ahead of time, in a process of its own, where they are not interpreted.

python ahead.py CAPABILITY MODULE PLAN     prints {kernel: bytes of shared memory}
"""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

from sia_tui.tasks.trimul.grammar import parse_as, written
from sia_tui.tasks.trimul.grammar_triton import Plan

POINTERS = {"ieee": "*fp32", "tf32": "*fp32", "fp16": "*fp16"}
STORED = {"left", "right", "gate", "y"}


def compiled_for(capability: int, source: str, plan: Plan, folder: Path) -> dict[str, int]:
    module = folder / "ahead.py"
    module.write_text(source)
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(folder / "cache")}
    argv = [sys.executable, __file__, str(capability), str(module), written(plan)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


def main() -> None:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.runtime.jit import JITFunction

    capability, path, plan = int(sys.argv[1]), Path(sys.argv[2]), parse_as(Plan, sys.argv[3])
    launches = dict(re.findall(r"(\w+)\[.*num_stages=(\d)", path.read_text()))
    shared = {}
    for name, kernel in runpy.run_path(str(path)).items():
        if isinstance(kernel, JITFunction) and name in launches:
            types = {argument: _type(argument, name, plan) for argument in kernel.arg_names}
            options = {"num_warps": plan.warps, "num_stages": int(launches[name])}
            made = triton.compile(ASTSource(kernel, types, {}), GPUTarget("cuda", capability, 32), options)
            shared[name] = made.metadata.shared
    print(json.dumps(shared))


def _type(argument: str, kernel: str, plan: Plan) -> str:
    if argument == "sums":
        return {"fp32": "*fp32", "bf16": "*bf16"}[plan.keep]
    normalised = argument == "x" and plan.norm == "apart" and kernel != "normalise"
    return POINTERS[plan.dot] if argument in STORED or normalised else "*fp32"


if __name__ == "__main__":
    main()
