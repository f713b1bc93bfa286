"""Writes a run as an engine would have written it, step by step: a real run.db, the same bytes of text every time."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from sia_tui.config import RunConfig, load_config
from sia_tui.core import events as ev
from sia_tui.core.choosing import Setting, recommend
from sia_tui.core.episodes import Attempt, Call, Case, HarnessError, Sampled, Score, Split, ToolCall
from sia_tui.core.forecast import track
from sia_tui.core.gates import Gate, GateKind, Verdict, VerdictKind, gate_hash, gate_parts
from sia_tui.core.machine import Usage
from sia_tui.core.plans import Pilot, Rehearsal, TrainPlan
from sia_tui.core.proposals import Doubt, Lever, Light, Preview, Proposal, Review
from sia_tui.core.pulls import Advice
from sia_tui.core.recall import recall
from sia_tui.core.replicas import Serving
from sia_tui.core.text import one_line
from sia_tui.store.writer import RunStore

CONFIG = Path(__file__).parents[2] / "configs" / "lawbench-nano.yaml"
SHOWN = ["budget.steps=8", "budget.wall_s=1200", "gate.policy=ask", "gate.indecisive=roll_back"]
"""Whatever the config says of what is on the screen."""
CONFIG_HASH = "c" * 64
START = datetime(2026, 1, 5, 7, 0, tzinfo=UTC)
HOSTILE = "\x1b]52;c;aGk=\x07\x1b[2J\x9b31m[/nope][bold red]盗窃\u202egnp\u2066\x00\x7f\r\nline two\t[link=x]"
"""Escapes, C1, bidi, markup, NUL, DEL, line breaks: what a model or a tool may say."""

MADE = Rehearsal(2, 128, 3.4, 0.9, 14.0)

PATCH = """--- a/harness.py
+++ b/harness.py
@@ -1,5 +1,9 @@
 from sia import Answer, Case, LLM
 PROMPT = "事实：{text}\\n罪名："
-async def solve(case: Case, llm: LLM, tools) -> Answer:
-    reply = await llm.chat([{"role": "user", "content": PROMPT.format(**case.inputs)}])
-    return Answer(reply.text)
+async def solve(case: Case, llm: LLM, tools) -> Answer:
+    found = tools.rank(case.inputs["text"])[:10]
+    asked = PROMPT.format(**case.inputs) + "\\n候选：" + "、".join(found)
+    reply = await llm.chat([{"role": "user", "content": asked}])
+    if reply.text not in found:
+        return Answer(found[0], source="tool")
+    return Answer(reply.text)
--- a/prompts/ask.md
+++ b/prompts/ask.md
@@ -1,1 +1,2 @@
 只回答罪名。
