"""A workspace as the window reaches it in a test: engines are written down, not started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sia_tui.store.reader import Answer
from sia_tui.store.workspace import Workspace
from sia_tui.tui.pieces import Laid, laid_out
from sia_tui.tui.workplace import Access, Draft
from tests.tui.runs import make_run

CONFIG = Path(__file__).parents[2] / "configs" / "lawbench-nano-quick.yaml"


@dataclass
class Place:
    workspace: Workspace
    user: str = "ana"
    done: list[tuple[Any, ...]] = field(default_factory=list)

    def open(self, name: str) -> Access:
        def ask(kind: str, body: object) -> Answer:
            self.done.append((kind, name))
            return Answer(True, kind)

        def resume() -> Answer:
            self.done.append(("resume", name))
            return Answer(True, "started")

        return Access(self.workspace.existing(name), ask, resume)

    def configs(self) -> Sequence[Path]:
        return [CONFIG]

    def begin(self, draft: Draft) -> Answer:
        self.done.append(("begin", draft))
        make_run(self.workspace.runs / draft.name, "fresh")
        return Answer(True, draft.name)

    def estimate(self, draft: Draft) -> Answer:
        return Answer(True, f"a training takes 2 h with {', '.join(draft.overrides) or 'nothing set'}")

    def export(self, run: str, generation: int, folder: str) -> Answer:
        self.done.append(("export", run, generation, folder))
        return Answer(True, folder)

    def delete(self, name: str) -> Answer:
        self.done.append(("delete", name))
        return Answer(True, "deleted")

    def compare(self, one: str, other: str) -> Laid:
        return laid_out(f"{one} beside {other}")
