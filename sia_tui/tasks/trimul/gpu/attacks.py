"""The corpus of exploits, `exploits/*.yaml`: a name, what it `tries`, and the module that tries it.

`caught` are the failures it may end with; one that `earns: honest` may also be right, for it does the work. A module is
`before`, on top of plain PyTorch under the name `honest`, and the `body` of `custom_kernel`; or a whole `source`. `needs:
cuda` names what needs a GPU to be tried.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Attack:
    name: str
    tries: str
    source: str
    caught: frozenset[str]
    honest: bool
    needs_gpu: bool

    def held_off(self, failure: str | None) -> bool:
        return self.honest if failure is None else failure in self.caught


def attacks() -> tuple[Attack, ...]:
    import yaml

    found = [
        entry
        for path in sorted((_HERE / "exploits").glob("*.yaml"))
        for entry in yaml.safe_load(path.read_text()).items()
    ]
    return tuple(_attack(name, told) for name, told in found)


def _attack(name: str, told: dict[str, Any]) -> Attack:
    return Attack(
        name,
        told["tries"],
        told.get("source") or _module(told.get("before", ""), told["body"]),
        frozenset(told.get("caught", ())),
        told.get("earns") == "honest",
        told.get("needs") == "cuda",
    )


def _module(before: str, body: str) -> str:
    honest = (_HERE / "plain.py").read_text("utf-8").replace("def custom_kernel", "def honest")
    head = 'x, mask, weights, config = data\noutput = config["output"]'
    return f"{honest}\n\n{before}\n\n\ndef custom_kernel(data):\n{textwrap.indent(f'{head}{chr(10)}{body}', '    ')}\n"
