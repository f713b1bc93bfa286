"""The verifier's process: speaks verify.py's protocol, and judges with the code that stands beside it.

A copy of this file is what runs, in a folder with copies of the package's other files: `python -I service.py GOLD`, from
the folder of `setup.json`, which names the two places with their walled commands and the file to lock. Gold is a case's
own inputs, as JSON. When the machine, not a candidate, is at fault the process ends with a line that says so: whoever
started it starts another, and nothing was judged.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = "sia_tui.tasks.trimul"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(gold: Path) -> None:
    os.environ.update(dict.fromkeys(THREADS, "1"))
    _import_what_is_beside()
    setup = json.loads(Path("setup.json").read_bytes())
    known, digest = _read(gold)
    with _judge(setup) as bench:
        _say({"ready": digest})
        for line in sys.stdin:
            request = json.loads(line)
            _say({"id": request["id"], **_answer(request, known, bench)})


def _import_what_is_beside() -> None:
    """The package's modules are the copies from here on, which are hashed and checked, not those that are installed."""
    for name in (PACKAGE, f"{PACKAGE}.gpu"):
        package = ModuleType(name)
        package.__path__ = [str(Path(__file__).parent)]
        sys.modules[name] = package


def _judge(setup: dict[str, Any]) -> Any:
    """Of sources in C; or, where the setup names a device, of modules on that."""
    lock = Path(setup["lock"])
    if "device" not in setup:
        from sia_tui.tasks.trimul.bench import Bench
        from sia_tui.tasks.trimul.programs import place_from

        return Bench(place_from(setup["candidates"]), place_from(setup["ours"]), lock)
    from sia_tui.tasks.trimul.gpu.home import home_from, only
    from sia_tui.tasks.trimul.gpu.ready import card_of
    from sia_tui.tasks.trimul.gpu.trial import Trial

    device = setup["device"]
    os.environ.update(only(setup["gpu"]))
    return Trial(device, card_of(device), home_from(setup["theirs"]), home_from(setup["ours"]), lock)


def _read(path: Path) -> tuple[dict[str, str], str]:
    content = path.read_bytes()
    return dict(json.loads(content)["gold"]), hashlib.sha256(content).hexdigest()


def _answer(request: Mapping[str, Any], known: dict[str, str], bench: Any) -> dict[str, Any]:
    from dataclasses import asdict

    from sia_tui.tasks.trimul.cases import shape_of

    if "open" in request:
        opened, digest = _read(Path(request["open"]))
        known.update(opened)
        return {"opened": digest}
    if "compile" in request:
        return {"said": bench.compiler_says(request["compile"])}
    if request["case"] not in known:
        return {"unknown": request["case"]}
    shape = shape_of(json.loads(known[request["case"]]))
    if "null" in request:
        return {"score": asdict(bench.score_null(shape))}
    return {"score": asdict(bench.score(request["answer"], shape))}


def _say(message: Mapping[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