+从候选中选择一个。
"""

PLAN = TrainPlan("grpo", 30, 16, 8, 2000, 80, 4e-5)
CLONING = TrainPlan("best_of_n", 60, 32, 8, 400, 80, 4e-5, eval_every=20)
CHARGES = ("盗窃", "诈骗", "故意伤害", "危险驾驶", "抢劫", "寻衅滋事", "非法拘禁", "容留他人吸毒")


class Clock:
    """Time that passes only when told, a little at every look."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> str:
        self.at += timedelta(milliseconds=40)
        return self.at.isoformat(timespec="milliseconds")

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Writer:
    """Writes a run step by step; what it makes follows from its seed alone."""

    def __init__(self, store: RunStore, config: RunConfig, clock: Clock) -> None:
        self.store, self.config, self.clock = store, config, clock
        self.random = random.Random(7)
        self.made = store.state.cost.episodes

    def prepare(self, name: str) -> None:
        record = self.store.record
        record(ev.RunCreated(name, "lawbench", CONFIG_HASH))
        record(ev.EngineStarted(4711, "desk", "bwrap"))
        record(ev.TaskReady("5" * 64, "6" * 64, "7" * 64, {"train": 3710, "dev": 796, "hidden": 797, "test": 913}))
        self.clock.wait(40)
        record(ev.BaselinesMeasured({"majority": 0.005, "nearest": 0.586, "linear-svc": 0.791}))
        self.clock.wait(90)
        record(ev.PolicyReady("nano", "9" * 64, "8" * 64))

    def generation(self, lever: Lever | None, mean: float, proposal: str | None = None, hidden: bool = True) -> int:
        """A generation with its dev, train and hidden results, and some of its episodes."""
        index = len(self.store.state.generations)
        key = f"{index:02d}" + "k" * 30
        adapter = "ab" * 32 if lever in ("weights", "both") else None
        parent = self.store.state.incumbent
        self.store.record(
            ev.GenerationCreated(index, lever, f"{index}c" * 20, f"{index}t" * 20, key, adapter, parent, proposal)
        )
        for split in ("train", "dev", "hidden") if hidden else ("train", "dev"):
            self.evaluate(index, split, mean)
        return index

    def evaluate(self, index: int, split: Split, mean: float, episodes: int = 40) -> None:
        key = self.store.state.generations[index].key
        for number in range(episodes):
            self.episode(key, Case(f"{split}-{number:04d}", split, {"text": self.fact()}, 1), mean)
        self.clock.wait(60)
        n = {"train": 400, "dev": 796, "hidden": 797, "test": 913}[split]
        half = 1.96 * math.sqrt(mean * (1 - mean) / n)
        wrong = round(n * (1 - mean))
        failures = {"not a charge": wrong // 2, "another charge": wrong // 3, HOSTILE: 3, "timeout": 1}
        self.store.record(ev.Evaluated(index, split, mean, max(0.0, mean - half), mean + half, n, 0.02, failures))

    def episode(self, key: str, case: Case, mean: float, sampled: Sampled | None = None) -> None:
        self.made += 1
        truth = self.random.choice(CHARGES)
        right = self.random.random() < mean
        answer = truth if right else self.random.choice(["不知道", HOSTILE, "盗窃罪", None])
        error = HarnessError("timeout", HOSTILE, f"Traceback\n{HOSTILE}") if answer is None else None
        said = f"罪名：{answer}" if answer else HOSTILE
        call = Call(
            (
                {"role": "system", "content": HOSTILE},
                {"role": "user", "content": f"事实：{case.inputs['text']}\n罪名："},
            ),
            said,
            tuple(range(180 + self.made % 90)),
            (5, 6, 7),
            (-0.1, -2.5, -0.01),
            None,
            0.0,
            1.0,
            24,
            "stop",
            0.2,
        )
        tool = ToolCall("rank", case.inputs["text"][:40], str([truth, HOSTILE]), 0.01)
        attempt = Attempt(case, answer, "policy", (call,), (tool,), error, 0.3, "bwrap", {"note": HOSTILE})
        failure = None if right else error.kind if error else "another charge"
        score = Score(1.0 if right else 0.0, failure, {}, {"expected": truth})
        self.store.record_episode(f"e-{self.made:06d}", key, attempt, score, sampled)

    def fact(self) -> str:
        return (
            f"被告人于2015年{self.random.randint(1, 12)}月在某地实施了犯罪行为，数额{self.random.randint(1, 9)}000元。"
        )

    def proposal(self, lever: Lever, title: str, plan: TrainPlan | None = None, advice: Advice | None = None) -> str:
        state = self.store.state
        number = len(state.steps) + 1
        assert state.best is not None
        proposal = Proposal(
            lever,
            title,
            "Of 400 train trajectories read, 214 end on a charge that is not on the list at all. " + HOSTILE,
            f"idea-{number}",
            state.best.commit,
            ("e-000001", "e-000002"),
            PATCH if lever in ("harness", "both") else None,
            plan,
            0.06,
            {"calls": 1.0, "tokens": 1.4},
            {"not a charge": 214, "another charge": 102, "timeout": 3, HOSTILE: 2},
        )
        name = f"p-{number}f3a9c2e"
        self.store.record(ev.ProposalMade(name, proposal, advice))
        lights = (
            Light("applies", "ok", "2 files"),
            Light("more tokens", "amber", HOSTILE),
            Light("new idea", "ok"),
            Light("surface", "ok", "*.py, *.md"),
        )
        record = track(recall(state).forecasts, proposal.agent, lever, state.task)
        self.store.record(ev.ProposalChecked(name, lights, f"{number}d" * 20, f"{number}e" * 20, record))
        self.clock.wait(20)
        return name

    def preview(self, name: str, tokens: float = 344.0) -> None:
        sides = ("train-0001", "train-0002"), ("train-0003",)
        seen = Preview(120, 0.31, 0.39, 0.08, 0.01, 0.15, *sides, 260.0, tokens)
        self.store.record(ev.PreviewDone(name, seen))

    def pilot(self, name: str) -> None:
        key = self.store.state.generations[-1].key
        for number in range(24):
            case = Case(f"train-{number // 8:04d}", "train", {"text": self.fact()}, 1)
            self.episode(key, case, 0.4, Sampled(name, "pilot", 0, number % 8))
        episodes = (f"e-{self.made:06d}", f"e-{self.made - 1:06d}", f"e-{self.made - 2:06d}")
        solved = (10, 3, 4, 5, 4, 3, 3, 2, 6)
        rewards = tuple((1.0,) * k + (0.0,) * (8 - k) for k, count in enumerate(solved) for _ in range(count))
        pilot = Pilot(40, 8, solved, 0.6, 0.08, 320.0, episodes, rewards, 2.0, 1.0, 0.05, 1.2, MADE)
        advised = recommend(pilot, Setting(adapter=False), (CLONING, PLAN))
        self.store.record(ev.PilotDone(name, pilot, 420.0, advised))

    def review(self, name: str, doubt: Doubt, note: str) -> None:
        self.store.record(ev.ProposalReviewed(name, Review("openai:m", doubt, one_line(note, 600), ("e-000001",))))

    def gate(self, name: str, kind: GateKind = "step") -> str:
        step = self.store.state.step(name)
        best = self.store.state.best
        assert best is not None
        parts = gate_parts(
            kind,
            step.proposal,
            best.key,
            step.lights or (),
            step.preview,
            step.pilot.pilot if step.pilot else None,
            step.record,
            step.advice,
            [asdict(found) for found in step.measures] or None,
            {"indecisive": "ask"},
            CONFIG_HASH,
            [asdict(found) for found in step.evidence],
        )
        gate = f"gate-{len(self.store.state.gates) + 1}"
        self.store.record(ev.GateOpened(Gate(gate, kind, name, gate_hash(parts), parts)))
        return gate

    def verdict(self, gate: str, kind: VerdictKind = "approve", note: str = "") -> None:
        self.clock.wait(30)
        self.store.record(ev.VerdictGiven(Verdict(gate, kind, "ana", note, self.clock())))

    def step(self, title: str, mean: float, outcome: str) -> None:
        """A whole harness step: better is kept, worse rolled back."""
        name = self.proposal("harness", title)
        self.preview(name)
        self.verdict(self.gate(name))
        self.measured("harness", name, mean, outcome)

    def measured(self, lever: Lever, name: str, mean: float, outcome: str) -> None:
        best = self.store.state.best
        assert best is not None
        gain = mean - best.results["dev"].mean
        index = self.generation(lever, mean, name, hidden=outcome == "better")
        self.store.record(
            ev.Measured(name, index, outcome, gain, gain - 0.02, gain + 0.02, 796, ("dev-0001",), ("dev-0002",))
        )
        if outcome == "better":
            self.store.record(ev.GenerationKept(index, "better on dev"))
        elif outcome == "worse":
            self.store.record(ev.GenerationRolledBack(index, "worse on dev"))

    def train(self, name: str, plan: TrainPlan, upto: int) -> None:
        """The first `upto` steps of a training, with metrics and rollouts."""
        self.store.record(ev.TrainingBegan(name, None))
        key = self.store.state.generations[-1].key
        for step in range(upto + 1):
            share = step / plan.steps
            wave = 0.02 * math.sin(step * 1.7)
            values = {
                "reward": 0.31 + 0.22 * share + wave,
                "useful": 0.62 - 0.14 * share + wave,
                "frac_reward_zero_std": 0.38 + 0.14 * share - wave,
                "reward_std": 0.46 - 0.1 * share,
                "kl": 0.03 * share,
                "entropy": 1.4 - 0.5 * share,
                "loss": 0.4 - 0.3 * share + 2 * wave,
                "grad_norm": 0.9 - 0.2 * share,
                "learning_rate": 4e-5,
                "clip_ratio/low_mean": 0.002 + 0.004 * share,
                "clip_ratio/high_mean": 0.006 + 0.01 * share,
                "completions/mean_length": 22.0 + 6 * share,
                "completions/clipped_ratio": 0.04 - 0.03 * share,
                "sampling/importance_sampling_ratio/min": 0.94 - 0.02 * share,
                "sampling/importance_sampling_ratio/mean": 1.0,
                "sampling/importance_sampling_ratio/max": 1.07 + 0.05 * share,
                "sampling/sampling_logp_difference/mean": 0.004,
                "sampling/sampling_logp_difference/max": 0.02 + 0.02 * share,
                "advantage/min": -1.6 - wave,
                "advantage/max": 1.8 + wave,
                "advantage/std": 0.9,
                "shared_prefix": 0.31,
                "staleness": float(step % 2),
                "rollout_s": 6.2 - share,
                "train_s": 3.1 + wave,
                "step_time": 9.3 - share + wave,
                "peak_gib": 0.9,
            }
            if step % plan.eval_every == 0:
                values["held_out"] = 0.33 + 0.2 * share
            self.store.metrics(name, step, values)
            for sample in range(4):
                case = Case(f"train-{step:04d}", "train", {"text": self.fact()}, 1)
                self.episode(key, case, values["reward"], Sampled(name, "train", step, sample))
            self.clock.wait(12)

    def spread(self, usage: Usage) -> Usage:
        """Over nodes and replicas, of which some are lost."""
        self.store.record(
            ev.NodeJoined("near", 8, 4, "bwrap"),
            ev.NodeJoined("far", 8, 4, "landlock"),
            ev.NodeJoined("spot-3", 16, 0, "landlock"),
            ev.NodeRefused("weak " + HOSTILE, "no sandbox for harness code"),
            ev.ReplicasServe(("node near", "node far", "node far")),
            ev.EpisodesReissued("spot-3", 5, "lost"),
            ev.NodeLost("spot-3", "its machine does not answer " + HOSTILE),
            ev.ReplicaOut(1, "node far", "vllm ended with status -9 " + HOSTILE, 12, 2),
            ev.ReplicaOut(2, "node far", "does not have adapter red 30 s after the others", 4, 1),
            ev.ReplicaBack(2, "node far", 2),
        )
        serving = (
            Serving(0, "node near", "in", 9, "ab" * 32, 1204.2),
            Serving(1, "node far", "out", 0, None, 0.0),
            Serving(2, "node far", "in", 8, HOSTILE, 988.0),
        )
        return replace(usage, serving=serving, busy={"near": 8, "far": 7}, queue=141)

    def trained(self, name: str, plan: TrainPlan) -> None:
        self.store.record(
            ev.AdapterTrained(
                name, "ab" * 32, plan.steps, 20, "all steps made", 0.33, 0.53, 4080, 402.0, 28, 28, 4.1e-5
            )
        )


@contextlib.contextmanager
def writing(root: Path, name: str = "sql-repair-07") -> Iterator[Writer]:
    """A run at `root` to be written on; its clock goes on from what is there."""
    root.mkdir(parents=True, exist_ok=True)
    config = load_config(CONFIG, SHOWN)
    (root / "config.yaml").write_text(config.dump(), encoding="utf-8")
    clock = Clock()
    with patch("sia_tui.store.writer.now", clock), RunStore(root / "run.db") as store:
        if store.state.last_at:
            clock.at = datetime.fromisoformat(store.state.last_at)
        yield Writer(store, config, clock)
