"""What one run's engine holds open, each thing started when it is first needed and closed at the end."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from sia_tui.children import stoppable
from sia_tui.cluster.executor import Executor
from sia_tui.cluster.opening import executor
from sia_tui.config import RunConfig
from sia_tui.core.episodes import Case, Split
from sia_tui.core.hashing import digest
from sia_tui.core.recall import Memory
from sia_tui.core.state import State
from sia_tui.core.telling import tell
from sia_tui.engine.canary import mark_of
from sia_tui.engine.crew import Harness, Place
from sia_tui.engine.hardware import not_serving
from sia_tui.engine.machine import Meter
from sia_tui.engine.progress import Reporter
from sia_tui.engine.rollout import first_of
from sia_tui.engine.serving import Policy, served
from sia_tui.engine.tissues import TissueVerifier
from sia_tui.harness.attempts import Compiler
from sia_tui.harness.environment import ensure_environment, environment_id, read_pins
from sia_tui.harness.repository import HarnessRepository
from sia_tui.harness.sandbox import Isolation
from sia_tui.policy.client import Gateway, GatewayDied, GatewayError
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from sia_tui.tasks.task import Task
from sia_tui.tasks.verifier import VerifierProcess
from sia_tui.tasks.verifier_pool import VerifierPool

log = logging.getLogger(__name__)
CALL_S = 300.0
"""What a call may take; one that is given up before its episode ends would be an answer to the harness, and scored."""
SEEDS = Path(__file__).resolve().parents[2] / "harness_repo"


class EngineError(Exception):
    """What ends a run as failed, in one line; it may be resumed."""


@dataclass
class Session:
    workspace: Workspace
    paths: RunPaths
    config: RunConfig
    store: RunStore
    report: Reporter
    task: Task
    verifier: VerifierProcess | VerifierPool | TissueVerifier
    level: Isolation
    interrupted: Callable[[], bool]
    open: AsyncExitStack
    remembered: Memory | None = field(default=None, init=False)
    """What this engine has written to the workspace's memory."""
    meter: Meter = field(default_factory=Meter, init=False)
    _place: Place | None = field(default=None, init=False)
    _executor: Executor | None = field(default=None, init=False)
    _policy: Policy | None = field(default=None, init=False)
    _behind: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)
    """What ends with the place: its gateway and the servers behind that."""
    _asleep: bool = field(default=False, init=False)
    _restless: bool = field(default=False, init=False)
    """It refused to sleep once."""

    @property
    def state(self) -> State:
        return self.store.state

    @property
    def package(self) -> str:
        """The task's folder in the harness repository."""
        return self.task.name

    @property
    def seed(self) -> Path:
        """The folder of the task's first harness."""
        return seed_of(self.task)

    @property
    def seed_files(self) -> dict[str, bytes]:
        """Every file of it, by its name in the package."""
        packaged = {name: text.encode() for name, text in self.task.packaged.items()}
        return HarnessRepository.package_in(self.seed) | packaged

    @cached_property
    def reader(self) -> RunReader:
        reader = RunReader(self.paths.db)
        self.open.callback(reader.close)
        return reader

    @cached_property
    def repository(self) -> HarnessRepository:
        return HarnessRepository(self.workspace.harness_repository)

    @cached_property
    def canary(self) -> str:
        """The mark of the answer keys that this workspace plants."""
        return mark_of(self.workspace)

    def record(self, *events: object) -> None:
        """Append to the log and say it."""
        self.store.record(*events)  # type: ignore[arg-type]
        for event in events:
            self.tell(event)

    def tell(self, event: object) -> None:
        """Say what the log already holds."""
        line = tell(event)
        if line:
            self.report.say(line)

    def cases(self, split: Split, n: int | None) -> list[Case]:
        """The cases of a split that this run measures on: the same ones, in the same order, every time."""
        return first_of([self.task.cases[case] for case in self.task.ids(split)], n, self.config.seed)

    def key(self, tree: str, adapter: str | None) -> str:
        """Content id of a generation."""
        return digest(self.generation(tree, adapter))

    def generation(self, tree: str, adapter: str | None) -> dict[str, str | None]:
        """The tuple that a generation is, as it stands in generation.json."""
        policy, task = self.state.policy_ready, self.state.task_ready
        assert policy is not None and task is not None
        return {
            "harness": tree,
            "base_model": policy.sha256,
            "adapter": adapter,
            "serving": policy.serving_hash,
            "environment": environment_id([*read_pins(self.seed / "requirements.txt"), *started_by(self.config)]),
            "verifier": task.verifier_hash,
            "split": task.split_hash,
        }

    async def place(self, model: Path) -> Place:
        """Where episodes run; starts the gateway and makes the harness' environment the first time."""
        if self._place is None:
            self.report.say("making ready the harness' own environment and the policy's gateway")
            self.report.phase("the harness' own environment")
            for left in self.paths.logs.glob("scratch-*"):
                shutil.rmtree(left, ignore_errors=True)
            python = await self.environment()
            workers = await self._workers()
            self.report.phase("starting the gateway")
            self.open.push_async_callback(self._behind.aclose)
            policy = served(self.config, self.paths, model, serving(self.config), self.record, self.report.say)
            self._policy = await self._behind.enter_async_context(policy)
            self._place = Place(
                task=self.task,
                gateway=self._policy.gateway,
                verifier=self.verifier,
                python=python,
                level=self.level,
                walls=self.config.engine.walls,
                config=self.config.harness,
                rows_root=self.workspace.folder("rows"),
                tools_root=self.workspace.folder("tools"),
                log=self.paths.logs / "harness.log",
                seed=self.config.seed,
                canary=self.canary,
                compiler=self._compiler,
                executor=workers,
            )
        if self._asleep:
            self.report.phase("waking the policy")
            await self.wake()
        return self._place

    async def cluster(self) -> str | None:
        """Address of the cluster on whose nodes harness workers run, if they do. Raises ClusterError."""
        return (await self._workers()).address

    async def _workers(self) -> Executor:
        """Who starts harness workers, for as long as this engine runs. Raises ClusterError."""
        if self._executor is None:
            config = self.config
            if config.cluster.executor != "local":
                self.report.say("joining the cluster")
                self.report.phase("joining the cluster")
            opening = executor(
                config.cluster,
                config.harness.isolation,
                config.harness.agent,
                self.paths.root / "cluster",
                self.record,
                gpus_for_ray(config),
            )
            self._executor = await self.open.enter_async_context(opening)
        return self._executor

    @property
    def load(self) -> dict[str, Any]:
        """What `Usage` says of replicas and of episodes; nothing where one server answers and one machine works."""
        executor, place, policy = self._executor, self._place, self._policy
        return {
            "serving": policy.watch.newest if policy is not None else (),
            "busy": executor.busy() if executor is not None else {},
            "queue": place.waiting.count if place is not None else 0,
        }

    async def health(self) -> dict[str, Any] | None:
        """What the gateway says of itself; None while nothing serves. Raises GatewayDied, GatewayError."""
        return await self._place.gateway.health() if self._place is not None and not self._asleep else None

    @property
    def awake(self) -> bool:
        """The policy is up and serves."""
        return self._place is not None and not self._asleep

    @property
    def _compiler(self) -> Compiler | None:
        verifier = self.verifier
        if not self.task.compiles or isinstance(verifier, TissueVerifier):
            return None
        return verifier.compiler_says

    async def sleep(self) -> None:
        """Give the policy's accelerators back until `wake`, or the next `place`. Safe to call twice. Raises GatewayDied."""
        if self._place is not None and not self._asleep:
            await self._place.gateway.sleep()
            self._asleep = True

    async def wake(self) -> None:
        """Safe to call twice. Raises GatewayDied."""
        if self._place is not None and self._asleep:
            await self._place.gateway.wake()
            self._asleep = False

    async def release(self) -> None:
        """`sleep` for as long as nobody needs the policy; of a gateway that dies over it another is started, and one that
        refuses (a vLLM at an address, started without sleep mode) keeps what it holds."""
        if self._restless:
            return
        try:
            await self.sleep()
        except GatewayError as refusal:
            self._restless = True
            self.report.say(f"the policy's memory cannot be released: {refusal}")
        except GatewayDied as death:
            log.error("the gateway died going to sleep\n%s", death)
            await self.leave_place()

    async def served(self, gateway: Gateway, sha256: str | None) -> str | None:
        """The gateway's name for a published adapter, which it then holds. Raises EngineError if it is another one."""
        if sha256 is None:
            return None
        folder = self.paths.adapter(sha256)
        if not folder.is_dir():
            raise EngineError(
                f"{folder} is gone; restore it from a backup, or go back: sia-tui rollback {self.state.run} GEN"
            )
        if await gateway.load_adapter(folder.name, folder) != sha256:
            raise EngineError(
                f"{folder} is not the adapter that was trained; restore it, or go back to an earlier generation"
            )
        return folder.name

    async def leave_place(self) -> None:
        """Stop what is left of a gateway that died; the next `place` starts another one."""
        if self._place is not None:
            place, self._place, self._asleep = self._place, None, False
            await place.gateway.stop()
            await self._behind.aclose()

    async def environment(self) -> Path:
        """The Python of the harness' own environment, by the seed's requirements.txt."""
        requirements = self.seed / "requirements.txt"
        folder = self.workspace.folder("environments")
        return await stoppable(partial(ensure_environment, requirements, folder, log.info))


