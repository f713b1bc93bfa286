"""What a Feedback-Agent may look at and try beyond its page. Every result is cleaned, fenced and bounded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from sia_tui.agents.llm.answers import Edit, Invalid, edited
from sia_tui.agents.llm.evidence import Evidence, listed
from sia_tui.agents.llm.transcript import fenced, kind_of, transcript
from sia_tui.agents.protocol import Declined, Reading, Record

SHOWN = 24_000
"""Characters of one answer of a tool."""
PAGE = 40

Tool = Callable[..., str] | Callable[..., Awaitable[str]]


class Reader:
    """The tools, as methods; their docstrings are what the model reads."""

    def __init__(self, record: Record, evidence: Evidence) -> None:
        self._record, self._evidence = record, evidence

    @property
    def tools(self) -> Sequence[Tool]:
        return (
            self.list_trajectories,
            self.search_trajectories,
            self.read_trajectory,
            self.compare_case,
            self.read_file,
            self.history,
            self.run_harness,
            self.python,
        )

    def list_trajectories(
        self,
        split: Literal["train", "dev", "both"] = "both",
        kind: str | None = None,
        generation: int | None = None,
        offset: int = 0,
    ) -> str:
        """One line for each episode of a generation (default: the incumbent): id, case, how it ended, answer. `kind` is
        one of the kinds of the page (right, wrong, timeout, ...). Forty at a time, from `offset`."""
        found = [one for one in self._readings(split, generation) if kind is None or kind_of(one) == kind]
        shown = found[max(0, offset) : max(0, offset) + PAGE]
        return self._fenced(f"{len(found)} episodes, from {offset}\n{listed(shown)}", "list of episodes")

    def search_trajectories(
        self, text: str, split: Literal["train", "dev", "both"] = "both", generation: int | None = None
    ) -> str:
        """The episodes in whose transcript `text` stands, letter for letter, each with the line it stands in."""
        lines = []
        for one in self._readings(split, generation):
            line = next((line for line in transcript(one).splitlines() if text in line), None)
            if line is not None:
                at = line.index(text)
                lines.append(f"{one.episode} {kind_of(one)}: …{line[max(0, at - 60) : at + len(text) + 60]}…")
        return self._fenced(f"{len(lines)} episodes\n" + "\n".join(lines[:PAGE]), "search result")

    def read_trajectory(self, episode: str, offset: int = 0) -> str:
        """One episode in full: the case, every message, reply, tool call and error, the score; from character `offset`."""
        one = next((one for one in self._evidence.readings if one.episode == episode), None) or self._older(episode)
        if one is None:
            return f"no episode {episode} of train or dev"
        text = transcript(one)
        return self._fenced(text[max(0, offset) :], episode, f"{len(text)} characters, from {offset}")

    def compare_case(self, case: str) -> str:
        """What became of one case in every generation that met it."""
        met = [
            f"g{index}: {one.episode} {kind_of(one)} answer {one.attempt.answer!r} reward {one.score.reward:g}"
            for index in range(len(self._record.state.generations))
            for one in self._readings("both", index)
            if one.attempt.case.id == case
        ]
        return self._fenced("\n".join(met) or "no generation met it", f"case {case}")

    def read_file(self, path: str, generation: int | None = None) -> str:
        """A file of the harness, as a generation has it (default: the incumbent)."""
        try:
            files = self._record.files if generation is None else self._record.files_at(self._known(generation))
        except Declined as reason:
            return str(reason)
        if path not in files:
            return f"no file {path}; there are: {', '.join(sorted(files))}"
        return self._fenced(files[path], path)

    def history(self) -> str:
        """The git history of the harness: every generation with its commit, lever and scores."""
        lines = []
        for made in self._record.state.generations:
            scores = ", ".join(f"{split} {found.mean:.4f}" for split, found in made.results.items())
            kept = {True: "kept", False: "rolled back", None: "under way"}[made.kept]
            lines.append(f"g{made.index} {made.commit[:12]} from g{made.parent} [{made.lever}] {kept}: {scores}")
        return self._fenced("\n".join(lines), "history")

    async def run_harness(self, cases: list[str], edits: list[Edit]) -> str:
        """Run the incumbent's harness with your edits (none: as it is) on chosen train cases, in the sandbox, and read
        what came of it. A few cases at a time; dev cannot be run."""
        try:
            files, brief = self._record.files, self._record.brief
            files = edited(files, edits, brief.surface, brief.command) if edits else dict(files)
            made = await self._record.try_harness(files, cases)
        except (Declined, Invalid) as reason:
            return self._fenced(str(reason), "not run")
        return self._fenced("\n\n".join(transcript(one) for one in made), "trial")

    async def python(self, code: str) -> str:
        """Run a Python script in a sandbox without network. `trajectories.jsonl` beside it has one JSON object a line for
        each train and dev episode of the incumbent: episode, case, split, inputs, kind, reward, answer, expected (train
        only), calls (messages, text, tokens), tools (name, arguments, result), error. numpy and scikit-learn are there.
        What it prints is returned."""
        try:
            return self._fenced(await self._record.python(code), "what the script printed")
        except Declined as reason:
            return str(reason)

    def _readings(self, split: str, generation: int | None) -> list[Reading]:
        if generation is None or generation == self._record.state.incumbent:
            return [one for one in self._evidence.readings if split in ("both", one.attempt.case.split)]
        if not 0 <= generation < len(self._record.state.generations):
            return []
        names: tuple[Literal["train", "dev"], ...] = ("train", "dev")
        return [one for name in names if split in ("both", name) for one in self._record.trajectories(name, generation)]

    def _older(self, episode: str) -> Reading | None:
        indices = range(len(self._record.state.generations))
        return next((one for index in indices for one in self._readings("both", index) if one.episode == episode), None)

    def _known(self, generation: int) -> int:
        if not 0 <= generation < len(self._record.state.generations):
            raise Declined(f"there is no generation {generation}")
        return generation

    def _fenced(self, text: str, what: str, note: str = "") -> str:
        cut = "" if len(text) <= SHOWN else f"\n[{len(text) - SHOWN} more characters are not shown]"
        return f"{note}\n{fenced(text[:SHOWN] + cut, what)}".strip()