def seed_of(task: Task) -> Path:
    """The folder of a task's first harness."""
    return task.seed or SEEDS / task.name


def started_by(config: RunConfig) -> tuple[str, ...]:
    """Of a harness that is a program: how it is started decides what it says, as its environment does."""
    agent = config.harness.agent
    return () if agent is None else (json.dumps(agent.command),)


def harness_of(session: Session, commit: str, key: str) -> Harness:
    """A commit's package, laid out to be run."""
    tree = session.repository.snapshot(commit, session.package, session.paths.root / "trees")
    return Harness(tree, session.repository.files(commit, session.package), key)


def gpus_for_ray(config: RunConfig) -> str | None:
    """Those that a Ray of the engine's own may give, where it is to leave some to the policy; None: all."""
    if config.cluster.serve == "here" and config.policy.device == "cuda":
        return ",".join(not_serving(config.weights.serve_on))
    return None


def serving(config: RunConfig) -> dict[str, Any]:
    """The gateway's settings that say who answers. A remote server is asked again for as long as an episode could wait."""
    policy, cluster = config.policy, config.cluster
    here = cluster.serve == "here"
    rank = max(policy.vllm.rank, config.weights.rank)
    return {
        "backend": policy.backend,
        "address": policy.address,
        "model": policy.name if policy.kind == "model" else None,
        "key_env": policy.key_env,
        "retry_s": 0.8 * config.harness.deadline_s,
        "call_deadline_s": max(CALL_S, config.harness.deadline_s),
        "vllm": policy.vllm.model_copy(update={"rank": rank, "tensor_parallel": config.tensor_parallel}),
        "device": policy.device,
        "gpus": config.weights.serve_on if here else (),
        "dtype": policy.dtype,
        "context": policy.context,
        "replicas": cluster.replicas if here else 1,
        "lag_s": cluster.lag_s,
    }


def serving_hash(config: RunConfig) -> str:
    """Of what decides an answer besides model, adapter and harness."""
    harness, policy = config.harness, config.policy
    limits = [harness.max_calls, harness.max_tokens, harness.deadline_s]
    if harness.attempts != 1:  # as it was before there were any: keys of older runs stay what they are
        limits.append(harness.attempts)
    return digest([policy.backend, policy.dtype, policy.context, *limits, config.seed])


def rewards(session: Session, key: str, cases: Sequence[Case]) -> dict[str, float]:
    """{case id: reward} of finished episodes, over exactly these cases. Raises EngineError if one is missing."""
    wanted = {case.id for case in cases}
    found = {row.case_id: row.reward for row in session.reader.episodes(key) if row.case_id in wanted}
    if len(found) != len(wanted):
        raise EngineError(f"{len(wanted) - len(found)} episodes are missing from the store")
    return found
